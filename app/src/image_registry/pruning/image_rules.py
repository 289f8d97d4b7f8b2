"""What is known of an Image by its number, and what the rules of a run say of it when no tag and no use keeps it."""

from __future__ import annotations

from collections.abc import Callable

from image_registry.pruning.image_table import ImageTable
from image_registry.pruning.pulls import Times
from image_registry.pruning.reasons import Reason
from image_registry.pruning.rules import Rules
from image_registry.pruning.streams import Facts


class ImageRules:
    """Of one run. ``limit`` tells how many bytes an image of a namespace may have."""

    def __init__(self, rules: Rules, images: ImageTable, limit: Callable[[str], int | None]) -> None:
        self._rules, self._images, self._limit = rules, images, limit

    def limit(self, namespace: str) -> int | None:
        """Bytes that an image of a namespace may have; ``None`` where size is nothing to go by."""
        return self._limit(namespace) if self._rules.over_limit else None

    def facts(self, namespace: str) -> Callable[[str], Facts]:
        """What is known of the images of a namespace's streams."""
        table, limit = self._images, self.limit(namespace)

        def known(digest: str) -> Facts:
            number = table.digests.find(digest)
            if number < 0:
                return Facts()
            return Facts(table.kept(number), table.managed(number), limit is not None and table.size(number) > limit)

        return known

    def unpulled(self, times: Times) -> Times:
        """Since when nobody has pulled an image or one that it lists, which clients fetch by themselves."""
        table = self._images

        def since(digest: str) -> int | None:
            moment = times(digest)
            seen, waiting = set[int](), [table.digests.find(digest)]
            while moment is not None and waiting:
                number = waiting.pop()
                for child in table.children.of(number) if number >= 0 else ():
                    if child not in seen:
                        seen.add(child)
                        waiting.append(child)
                        moment = max(moment, times(table.digests[child]) or 0)
            return moment

        return since

    def of_stream(self, repository: str, image: int, pushed: int, limit: int | None) -> Reason:
        """About an image that a stream holds since ``pushed``."""
        table, rules = self._images, self._rules
        lasting = self._lasting(image, f"{repository}@{table.digests[image]}")
        if lasting is not Reason.GOES:
            return lasting
        if rules.over_limit:
            return Reason.GOES if limit is not None and table.size(image) > limit else Reason.WITHIN_LIMIT
        return Reason.YOUNG if rules.is_young(pushed) else Reason.GOES

    def of_registry(self, image: int, *, touched: bool) -> Reason:
        """About an Image that no stream needs; ``touched`` if this run has taken it from one."""
        rules = self._rules
        if rules.namespaces:
            return Reason.IMAGES_STAY
        lasting = self._lasting(image, self._images.digests[image])
        if lasting is not Reason.GOES:
            return lasting
        if rules.over_limit:
            return Reason.GOES if touched else Reason.NOT_TOUCHED
        return Reason.YOUNG if rules.is_young(self._images.created[image]) else Reason.GOES

    def _lasting(self, image: int, name: str) -> Reason:
        """What keeps it whatever its age and size; ``name`` is what it is excluded by."""
        if self._images.kept(image):
            return Reason.KEPT_IMAGE
        if not self._rules.all_images and not self._images.managed(image):
            return Reason.NOT_MANAGED
        return Reason.ALLOWED if self._rules.allows(name) else Reason.GOES

"""Bringing a backup back: what is missing is made, what is there already must be the same or be named.

Nothing is ever deleted that a backup does not speak of. The plan is made of the folder and the cluster alone; checking
shows it, and the real run executes the same one. Afterwards everything is read again and compared.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from image_registry.backup.content import Image
from image_registry.backup.door import Door
from image_registry.backup.errors import Damaged, NotRestored, Refused, listed
from image_registry.backup.folder import Folder
from image_registry.backup.images import Copied, Copying, Sent, Store, Tell, quiet, together
from image_registry.backup.kinds import AFTER_IMAGES, BEFORE_IMAGES, Document, identity, kind_of, repository, without
from image_registry.backup.restore_plan import (
    CREATE,
    PLACES,
    REPLACE,
    Change,
    Plan,
    as_kept,
    as_there,
    gone_of,
    is_marked,
    is_too_large,
    over,
    path_of,
    place_of,
    sent_for,
)
from image_registry.backup.signatures import Signatures
from image_registry.backup.stream_writing import StreamWriting
from image_registry.kube.client import ClusterClient
from image_registry.kube.errors import KubeError

DRY = {"dryRun": "All"}
NAMESPACES = "/api/v1/namespaces"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """How a backup is to come back."""

    namespace: str = "image-registry-system"
    """Of the registry: nothing is made for the registry itself in another one, whatever a backup says."""
    namespaces: tuple[str, ...] = ()
    overwrite: tuple[str, ...] = ()
    """Patterns of what may be replaced, as ``ImageStream/team/*``."""
    create_namespaces: bool = False
    deep: bool = True
    """Read every byte of the folder before anything is changed."""
    accept: tuple[str, ...] = ()
    """Patterns of ``<repository>@<digest>`` that may stay away if the folder has not got them as they were saved."""


class Restoring:
    """One restore. Raises :class:`~image_registry.backup.errors.BackupError`, KubeError and ClusterUnreachable."""

    def __init__(self, client: ClusterClient, door: Door, folder: Folder, wish: Wish, tell: Tell = quiet) -> None:
        self._client, self._folder, self._wish, self._tell = client, folder, wish, tell
        self._store = Store(folder.images)
        self._copying = Copying(door, self._store)
        self._signatures = Signatures(client)
        self._streams = StreamWriting(client)

    def plan(self, name: str = "") -> Plan:
        """Read and verify the backup (its newest by default), compare it with what is there. Nothing is changed."""
        backup = self._folder.read(name)
        content = backup.content
        streams = [stream for stream in content.streams if self._chosen(stream["metadata"]["namespace"])]
        names = {repository(stream) for stream in streams}
        images = tuple(image for image in content.images if image.repository in names)
        others = [item for item in (*content.objects, *content.secrets) if self._chosen(place_of(item))]
        if away := [identity(item) for item in others if self._is_elsewhere(item)]:
            raise Refused(
                f"the registry is in {self._wish.namespace}, and the backup is of one in another namespace: "
                f"{listed(away)}. Restore chosen namespaces (namespaces), and make these by hand"
            )
        gone = frozenset[Image]()
        if content.with_images:
            borrowed = {one.image for one in sent_for(images, frozenset(content.images), streams, streams)}
            gone = self._verify(sorted({*images, *borrowed}))  # what is wrong with others keeps nobody from these
        streams = [without(stream, gone_of(stream, content.images, gone)) for stream in streams]
        images = tuple(image for image in images if image not in gone)
        missing = self._namespaces([*streams, *others])
        before = self._changes([item for item in others if kind_of(item) in BEFORE_IMAGES])
        changes = self._changes(streams)
        if large := [change.name for change in changes if is_too_large(change.document)]:
            raise Refused(
                f"{len(large)} streams want more tags than the Image API reads of one request; nothing was changed: "
                f"{listed(large)}. Restore other namespaces, and the images of these with `ac image mirror`"
            )
        after = self._changes([item for item in others if kind_of(item) in AFTER_IMAGES])
        self._refuse([*before, *changes, *after])
        self._rehearse([*before, *changes, *after], missing)
        sent: list[Sent] = []
        if content.with_images:
            there = frozenset(content.images) - gone
            sent = sent_for(images, there, [change.document for change in changes], streams)
        lacking = self._copying.lacking([*images, *(one.becomes for one in sent)])
        if lacking.unknown:
            raise Refused(f"the registry cannot be asked for images: {_said(lacking.unknown)}")
        if not content.with_images and lacking.all:
            raise Refused(
                f"the backup {backup.name} was made without images, and {len(lacking.all)} of those it names are not "
                f"in the registry: {_said(lacking.all)}. Bring the storage back first"
            )
        lost = frozenset(lacking.lost)
        copies = self._copied(sent, lost, apply=False)
        if copies.failed:
            raise Refused(f"the registry cannot be asked for images: {_said(copies.failed)}")
        previous = self._folder.earlier(content.namespaces, backup.name)
        if previous and (fewer := previous.fewer(content.counts)):
            self._tell(f"the backup {previous.name} of {previous.made} had much more: {', '.join(fewer)}")
        held = {image.digest for image in images}
        signatures = [one for one in content.signatures if one["metadata"]["name"].partition("@")[0] in held]
        unsigned = tuple(self._signatures.missing(signatures))
        return Plan(
            backup,
            missing,
            before,
            changes,
            images,
            tuple(sent),
            after,
            unsigned,
            copies,
            lost,
            self._kept(others),
            previous,
            gone,
        )

    def apply(self, plan: Plan) -> Copied:
        """Do it, then verify everything."""
        for name in plan.namespaces:
            self._client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        for change in plan.before:
            self._write(change)
        for change in plan.streams:
            if change.what == CREATE:
                self._streams.begin(change.document)
        copied = self._copied(plan.sent, plan.lost, apply=True)
        self._tell(f"{copied.images} images brought back, {copied.bytes} bytes")
        if copied.failed:
            raise NotRestored(
                f"{len(copied.failed)} images could not be brought back: {_said(copied.failed)}. Cure the reasons and "
                "run again: what is done is not done again"
            )
        for change in plan.streams:
            self._streams.finish(change.document)
        for signature in plan.signatures:
            self._signatures.add(signature)
        for change in plan.after:
            self._write(change)
        self._prove(plan)
        return copied

    def _copied(self, sent: Collection[Sent], lost: Collection[Image], *, apply: bool) -> Copied:
        """What the registry lacks, and anew what it has lost the bytes of: it would say that it has that already."""
        parts = (
            self._copying.bring_back([one for one in sent if one.becomes in lost], anew=True),
            self._copying.bring_back(one for one in sent if one.becomes not in lost),
        )
        done = [part.apply() if apply else part.foreseen() for part in parts]
        return together(done, {image: why for one in done for image, why in one.failed.items()})

    def _verify(self, images: Sequence[Image]) -> frozenset[Image]:
        """Images that are not in the folder as they were saved, nor in the registry, which was accepted of each."""
        faults = self._store.faults(images, deep=self._wish.deep, tell=self._tell)
        accepted = {image for image in faults if any(fnmatchcase(str(image), one) for one in self._wish.accept)}
        if refused := {image: why for image, why in faults.items() if image not in accepted}:
            raise Damaged(
                f"{len(refused)} of {len(images)} images in {self._folder.images} are not what was saved, and nothing "
                f"was changed: {_said(refused)}. Take another copy of the folder, or accept by name that they stay "
                "away (accept: <repository>@<digest>; * stands for any text)"
            )
        lacking = self._copying.lacking(accepted)
        if lacking.unknown:
            raise Refused(f"the registry cannot be asked for images: {_said(lacking.unknown)}")
        for image in sorted(lacking.all):
            self._tell(f"{image} stays away: {faults[image]}")
        return frozenset(lacking.all)

    def _kept(self, documents: Iterable[Document]) -> tuple[str, ...]:
        """Settings of the living registry that a backup does not change."""
        found = []
        for item in documents:
            there = self._client.find(path_of(item, kind_of(item))) if item["kind"] == "Config" else None
            if there is not None and (wanted := as_there(item, there)) != item:
                keys = [key for key in PLACES if wanted["spec"].get(key) != (item.get("spec") or {}).get(key)]
                found += [f"{identity(item)}: spec.{key}" for key in keys]
        return tuple(found)

    def _is_elsewhere(self, item: Document) -> bool:
        return kind_of(item).where == "namespace" and place_of(item) != self._wish.namespace

    def _chosen(self, namespace: str) -> bool:
        return not self._wish.namespaces or namespace in self._wish.namespaces

    def _namespaces(self, documents: Iterable[Document]) -> tuple[str, ...]:
        wanted = sorted({place for item in documents if (place := place_of(item))})
        missing = tuple(name for name in wanted if self._client.find(f"{NAMESPACES}/{name}") is None)
        if missing and not self._wish.create_namespaces:
            raise Refused(
                f"{len(missing)} namespaces do not exist: {listed(missing)}. Make them as they were, or let them be "
                "made without labels (create_namespaces)"
            )
        return missing

    def _changes(self, documents: Iterable[Document]) -> tuple[Change, ...]:
        found = []
        for document in documents:
            kind = kind_of(document)
            there = self._client.find(path_of(document, kind))
            if there is None:
                found.append(Change(CREATE, document))
            elif (before := as_kept(there, kind)) != (wanted := as_there(document, there)):
                found.append(Change(REPLACE, wanted, before))
        return tuple(found)

    def _refuse(self, changes: Iterable[Change]) -> None:
        other = [change.name for change in changes if change.what == REPLACE and not self._may_replace(change)]
        if other:
            raise Refused(
                f"{len(other)} objects are there and not as the backup has them; nothing was changed: {listed(other)}. "
                "Name those that shall be replaced (overwrite; * stands for any text), or delete them"
            )

    def _may_replace(self, change: Change) -> bool:
        begun = change.before is not None and is_marked(change.before)
        return begun or any(fnmatchcase(change.name, pattern) for pattern in self._wish.overwrite)

    def _rehearse(self, changes: Iterable[Change], missing: Collection[str]) -> None:
        """Let the API server check what would be made, with the rights and rules of the real run."""
        for change in changes:
            if change.what == CREATE and place_of(change.document) not in missing:
                body = {key: value for key, value in change.document.items() if key != "status"}
                path = path_of(change.document, kind_of(change.document)).rpartition("/")[0]
                try:
                    self._client.create(path, body, query=DRY)
                except KubeError as error:
                    raise Refused(f"{change.name} cannot be made, and nothing was changed: {error}") from None

    def _write(self, change: Change) -> None:
        kind = kind_of(change.document)
        path = path_of(change.document, kind)
        self._tell(f"{change.what} {change.name}")
        if change.what == CREATE:
            self._client.create(path.rpartition("/")[0], change.document)
            return
        there = self._client.get(path)
        if "roleRef" in change.document and there.get("roleRef") != change.document["roleRef"]:
            self._client.delete(path)  # Kubernetes lets nobody change what a binding grants
            self._client.create(path.rpartition("/")[0], change.document)
            return
        self._client.replace(path, over(there, change.document))

    def _prove(self, plan: Plan) -> None:
        """Read again everything that was written, and ask for every image."""
        wrong = [change.name for change in self._changes(change.document for change in plan.objects)]
        if wrong:
            raise NotRestored(
                f"{len(wrong)} objects are not as the backup has them, somebody changed them: {listed(wrong)}"
            )
        if unsigned := self._signatures.missing(plan.signatures):
            raise NotRestored(f"{len(unsigned)} signatures were not kept. Run again")
        absent = self._copying.lacking([*plan.images, *(one.becomes for one in plan.sent)]).all
        if absent:
            raise NotRestored(f"{len(absent)} images cannot be pulled: {_said(absent)}")
        self._tell(
            f"{len(plan.objects)} objects read again; of {len(plan.images)} images each manifest was fetched, every "
            "blob asked for"
        )


def _said(faults: Mapping[Image, str]) -> str:
    return "; ".join(f"{image}: {why}" for image, why in sorted(faults.items())[:5])

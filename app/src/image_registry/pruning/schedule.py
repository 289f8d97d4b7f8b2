"""What the schedule keeps, for runs that somebody starts by hand: the rules of the CronJob ``image-pruner``.

Whoever wrote ``exclude: [^platform/]`` or ``keepYoungerThanDuration: 30d`` said what the registry shall never lose, and
said it once. A run by hand that knew only its own options would delete it. The CronJob is where that stands, whether
the operator or Helm wrote it, and there the chart names every host of the registry too; whoever prunes may read
CronJobs anyway, because they name images.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.errors import KubeError
from image_registry.pruning.rules import InvalidRule, Rules, parse_duration, parse_patterns

CRONJOB = "image-pruner"
NAMESPACE = "image-registry-system"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Members are ``None`` or empty where nothing is said, as in a cluster without the CronJob. Times are seconds."""

    keep_younger_than: int | None = None
    keep_tag_revisions: int | None = None
    exclude: tuple[str, ...] = ()
    image_fields: tuple[str, ...] = ()
    registry_hosts: tuple[str, ...] = ()
    unread: bool = False
    """There may be one, and who asks may not read it."""

    def held(self, rules: Rules, *, age_given: bool, revisions_given: bool) -> Rules:
        """The rules of a run: what it does not say is as here, and what is excluded here stays in every run.

        Raises :class:`InvalidRule` for an expression of the schedule that cannot be read.
        """
        age, revisions = rules.keep_younger_than, rules.keep_tag_revisions
        if not age_given and not rules.over_limit and self.keep_younger_than is not None:
            age = self.keep_younger_than
        if not revisions_given and self.keep_tag_revisions is not None:
            revisions = self.keep_tag_revisions
        allowed = (*rules.allowed, *parse_patterns(self.exclude))
        return replace(rules, keep_younger_than=age, keep_tag_revisions=revisions, allowed=allowed)

    def keeps_more(self, rules: Rules) -> Iterator[str]:
        """What a run with these rules would let go and the schedule keeps, as sentences; nothing where it is no weaker.

        A run for images beyond their limit says with that alone that age and revisions do not count.
        """
        if rules.over_limit:
            return
        if self.keep_younger_than is not None and rules.keep_younger_than < self.keep_younger_than:
            yield f"what is younger than {_span(self.keep_younger_than)} (asked for: {_span(rules.keep_younger_than)})"
        if self.keep_tag_revisions is not None and rules.keep_tag_revisions < self.keep_tag_revisions:
            yield f"{self.keep_tag_revisions} newest images of each tag (asked for: {rules.keep_tag_revisions})"


def read_schedule(client: ClusterClient, namespace: str = NAMESPACE) -> Schedule:
    """What the CronJob in the registry's namespace says; nothing where there is none.

    Raises :class:`InvalidRule` for one that cannot be understood, KubeError and ClusterUnreachable.
    """
    path = object_path("batch/v1", "cronjobs", namespace=namespace)
    try:
        found = client.get(path, query={"fieldSelector": f"metadata.name={CRONJOB}"})
    except KubeError as error:
        if error.forbidden:
            return Schedule(unread=True)  # who asks says whether a run may do without it
        if error.not_found:
            return Schedule()
        raise
    for item in found.get("items") or ():
        if item["metadata"]["name"] == CRONJOB:
            return _understood(item, f"CronJob {namespace}/{CRONJOB}")
    return Schedule()


def _understood(job: dict[str, object], where: str) -> Schedule:
    spec: object = job
    for member in ("spec", "jobTemplate", "spec", "template", "spec"):
        spec = spec.get(member) if isinstance(spec, dict) else None
    containers = spec.get("containers") if isinstance(spec, dict) else None
    for container in containers or ():
        arguments = [str(text) for text in container.get("args") or ()]
        if "--" in arguments:
            return parse_schedule(arguments[arguments.index("--") + 1 :], where)
    raise InvalidRule(
        f"{where} does not prune as this version knows it, so what it keeps is not known and nothing was done: look at "
        "its arguments, and upgrade the registry or this program"
    )


def parse_schedule(arguments: Iterable[str], where: str) -> Schedule:
    """From options of ``ac adm prune images``, ``--name=value``. Raises :class:`InvalidRule`."""
    said: dict[str, list[str]] = {}
    for text in arguments:
        name, _equals, value = text.partition("=")
        said.setdefault(name, []).append(value)
    try:
        ages = [parse_duration(text) for text in said.get("--keep-younger-than", ())]
        revisions = [int(text) for text in said.get("--keep-tag-revisions", ())]
    except ValueError as error:
        raise InvalidRule(f"{where}: {error}") from None
    return Schedule(
        keep_younger_than=max(ages, default=None),
        keep_tag_revisions=max(revisions, default=None),
        exclude=tuple(said.get("--whitelist", ())),
        image_fields=tuple(said.get("--image-field", ())),
        registry_hosts=tuple(said.get("--registry-host", ())),
    )


def _span(seconds: int) -> str:
    """As people write it, in the largest unit that leaves no rest."""
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds and seconds % length == 0:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"

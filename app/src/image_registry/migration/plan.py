"""A plan: phases of steps that later are executed as they stand here, by version and digest.

A step says what it is about, what it expects and what it leaves; whoever executes it decides nothing. The values of
Secrets are in none of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from image_registry.migration.content import ContentSummary
from image_registry.migration.documents import InvalidDocument, digest_of, from_document, to_document
from image_registry.migration.facts import ObjectName
from image_registry.migration.findings import Finding, open_blockers
from image_registry.migration.limit_conversion import LimitPlan
from image_registry.migration.names import Rename
from image_registry.migration.phases import LOOKING, NO_WAY_BACK, Action, Phase
from image_registry.migration.rewriting import Change, ObjectRewrite
from image_registry.migration.role_conversion import RoleConversion
from image_registry.migration.spelling import Said, Spelling, command_line

VERSION = 3
_HOLDING = frozenset({"hold", "gone"})
"""Parameters of waits that put a finalizer on roles, and make them again."""

READ = (1, 2, VERSION)
"""The first knew no identities of clusters, the second neither releases that are applied again nor a gateway that goes:
what has begun with one of them can be taken back, and be ended by who accepts :data:`OLD`."""

OLD = "plan-version"
"""The name by which a plan of an earlier version is accepted."""


@dataclass(frozen=True, slots=True)
class Step:
    """``id`` is unique in the plan and stays the same as long as the step means the same."""

    id: str
    phase: Phase
    action: Action
    title: str
    object: ObjectName | None = None
    changes: tuple[Change, ...] = ()
    document: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    undo: str = ""
    """How a rollback takes it back; empty: there is nothing to take back."""
    seconds: float = 0.0
    """An estimate."""


def gives_up(step: Step) -> bool:
    """Whether there is no way back behind it: of the phases that have none, what is neither a gate nor taken back."""
    return step.phase in NO_WAY_BACK and step.action is not Action.GATE and not step.undo


def only_looks(step: Step) -> bool:
    """Whether it writes nothing into a cluster or a registry; a wait may hold what must not go meanwhile."""
    return step.action in LOOKING and not _HOLDING & set(step.parameters)


@dataclass(frozen=True, slots=True)
class Estimate:
    """Of what the plan was told and what was surveyed; ``pause`` is for how long writes are refused."""

    bytes_copied: int = 0
    images: int = 0
    seconds: float = 0.0
    pause: float = 0.0
    assumptions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """``values`` are those of this registry's installation, in its one language."""

    version: int
    made: str
    source: str
    source_namespace: str
    target_namespace: str
    server: str
    way: str
    why: str
    host: str
    inventory: str
    """Digest of the inventory it was made from."""
    values: Mapping[str, Any] = field(default_factory=dict)
    pruner: Mapping[str, Any] = field(default_factory=dict)
    content: ContentSummary | None = None
    steps: tuple[Step, ...] = ()
    renames: tuple[Rename, ...] = ()
    rewrites: tuple[ObjectRewrite, ...] = ()
    roles: tuple[RoleConversion, ...] = ()
    limits: LimitPlan = field(default_factory=LimitPlan)
    gaps: tuple[str, ...] = ()
    """Settings of the registry before that this one does not have."""
    findings: tuple[Finding, ...] = ()
    estimate: Estimate = field(default_factory=Estimate)
    digest: str = ""
    cluster_uid: str = ""
    """Of the namespace kube-system; empty if it could not be read: then the address has to be the same."""
    global_uid: str = ""
    """The same of the global cluster; empty for one that was not asked."""

    @property
    def blockers(self) -> tuple[Finding, ...]:
        """What stands in the way and was not accepted."""
        return tuple(open_blockers(self.findings))

    @property
    def old(self) -> bool:
        """Whether it was made by an earlier version, and so lacks steps that one made now would have."""
        return self.version < VERSION

    @property
    def ready(self) -> bool:
        """Whether it may be executed."""
        return not self.blockers

    @property
    def exceptions(self) -> tuple[Finding, ...]:
        """What was accepted by name."""
        return tuple(finding for finding in self.findings if finding.accepted)

    def phase(self, phase: Phase) -> Iterator[Step]:
        """Steps of a phase, in their order."""
        return (step for step in self.steps if step.phase is phase)


def sealed(plan: Plan) -> Plan:
    """With the digest of everything else in it, but the time at which it was made.

    Raises ``ValueError`` for two steps of one identity: a journal would take the second for done with the first.
    """
    twice = [name for name, times in Counter(step.id for step in plan.steps).items() if times > 1]
    if twice:
        raise ValueError(f"two steps have the identity {twice[0]}")
    plain = from_document(Plan, to_document(plan))  # numbers and lists as they are read again
    return replace(plain, digest=_digest(plain))


def write_plan(plan: Plan) -> dict[str, Any]:
    """As a document, with the digest."""
    found: dict[str, Any] = to_document(plan)
    return found


def read_plan(document: Any, spelling: Spelling = command_line) -> Plan:
    """Raises :class:`InvalidDocument` for what is none, of another version, or was changed after it was made."""
    if not isinstance(document, dict) or document.get("version") not in READ:
        raise InvalidDocument(f"this is no plan of version {VERSION}: make it by {spelling(Said.DO_PLAN)}")
    plan = from_document(Plan, document, "the plan")
    if plan.digest != _digest(plan):
        raise InvalidDocument("the plan was changed after it was made: make it anew, with the choices you want")
    return plan


def _digest(plan: Plan) -> str:
    return digest_of(to_document(replace(plan, digest="", made="")))

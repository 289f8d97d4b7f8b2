"""The phases of a migration in their order, and what each of them may do to the cluster."""

from __future__ import annotations

from enum import StrEnum


class Phase(StrEnum):
    """The first three change nothing; up to ``OBSERVE`` everything can be taken back."""

    DISCOVER = "discover"
    ASSESS = "assess"
    PLAN = "plan"
    PREPARE = "prepare"
    FREEZE = "freeze"
    ATTACH = "attach"
    COPY = "copy"
    BACKFILL = "backfill"
    GATES = "gates"
    CUTOVER = "cutover"
    OBSERVE = "observe"
    FINALIZE = "finalize"


ORDER = tuple(Phase)
READ_ONLY = frozenset({Phase.DISCOVER, Phase.ASSESS, Phase.PLAN})
NO_WAY_BACK = frozenset({Phase.FINALIZE})


class Action(StrEnum):
    """What a step does. The step's fields say with what."""

    APPLY = "apply"
    """Make ``document``, or let it be so; what was there before is saved."""
    PATCH = "patch"
    """Write ``changes``, if what stands there is what they expect."""
    HOLD = "hold"
    """Keep the platform from applying a release again: annotations go, and come back as they were."""
    GIVE_BACK = "give-back"
    """The end of ``hold`` for a release that stays: what that step has saved stands there again."""
    DELETE = "delete"
    """Remove the object; it is saved before."""
    SAVE = "save"
    """Write down an object as it is, for the way back."""
    COPY_SECRET = "copy-secret"  # noqa: S105 - the name of an action
    """A Secret in another place, keys renamed by ``parameters``; its values are in no plan and no journal."""
    INSTALL = "install"
    """This registry with the plan's values."""
    BIND = "bind"
    """A volume to a claim of this registry, with the old claim left as it is."""
    COPY_IMAGES = "copy-images"
    RENAME_IMAGES = "rename-images"
    """Links under new names to bytes that are there."""
    BACKFILL = "backfill"
    """Streams, tags and Images from what lies in the storage, in full."""
    COMPARE_TAGS = "compare-tags"
    """Nothing on the way there; on the way back, what was pushed since must be known and accepted."""
    GATE = "gate"
    """Something that must be true of the whole list; a gate that is not stops what follows."""
    WAIT = "wait"
    BY_HAND = "by-hand"
    """Nothing here can do it; it is told, and confirmed by a person."""


LOOKING = frozenset({Action.SAVE, Action.COMPARE_TAGS, Action.GATE, Action.WAIT, Action.BY_HAND})
"""Actions that write nothing into a cluster or a registry; what they find out goes into the journal alone."""

"""What a run, or a rollback, would do now: the same refusals in the same words, and nothing written.

Steps are looked at in their order, each after what those before it would leave (``ahead``). So is a phase whose turn
has not come. What a step will find is asked now where no earlier step can change the answer; else it is said that
nobody knows, and nothing is guessed.
"""

from __future__ import annotations

import errno
import fcntl
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from image_registry.migration.actions import Context, NotYet, StepFailed
from image_registry.migration.ahead import Ahead, NotGreen, Unforeseen
from image_registry.migration.execution import (
    EXPECTED,
    Doers,
    Refused,
    Stopped,
    TooEarly,
    busy,
    check,
    decided,
    doer_of,
    failed,
    not_green,
    not_taken_back,
    same_clusters,
    steps_of,
    to_undo,
    unwritable,
    without_holes,
)
from image_registry.migration.holding import Held, Hold
from image_registry.migration.journal import Journal
from image_registry.migration.phases import Action, Phase
from image_registry.migration.plan import Step, only_looks


@dataclass(frozen=True, slots=True)
class Foreseen:
    """A step that a run would do; ``change`` is empty where everything is so already."""

    step: Step
    change: str
    unknown: str = ""
    """Why nobody can say yet what it will change, or find."""
    reached: bool = True
    """False for one that a run would not come to."""

    @property
    def writes(self) -> bool:
        """Whether the run would change something by it, as far as anybody can say."""
        return self.reached and not only_looks(self.step) and bool(self.change or self.unknown)

    def __str__(self) -> str:
        return self.change or (f"not known yet: {self.unknown}" if self.unknown else "nothing")


@dataclass(frozen=True, slots=True)
class Foresight:
    """``end`` is how the run would end before its end, in its words."""

    steps: tuple[Foreseen, ...]
    end: Refused | Stopped | None = None


def foresee(
    context: Context, journal: Journal, doers: Doers, phases: Iterable[Phase], assumed: Iterable[Phase] = ()
) -> Foresight:
    """What a run would do now if the ``assumed`` phases were done; nothing is written but into ``context.folder``.

    Raises :class:`Refused` for a plan, or phases, that must not be executed here.
    """
    wanted, before = without_holes(context.plan, phases, context.spelling), frozenset(assumed)
    check(context, ())
    steps = steps_of(journal, wanted, before - wanted)
    context = replace(context, ahead=Ahead())
    for step in journal.left():
        if step.phase in before - wanted and not only_looks(step):
            _foreseen(context, journal, doers, step)
    refused = _refused(context, journal, doers, steps)
    found, end = _all(context, journal, doers, steps)
    if refused is not None:
        return Foresight(tuple(replace(entry, reached=False) for entry in found), refused)
    return Foresight(found, end)


def foresee_back(context: Context, journal: Journal, doers: Doers) -> Foresight:
    """The same of a rollback, whose steps are in its order. Raises :class:`Refused`."""
    same_clusters(context, ())
    steps = to_undo(journal)
    if not steps and not journal.identity:
        return Foresight(())
    decided(context, (step for step, _ in steps if step.action is Action.INSTALL))
    if refused := _held(context, journal):
        raise refused
    end = None
    if steps and steps[0][0].action is Action.COMPARE_TAGS:  # it only looks, and nothing was taken back before it
        step, saved = steps[0]
        try:
            doer_of(doers, step).undo(step, saved, context)
        except EXPECTED as error:
            end = not_taken_back(step, error)
    return Foresight(tuple(Foreseen(step, step.undo, reached=end is None) for step, _ in steps), end)


def _refused(context: Context, journal: Journal, doers: Doers, steps: list[Step]) -> Refused | None:
    """Before anything is done; the steps are shown all the same."""
    try:
        check(context, steps)
        decided(context, steps)
        for step in steps:
            doer_of(doers, step)
    except Refused as error:
        return error
    return _held(context, journal)


def _held(context: Context, journal: Journal) -> Refused | None:
    try:
        Hold(context, journal).look()
    except Held as error:
        return Refused(str(error))
    return None


def _all(
    context: Context, journal: Journal, doers: Doers, steps: list[Step]
) -> tuple[tuple[Foreseen, ...], Refused | Stopped | None]:
    found: list[Foreseen] = []
    red: list[str] = []
    end: Refused | Stopped | None = None
    for step in steps:
        entry, ended = _foreseen(context, journal, doers, step)
        reached = end is None and not (red and step.action is not Action.GATE)
        found.append(replace(entry, reached=reached))
        if not reached:
            continue
        if isinstance(ended, NotGreen):
            red += context.not_accepted(ended.open)
        elif ended is not None:
            end = ended
    return tuple(found), end or (not_green(red, context.spelling) if red else None)


def _foreseen(
    context: Context, journal: Journal, doers: Doers, step: Step
) -> tuple[Foreseen, Refused | Stopped | NotGreen | None]:
    """What one step would do, and how a run would end by it."""
    ahead = context.ahead
    ahead.saved = journal.saved(step) or {}
    end: Refused | Stopped | NotGreen | None = None
    try:
        found = Foreseen(step, doer_of(doers, step).foresee(step, context))
    except Refused as error:
        found, end = Foreseen(step, "", str(error)), error
    except Unforeseen as error:
        found = Foreseen(step, "", str(error))
    except NotGreen as error:
        found, end = Foreseen(step, f"NOT GREEN: {error}"), error
    except NotYet as error:
        found, end = Foreseen(step, f"waits: {error}"), TooEarly(str(error))
    except EXPECTED as error:
        found = Foreseen(step, "", f"cannot be seen from here: {error}")
        if isinstance(error, StepFailed) or not ahead.writes:
            found, end = Foreseen(step, f"fails: {error}"), failed(step, error, back=False)
    if found.writes:
        ahead.writes.append(step)
    return found, end


@contextmanager
def looked_at(path: Path) -> Iterator[Path]:
    """For who only looks at a journal: a folder for what is kept meanwhile, which is gone afterwards.

    Nothing is written where the journal is, or would be. Raises :class:`Refused` where a run would be refused.
    """
    lock = Path(f"{path}.lock")
    try:
        descriptor = os.open(lock, os.O_RDONLY)
    except (FileNotFoundError, NotADirectoryError):
        descriptor = None
        if why := _no_room(path.parent):
            raise unwritable(path, os.strerror(why)) from None
    except OSError as error:
        raise unwritable(path, error.strerror) from None
    try:
        if descriptor is not None:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                raise busy(path) from None
        with tempfile.TemporaryDirectory(prefix="image-registry-migration-") as scratch:
            yield Path(scratch)
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _no_room(folder: Path) -> int:
    """Why nothing could be made in a folder, or the folder itself; 0 if it could."""
    wanted = folder
    while not os.path.lexists(folder) and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        return errno.EEXIST if folder == wanted else errno.ENOTDIR
    return 0 if os.access(folder, os.W_OK | os.X_OK) else errno.EACCES


def lines(found: Iterable[Foreseen]) -> list[str]:
    """One for each step, for people."""
    return [f"{entry.step.phase} {entry.step.id}: {entry}" for entry in found]

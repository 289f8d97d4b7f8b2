"""What verifications and scrubs have found that no later one has shown to be healed. Pure.

Two things can be wrong, and each is healed by another look. Bytes that are there and wrong: by a scrub, or by a
verification that read as much. What is not there, which is also what a scrub has put aside: by a verification alone,
because a scrub reads what is there and says nothing about the rest. A look heals what was found before it began.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from image_registry.upkeep.integrity import NOBODY_LOOKED, Integrity
from image_registry.upkeep.runs import Kind, Outcome, Run

INTEGRITY = frozenset({Kind.VERIFY, Kind.SCRUB})
"""Runs that look at what lies in the storage."""

WRONG = ("corrupt", "unreadable")
LACKING = ("missing", "unlinked", "damaged", "tag-differs")
"""Faults of a verification (:data:`~image_registry.upkeep.verifying.FAULTS`), by what heals them."""

TOLD = 3
"""Runs whose findings a message names; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """``needed`` are the runs that it stands on."""

    integrity: Integrity
    needed: frozenset[str]


@dataclass(slots=True)
class _Look:
    """One run; ``wrong`` and ``lacking`` are what of its findings stands."""

    run: Run
    begun: datetime
    ended: datetime
    scope: str
    """Empty for everything."""
    deep: bool
    """Whether it read every byte."""
    totals: Mapping[str, int]
    wrong: bool
    lacking: bool

    @property
    def whole(self) -> bool:
        """Whether it came to its end: then it says something about what it did not find, too."""
        return self.run.outcome is Outcome.SUCCEEDED

    @property
    def stands(self) -> bool:
        return self.wrong or self.lacking

    def covers(self, other: _Look) -> bool:
        return self.scope in ("", other.scope) or other.scope.startswith(f"{self.scope}/")

    def heal(self, before: _Look) -> None:
        """Take away of an older look what would have been found again."""
        if not self.whole or self.begun < before.ended or not self.covers(before):
            return
        if self.deep or not before.deep:
            before.wrong = False
        if self.run.kind is Kind.VERIFY:
            before.lacking = False


def judge(runs: Iterable[Run]) -> Judgement:
    """What is known from these, in any order."""
    looks = sorted((look for run in runs if (look := _look(run)) is not None), key=lambda look: look.ended)
    standing: list[_Look] = []
    verified = read_verified = scrubbed = partly = None
    for look in looks:
        for before in standing:
            look.heal(before)
        standing = [before for before in standing if before.stands]
        if look.stands:
            standing.append(look)
        if not look.whole:
            continue
        if look.run.kind is Kind.SCRUB:
            scrubbed = look
        elif look.scope:
            partly = look
        else:
            verified, read_verified = look, look if look.deep else read_verified
    needed = {look.run.id for look in (verified, read_verified, scrubbed, partly, *standing) if look is not None}
    if standing:
        return Judgement(_found(standing), frozenset(needed))
    return Judgement(_well(verified, read_verified or scrubbed, scrubbed, partly), frozenset(needed))


def _look(run: Run) -> _Look | None:
    """What a run says; ``None`` if that is nothing."""
    if run.kind not in INTEGRITY or run.begun is None or run.ended is None:
        return None
    if run.kind is Kind.SCRUB:
        totals = _scrub_totals(run)
        if totals is None:
            return None
        left = totals["unreadable"] or (totals["corrupt"] and not run.changes)
        lacking = totals["putAside"] > totals["fetchedAgain"]
        return _Look(run, run.begun, run.ended, "", deep=True, totals=totals, wrong=bool(left), lacking=lacking)
    if run.report is None:
        return None
    totals = {kind: int(count) for kind, count in run.report.get("totals", {}).items()}
    parts = (str(run.options.get(name) or "") for name in ("namespace", "repository"))
    scope, deep = "/".join(part for part in parts if part), bool(run.options.get("deep"))
    wrong, lacking = (any(totals.get(kind) for kind in kinds) for kinds in (WRONG, LACKING))
    return _Look(run, run.begun, run.ended, scope, deep=deep, totals=totals, wrong=wrong, lacking=lacking)


def _scrub_totals(run: Run) -> dict[str, int] | None:
    """Of one that was stopped or given up, what it had noted until then."""
    report, notes = run.report, run.notes
    if report is not None:
        found = {kind: int(report.get("totals", {}).get(kind, 0)) for kind in WRONG}
        return found | {name: int(report.get(name, 0)) for name in ("putAside", "fetchedAgain")}
    if not notes:
        return None
    found = {kind: len(notes.get(kind, ())) for kind in WRONG}
    return found | {"putAside": int(notes.get("put_aside", 0)), "fetchedAgain": int(notes.get("fetched", 0))}


def _found(standing: list[_Look]) -> Integrity:
    """Wrong bytes that clients can still get come first, then the newest."""
    ordered = sorted(standing, key=lambda look: (look.wrong, look.ended), reverse=True)
    said = [_sentence(look) for look in ordered[:TOLD]]
    if len(ordered) > TOLD:
        said.append(f"{len(ordered) - TOLD} more runs have found something: `ac adm registry runs` lists them")
    cures = dict.fromkeys(cure for look in ordered[:TOLD] for cure in _cures(look))
    return Integrity("False", _reason(ordered[0]), f"{'; '.join(said)}. {'; '.join(cures)}")


def _reason(look: _Look) -> str:
    if look.wrong:
        return "CorruptBlobs" if look.totals.get("corrupt") and not look.run.changes else "UnreadableBlobs"
    return "CorruptBlobsPutAside" if look.run.kind is Kind.SCRUB else "ContentMissing"


def _sentence(look: _Look) -> str:
    if look.run.kind is Kind.VERIFY:
        kinds = (*(WRONG if look.wrong else ()), *(LACKING if look.lacking else ()))
        counts = ", ".join(f"{look.totals[kind]} {kind}" for kind in kinds if look.totals.get(kind))
        return f"the verification of {look.scope or 'everything'} that ended {_when(look)} found {counts}"
    corrupt, unreadable, aside, again = (look.totals[name] for name in (*WRONG, "putAside", "fetchedAgain"))
    said = []
    if corrupt and not look.run.changes and look.wrong:
        said.append(f"found {_blobs(corrupt, 'corrupt')} and left what it found where it lies")
    if unreadable and look.wrong:
        said.append(f"could not read {_blobs(unreadable)}")
    if look.lacking:
        fetched = f"fetched {again} of them again" if again else "fetched none of them again"
        said.append(f"found {_blobs(corrupt, 'corrupt')}, put {aside} aside and {fetched}")
    return f"{_name(look)} {' and '.join(said)}"


def _cures(look: _Look) -> list[str]:
    found = []
    if look.wrong and look.totals.get("corrupt") and not look.run.changes:
        found.append("put corrupt blobs aside by `ac adm registry scrub --confirm`: until then clients get wrong bytes")
    if look.wrong and look.totals.get("unreadable"):
        found.append("look at the disk or the object store, then read again by `ac adm registry scrub`")
    if look.lacking:
        scope = f" {look.scope}" if look.scope else ""
        found.append(
            f"`ac adm registry verify{scope}` names what lacks something: push those images again, and verify again"
        )
    return found


def _well(verified: _Look | None, read: _Look | None, scrubbed: _Look | None, partly: _Look | None) -> Integrity:
    """Nothing stands: images are intact if somebody saw that everything is there, and somebody read every byte."""
    if verified is None and scrubbed is None:
        if partly is None:
            return NOBODY_LOOKED
        message = f"of {partly.scope} alone the verification that ended {_when(partly)} found everything there"
        return Integrity("Unknown", "PartlyLookedAt", f"{message}: `ac adm registry verify` looks at everything")
    said = []
    if verified is not None:
        right = ", and every byte right" if verified.deep and not any(map(verified.totals.get, WRONG)) else ""
        if any(map(verified.totals.get, (*WRONG, *LACKING))):
            said.append(f"what the verification that ended {_when(verified)} found is healed")
        else:
            said.append(f"the verification that ended {_when(verified)} found everything there{right}")
    if scrubbed is not None:
        wrong = sum(scrubbed.totals[kind] for kind in WRONG)
        found = f"found {_blobs(wrong, 'wrong')}, which are healed: look at what keeps the bytes"
        said.append(f"{_name(scrubbed)} {found if wrong else 'found every byte right'}")
    if verified is None:
        said.append("`ac adm registry verify` says whether everything is there")
    if read is None:
        said.append("`ac adm registry scrub` says whether its bytes are right")
    if verified is None or read is None:
        return Integrity("Unknown", "PartlyLookedAt", "; ".join(said))
    return Integrity("True", "AsExpected", "; ".join(said))


def _name(look: _Look) -> str:
    return f"the scrub that {'ended' if look.whole else 'was broken off'} {_when(look)}"


def _when(look: _Look) -> str:
    return look.ended.strftime("%Y-%m-%dT%H:%M:%SZ")


def _blobs(count: int, how: str = "") -> str:
    return f"{count} {how}{' ' if how else ''}blob{'' if count == 1 else 's'}"

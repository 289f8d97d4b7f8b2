"""The storage of a migration that is kept: how long the list, the names, the tables and the gates take, and no byte.

CNCF distribution and this registry serve one tree, as they do while a migration attaches the volume of the one to the
other. What is timed of the reuse is what happens between the freeze and the moment at which hosts may move.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.migration_client import context_of
from benchmarks.migration_tree import Shape, stored
from benchmarks.mirror import OPEN, Invalid
from benchmarks.servers import Server, distribution, ours
from image_registry.migration.actions import Outcome
from image_registry.migration.adopting import Backfill, RenameImages
from image_registry.migration.content import ContentFile, ContentWriter
from image_registry.migration.frozen_content import frozen
from image_registry.migration.gating import Gate
from image_registry.migration.phases import Action, Phase
from image_registry.migration.plan import Step
from image_registry.migration.survey_registry import LegacyRegistry, SurveyOptions, survey_registry
from image_registry.migration.survey_storage import survey_storage
from image_registry.remote.asking import Access
from image_registry.storage.filesystem import FilesystemStore

BACKFILL = Step("backfill", Phase.BACKFILL, Action.BACKFILL, "Backfill")
Tell = Callable[[str], None]


def survey(kept: Path, folder: Path, tell: Tell) -> dict[str, float]:
    """Seconds of the three ways to look at everything."""
    found = {}
    tell("survey by the storage")
    with ContentWriter(folder / "seen", "storage", "kept") as writer:
        found["storage"] = survey_storage(FilesystemStore(kept / "data"), writer).seconds
    with legacy(kept, folder / "legacy") as served:
        for name, blobs in (("registry", True), ("registry, manifests believed", False)):
            tell(f"survey by the {name}")
            asked = SurveyOptions(at_once=8, per_second=1e6, check_blobs=blobs)
            with ContentWriter(folder / f"told-{blobs}", "registry", "kept") as writer:
                summary = survey_registry(LegacyRegistry(url(served), Access(insecure=True), asked), writer)
            found[name] = summary.seconds
    return found


def reuse(kept: Path, folder: Path, shape: Shape, tell: Tell) -> dict[str, Any]:
    """Seconds of every step from the freeze to green gates. Raises :class:`Invalid` if one is not green."""
    with ContentWriter(folder / "content", "storage", "kept") as writer:
        survey_storage(FilesystemStore(kept / "data"), writer, count_stored=False)
    for rest in (kept / "data").glob("metadata.db*"):  # of an earlier run
        rest.unlink()
    before, switch = stored(kept / "data"), folder / "read-only"
    switch.write_text("true", encoding="ascii")
    found: dict[str, float] = {}
    with legacy(kept, folder / "legacy") as source, ours(kept, (*OPEN, "--read-only-file", str(switch))) as target:
        context = context_of(folder / "journal", ContentFile(folder / "content"), url(source), url(target))
        names = {rename.old: rename.new for rename in context.plan.renames}
        linking = Step("attach/rename", Phase.ATTACH, Action.RENAME_IMAGES, "Rename", parameters={"names": names})
        steps: list[tuple[str, Callable[[], Outcome]]] = [
            ("list after the freeze", lambda: Outcome(str(frozen(context).path))),
            (f"rename {len(names)} repositories", lambda: RenameImages().do(linking, {}, context)),
            ("backfill", lambda: Backfill().do(BACKFILL, {}, context)),
        ]
        for gate in ("tags", "manifests", "blobs"):
            step = Step(f"gate/{gate}", Phase.GATES, Action.GATE, gate, parameters={"gate": gate})
            steps.append((f"gate {gate}", partial(Gate().do, step, {}, context)))
        for name, call in steps:
            began = time.monotonic()
            outcome = call()
            found[name] = round(time.monotonic() - began, 2)
            tell(f"{name}: {found[name]} s")
            if outcome.open:
                raise Invalid(f"{name}: {len(outcome.open)} items are open, {outcome.open[0]} among them")
        RenameImages().undo(linking, {}, context)
    after = stored(kept / "data")
    if after != before or after[0] != shape.blobs:
        raise Invalid(f"{after[0] - before[0]} blobs of {after[1] - before[1]} bytes were written")
    copied = after[1] - before[1]
    return {"seconds": found, "cutover": round(sum(found.values()), 2), "bytes copied": copied, "bytes": after[1]}


@contextmanager
def legacy(kept: Path, folder: Path) -> Iterator[Server]:
    """CNCF distribution on a tree that is somebody else's folder."""
    folder.mkdir(exist_ok=True)
    if not (folder / "data").exists():
        (folder / "data").symlink_to(kept / "data")
    with distribution(folder) as served:
        yield served


def url(server: Server) -> str:
    """As clients of ours are told."""
    return f"http://{server.address.host}:{server.address.port}"

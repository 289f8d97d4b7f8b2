"""The copy of a migration as a process of its own: SOURCE TARGET FOLDER, where the folder holds the list ``content``.

It says what it took of memory; an image that was not copied is an exit status.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, cast

from benchmarks.usage import own_peak
from image_registry.migration.actions import Context, RegistryDoor
from image_registry.migration.content import ContentFile
from image_registry.migration.copying import CopyImages
from image_registry.migration.item_results import COPIED, read_results, results_path
from image_registry.migration.names import rename_plan
from image_registry.migration.phases import Action, Phase
from image_registry.migration.plan import Plan, Step, sealed
from image_registry.remote.asking import Access

COPY = Step("copy/all", Phase.PREPARE, Action.COPY_IMAGES, "Copy all")


def context_of(folder: Path, content: ContentFile, source: str, target: str) -> Context:
    """What the steps that move data need of a migration."""
    folder.mkdir(exist_ok=True)
    names = [repository.name for repository in content.repositories()]
    return Context(
        plan=sealed(Plan(1, "", "image-registry", "", "", "", "", "", "", "", renames=rename_plan(names, {}))),
        client=cast("Any", None),
        folder=folder,
        settings=cast("Any", None),
        source=RegistryDoor(source, Access(insecure=True)),
        target=RegistryDoor(target, Access(insecure=True, patience=60)),
        content=content,
    )


def copy(source: str, target: str, place: Path) -> dict[str, Any]:
    """Peak of memory, and what the step says. Raises :class:`SystemExit` if an image was not copied."""
    context = context_of(place / "journal", ContentFile(place / "content"), source, target)
    outcome = CopyImages().do(COPY, {}, context)
    results = read_results(results_path(context.folder, COPY)).values()
    wrong = [result for result in results if result["outcome"] != COPIED]
    if wrong:
        sys.exit(f"{len(wrong)} images were not copied, {wrong[0]} among them")
    return {"peak": own_peak(), "said": outcome.detail}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(copy(sys.argv[1], sys.argv[2], Path(sys.argv[3]))))

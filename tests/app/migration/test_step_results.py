"""The report of a migration says of each image that is not well what is wrong, and who accepted it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from image_registry.migration.documents import to_document
from image_registry.migration.item_results import (
    ACCEPTED,
    COPIED,
    FAILED,
    GOOD,
    OPEN,
    ItemResult,
    ResultFile,
    results_path,
)
from image_registry.migration.journal import Journal, State
from image_registry.migration.phases import Action, Phase
from image_registry.migration.plan import Plan, Step, sealed
from image_registry.migration.progress import progress
from image_registry.migration.progress_page import page
from image_registry.migration.step_results import MOST_NAMED, named_in, results_of

COPY = Step("copy/all", Phase.PREPARE, Action.COPY_IMAGES, "Copy all images")
TAGS = Step("gate/tags", Phase.GATES, Action.GATE, "Gate: tags")


def made(folder: Path, **results: list[ItemResult]) -> tuple[Plan, Journal]:
    """A plan of both steps, begun where they have results."""
    plan = sealed(
        Plan(
            1, "", "image-registry", "cpaas-system", "ours", "https://here", "copy", "", "host", "", steps=(COPY, TAGS)
        )
    )
    journal = Journal(folder / "journal", plan)
    for step, found in ((COPY, results.get("copy")), (TAGS, results.get("tags"))):
        if found is not None:
            journal.write(step, State.BEGUN)
            with ResultFile(results_path(folder, step)) as file:
                file.add(found)
    return plan, journal


def result(name: str, outcome: str, cause: str = "", accepted: str = "") -> ItemResult:
    return ItemResult(image=name, outcome=outcome, cause=cause, id=f"tag:{name}", accepted=accepted, bytes=7)


def test_each_image_that_is_not_well_is_in_the_report_with_its_cause(tmp_path: Path) -> None:
    plan, journal = made(
        tmp_path,
        copy=[
            result("team/app:v0", FAILED, "404 for a layer", "missing-blob:team/app/v0"),
            result("team/app:v1", COPIED),
            result("team/app:v2", FAILED, "another <digest>"),
            result("team/app:v3", FAILED, "503"),
            result("team/app:v3", COPIED),  # a later run
        ],
    )
    found = progress(plan, journal, results_of(plan, journal, tmp_path))
    [copied] = found.results
    assert copied.outcomes == {COPIED: 2, FAILED: 2}
    assert copied.bytes == 28
    assert [(entry.name, entry.open) for entry in copied.not_well] == [("team/app:v2", True), ("team/app:v0", False)]
    document: dict[str, Any] = json.loads(json.dumps(to_document(found)))
    assert document["results"][0]["not_well"][0]["cause"] == "another <digest>"
    said = "1 things are not as they must be: tag:team/app:v2. Remove the causes and run again"
    assert named_in(said, found.results) == ["tag:team/app:v2: another <digest>"]
    text = page(plan, found)
    assert "another &lt;digest&gt;" in text, "what a registry says is text, and no markup"
    assert "tag:team/app:v2" in text
    assert "accepted: <code>missing-blob:team/app/v0</code>" in text
    assert "2 failed" in text


def test_what_is_open_is_named_before_what_was_accepted_however_much_that_is(tmp_path: Path) -> None:
    many = [result(f"team/app:{number:04}", ACCEPTED, "it is not here", "tag:*") for number in range(MOST_NAMED + 5)]
    plan, journal = made(tmp_path, tags=[*many, result("team/z:1", OPEN, "it is not here"), result("team/z:2", GOOD)])
    [tags] = results_of(plan, journal, tmp_path)
    assert tags.not_well[0].name == "team/z:1"
    assert (len(tags.not_well), tags.more) == (MOST_NAMED, 6)
    assert "and 6 more" in page(plan, progress(plan, journal, (tags,)))


def test_what_was_taken_back_is_in_no_report(tmp_path: Path) -> None:
    plan, journal = made(tmp_path, copy=[result("team/app:v1", COPIED)])
    journal.write(COPY, State.UNDONE)
    assert results_of(plan, journal, tmp_path) == ()
    assert "one by one" not in page(plan, progress(plan, journal))

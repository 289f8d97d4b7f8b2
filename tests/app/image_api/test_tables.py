"""What ``kubectl get`` prints."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from image_registry.image_api.tables import ago, shortened

NOW = datetime(2030, 6, 1, 12, 0, 0, tzinfo=UTC)


def columns(table: Any) -> list[tuple[str, int]]:
    return [(column["name"], column["priority"]) for column in table["columnDefinitions"]]


def test_streams_show_repository_tags_and_age(filled: Any) -> None:
    table = filled.get("namespaces/team/imagestreams", filled.table)
    assert (table["kind"], table["apiVersion"]) == ("Table", "meta.k8s.io/v1")
    assert columns(table) == [("Name", 0), ("Image Repository", 0), ("Tags", 0), ("Updated", 0)]
    assert [row["cells"][:3] for row in table["rows"]] == [
        ["app", "registry.example.com/team/app", "v1,v10,v2"],
        ["web", "registry.example.com/team/web", "copy,latest"],
    ]
    assert all(row["cells"][3].endswith(" ago") for row in table["rows"])
    assert table["metadata"]["resourceVersion"].isdigit()


def test_stream_tags_show_the_digest_in_wide_output(filled: Any) -> None:
    table = filled.get("namespaces/team-b/imagestreamtags", filled.table)
    assert columns(table) == [("Name", 0), ("Image Reference", 0), ("Updated", 0), ("Image Name", 1)]
    cells = table["rows"][1]["cells"]
    assert cells[0] == "tool:Stable"
    assert cells[1] == f"{filled.host}/team-b/tool@{cells[3]}"


def test_images_show_their_reference(filled: Any) -> None:
    table = filled.get("images", filled.table)
    assert columns(table) == [("Name", 0), ("Image Reference", 0)]
    assert [row["cells"][0] for row in table["rows"]] == filled.names("images")


@pytest.mark.parametrize("path", ["images", "imagestreams", "imagestreamtags"])
def test_every_column_has_a_cell_and_tells_what_it_is(filled: Any, path: str) -> None:
    table = filled.get(path, filled.table)
    for column in table["columnDefinitions"]:
        assert column["type"] == "string"
        assert column["description"]
    assert table["columnDefinitions"][0]["format"] == "name"
    assert table["rows"]
    for row in table["rows"]:
        assert len(row["cells"]) == len(table["columnDefinitions"])
        assert all(isinstance(cell, str) for cell in row["cells"])


def test_one_object_is_a_table_of_one_row(filled: Any) -> None:
    table = filled.get("namespaces/team/imagestreams/app", filled.table)
    assert [row["cells"][0] for row in table["rows"]] == ["app"]


def test_rows_carry_what_the_client_wants_of_the_object(filled: Any) -> None:
    path = "namespaces/team/imagestreams"
    assert filled.get(path, filled.table)["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
    assert "object" not in filled.get(f"{path}?includeObject=None", filled.table)["rows"][0]
    whole = filled.get(f"{path}?includeObject=Object", filled.table)["rows"][0]["object"]
    assert whole == filled.get(f"{path}/app")
    filled.refuse(f"{path}?includeObject=Everything", 400, "BadRequest", accept=filled.table)


def test_pages_of_tables_go_on(filled: Any) -> None:
    page = filled.get("imagestreams?limit=3", filled.table)
    rest = filled.get(f"imagestreams?limit=3&continue={page['metadata']['continue']}", filled.table)
    assert len(page["rows"]) == 3
    assert len(rest["rows"]) == 1
    assert "continue" not in rest["metadata"]


def test_a_stream_without_tags_has_no_age(api: Any) -> None:
    api.push("team/app", "untagged", None)
    assert api.get("imagestreams", api.table)["rows"][0]["cells"][2:] == ["", ""]


def test_many_tags_are_counted() -> None:
    assert shortened(["b", "a"]) == "a,b"
    assert shortened([f"version-{n}" for n in range(10)]) == "version-0,version-1,version-2,version-3 + 6 more..."
    assert shortened(["x" * 100, "y"]) == f"{'x' * 100} + 1 more..."
    assert shortened([]) == ""


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        ("2030-06-01T12:00:00Z", "0 seconds ago"),
        ("2030-06-01T13:00:00Z", "0 seconds ago"),
        ("2030-06-01T11:59:59Z", "1 second ago"),
        ("2030-06-01T11:59:01Z", "59 seconds ago"),
        ("2030-06-01T11:58:59Z", "1 minute ago"),
        ("2030-06-01T10:30:00Z", "1 hour ago"),
        ("2030-05-31T10:00:00Z", "26 hours ago"),
        ("2030-05-25T12:00:00Z", "7 days ago"),
        ("2030-05-01T12:00:00Z", "4 weeks ago"),
        ("2029-12-01T12:00:00Z", "6 months ago"),
        ("2020-06-01T12:00:00Z", "10 years ago"),
        ("", ""),
    ],
)
def test_ages_are_told_as_people_tell_them(moment: str, text: str) -> None:
    assert ago(moment, NOW) == text

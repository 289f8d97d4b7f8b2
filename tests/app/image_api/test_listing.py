"""Lists: every object once, in pages, in the state that was asked for."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import pytest

from image_registry.image_api import whole_lists
from image_registry.image_api.continuation import Place, check_age, decode
from image_registry.image_api.status import Expired
from image_registry.imagestreams import reads
from image_registry.imagestreams.errors import MetadataUnavailable
from image_registry.metadata.revisions import KEPT

KINDS = ["images", "imagestreams", "imagestreamtags", "namespaces/team/imagestreams", "namespaces/team/imagestreamtags"]


def token_of(document: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")


def content_of(token: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))


@pytest.mark.parametrize("path", KINDS)
@pytest.mark.parametrize("limit", [1, 2, 3, 500])
def test_pages_show_every_object_once_and_in_order(filled: Any, path: str, limit: int) -> None:
    whole = filled.get(path)
    found: list[Any] = []
    more = ""
    while True:
        page = filled.get(f"{path}?limit={limit}{more}")
        assert len(page["items"]) <= limit
        assert page["metadata"]["resourceVersion"] == whole["metadata"]["resourceVersion"]
        found += page["items"]
        if "continue" not in page["metadata"]:
            break
        more = f"&continue={page['metadata']['continue']}"
    assert found == whole["items"]


def test_a_namespace_lists_its_own(filled: Any) -> None:
    assert filled.names("namespaces/team/imagestreams") == ["app", "web"]
    assert filled.names("namespaces/team-b/imagestreamtags") == ["app:v1", "tool:Stable"]
    assert filled.names("namespaces/nobody/imagestreams") == []
    assert len(filled.names("imagestreamtags")) == 7
    assert len(filled.names("images")) == 6


@pytest.mark.parametrize("namespace", ["UPPER", "a%00b", "a%0Ab", "-", "x" * 64, "%F0%9F%A6%8A"])
def test_a_namespace_that_cannot_exist_is_empty(filled: Any, namespace: str) -> None:
    for kind in ("imagestreams", "imagestreamtags"):
        found = filled.get(f"namespaces/{namespace}/{kind}")
        assert found["items"] == []
        assert int(found["metadata"]["resourceVersion"]) > 0
        assert filled.names(f"{kind}?fieldSelector=metadata.namespace%3D{namespace}") == []


def test_an_empty_list_still_has_a_state(api: Any) -> None:
    found = api.get("imagestreams")
    assert found["items"] == []
    assert int(found["metadata"]["resourceVersion"]) >= 1


def test_later_pages_tell_the_state_of_the_first(filled: Any) -> None:
    first = filled.get("imagestreams?limit=1")
    filled.push("zoo/new", "made between two pages")
    rest = filled.get(f"imagestreams?continue={first['metadata']['continue']}")
    assert rest["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    assert int(filled.get("imagestreams")["metadata"]["resourceVersion"]) > int(rest["metadata"]["resourceVersion"])


def test_a_page_goes_on_behind_an_object_that_was_deleted(filled: Any) -> None:
    first = filled.get("imagestreams?limit=1")
    last = first["items"][-1]["metadata"]
    filled.delete(f"namespaces/{last['namespace']}/imagestreams/{last['name']}")
    rest = filled.get(f"imagestreams?continue={first['metadata']['continue']}")["items"]
    assert len(rest) == 3


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_selectors_and_pages_go_together(filled: Any, limit: int) -> None:
    found: list[str] = []
    more = ""
    while True:
        page = filled.get(f"imagestreamtags?fieldSelector=metadata.namespace!=team-b&limit={limit}{more}")
        assert len(page["items"]) <= limit
        found += [item["metadata"]["name"] for item in page["items"]]
        if "continue" not in page["metadata"]:
            break
        more = f"&continue={page['metadata']['continue']}"
    assert found == filled.names("namespaces/team/imagestreamtags")


@pytest.mark.parametrize("query", ["", "&fieldSelector=metadata.name%21%3Dweb"])
@pytest.mark.parametrize("path", ["images", "imagestreams", "namespaces/team/imagestreams"])
def test_a_page_that_is_large_before_its_limit_ends_with_a_token(
    filled: Any, path: str, query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = filled.get(f"{path}?{query}")["items"]
    monkeypatch.setattr(reads, "MOST_EVENTS", 1)
    monkeypatch.setattr(reads, "MOST_BYTES", 1)
    found: list[Any] = []
    more = ""
    for _ in range(20):
        page = filled.get(f"{path}?limit=500{query}{more}")
        assert len(page["items"]) <= 1
        found += page["items"]
        if "continue" not in page["metadata"]:
            break
        more = f"&continue={page['metadata']['continue']}"
    assert found == whole
    assert filled.get(f"{path}?{query}")["items"] == whole, "without a limit everything is asked for"


@pytest.mark.parametrize("path", ["images", "imagestreams", "namespaces/team/imagestreams", "imagestreamtags"])
def test_a_list_without_a_limit_is_told_page_by_page_and_reads_the_same(
    filled: Any, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = filled.get(path)
    monkeypatch.setattr(whole_lists, "AT_ONCE", 1)
    told = filled.ask(path)
    assert told.is_streamed
    assert told.get_json() == whole
    assert told.headers["Cache-Control"] == "no-cache, private"
    packed = filled.ask(path, headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert json.loads(gzip.decompress(packed.get_data())) == whole
    assert filled.get(f"{path}?labelSelector=none%3Dsuch")["items"] == []
    newest = whole["metadata"]["resourceVersion"]
    assert filled.get(f"{path}?resourceVersion={newest}&resourceVersionMatch=Exact") == whole
    assert json.loads(filled.ask(f"{path}?pretty=true").get_data()) == whole


def test_a_list_that_cannot_be_told_to_its_end_does_not_look_whole(
    filled: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole_lists, "AT_ONCE", 1)
    pieces = iter(filled.ask("imagestreams").response)
    next(pieces)

    def away(**_: object) -> None:
        raise MetadataUnavailable("the database is away")

    monkeypatch.setattr(filled.streams, "streams", away)
    with pytest.raises(MetadataUnavailable):
        list(pieces)


def test_a_table_of_streams_reads_no_history(filled: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    for name in ("streams", "summaries"):
        listing = getattr(filled.streams, name)

        def note(name: str = name, listing: Any = listing, **options: Any) -> Any:
            asked.append(name if options.get("tags", True) else f"{name} without tags")
            return listing(**options)

        monkeypatch.setattr(filled.streams, name, note)
    table = filled.get("namespaces/team/imagestreams", filled.table)
    assert [row["cells"][2] for row in table["rows"]] == ["v1,v10,v2", "copy,latest"]
    metadata = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
    filled.get("imagestreams", metadata)
    assert asked == ["summaries", "summaries without tags"]
    whole = filled.get("imagestreams?includeObject=Object", filled.table)
    assert len(whole["rows"][0]["object"]["status"]["tags"][2]["items"]) == 2
    filled.get("imagestreams")
    assert asked[2:] == ["streams"] * 2


def test_fields_select(filled: Any) -> None:
    def names(selector: str, path: str = "imagestreams") -> list[str]:
        return filled.names(f"{path}?fieldSelector={filled.segment(selector)}")  # type: ignore[no-any-return]

    assert names("metadata.name=app") == ["app", "app"]
    assert names("metadata.name=app", "namespaces/team/imagestreams") == ["app"]
    assert names("metadata.name=nope", "namespaces/team/imagestreams") == []
    assert names("metadata.name=NOT a name", "namespaces/team/imagestreams") == []
    assert names("metadata.namespace==team,metadata.name!=app") == ["web"]
    assert names("metadata.namespace=team", "namespaces/team-b/imagestreams") == []
    assert names("metadata.name=app:v1", "imagestreamtags") == ["app:v1", "app:v1"]
    assert names("metadata.name=app:v1,metadata.namespace=team", "imagestreamtags") == ["app:v1"]
    assert names("metadata.name=app", "namespaces/team/imagestreamtags") == []
    assert names("metadata.name=app,metadata.name=web") == []
    assert names(f"status.dockerImageRepository={filled.host}/team/web") == ["web"]
    digest = filled.names("images")[2]
    assert names(f"metadata.name={digest}", "images") == [digest]


def test_a_field_that_is_not_selectable_is_named(filled: Any) -> None:
    status = filled.refuse("imagestreams?fieldSelector=spec.x%3D1", 400, "BadRequest")
    assert status["message"].startswith("field label not supported: spec.x")
    filled.refuse("images?fieldSelector=metadata.namespace%3Dteam", 400, "BadRequest")


def test_labels_select(filled: Any) -> None:
    filled.label("team/app", app="shop", tier="web")
    filled.label("team-b/app", app="shop")
    for selector, wanted in {
        "app=shop": ["app", "app"],
        "app=shop,tier=web": ["app"],
        "app,!tier": ["app"],
        "tier notin (web)": ["tool", "web", "app"],
        "app in (shop,other)": ["app", "app"],
        "app!=shop": ["web", "tool"],
        "app=none": [],
    }.items():
        assert sorted(filled.names(f"imagestreams?labelSelector={filled.segment(selector)}")) == sorted(wanted), (
            selector
        )
    assert filled.names("namespaces/team/imagestreamtags?labelSelector=tier%3Dweb") == ["app:v1", "app:v10", "app:v2"]
    filled.refuse("imagestreams?labelSelector=a+in+(b", 400, "BadRequest")


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "%00",
        "ä",
        "a" * 5000,
        token_of([]),
        token_of({"v": "meta.k8s.io/v1", "rv": 1, "start": "team/app"}),
        token_of({"v": "image.alauda.io/v1", "of": "images/", "rv": 1, "start": "team/app"}),
        token_of({"v": "image.alauda.io/v1", "of": "imagestreams/", "rv": True, "start": "team/app"}),
        token_of({"v": "image.alauda.io/v1", "of": "imagestreams/", "rv": -1, "start": "team/app"}),
        token_of({"v": "image.alauda.io/v1", "of": "imagestreams/", "rv": 1, "start": ""}),
        token_of({"v": "image.alauda.io/v1", "of": "imagestreams/", "rv": 1, "start": "no slash"}),
        token_of({"v": "image.alauda.io/v1", "of": "imagestreams/", "rv": 1, "start": "a/b/c\x00"}),
    ],
)
def test_a_token_that_was_tampered_with_is_refused(filled: Any, token: str) -> None:
    status = filled.refuse(f"imagestreams?limit=1&continue={token}", 400, "BadRequest")
    assert status["message"].startswith("continue key is not valid")


def test_a_token_does_not_lead_into_another_namespace(filled: Any) -> None:
    token = filled.get("namespaces/team-b/imagestreams?limit=1")["metadata"]["continue"]
    filled.refuse(f"namespaces/team/imagestreams?continue={token}", 400, "BadRequest")
    forged = {**content_of(token), "of": "imagestreams/team"}
    filled.refuse(f"namespaces/team/imagestreams?continue={token_of(forged)}", 400, "BadRequest")


def test_a_token_from_a_future_that_never_came_expires_with_a_fresh_one(filled: Any) -> None:
    """As after a database was restored from a backup."""
    content = content_of(filled.get("imagestreams?limit=1")["metadata"]["continue"])
    forged = token_of({**content, "rv": content["rv"] + 1_000})
    status = filled.refuse(f"imagestreams?continue={forged}", 410, "Expired")
    fresh = status["metadata"]["continue"]
    assert len(filled.get(f"imagestreams?continue={fresh}")["items"]) == 3


def test_a_token_expires_when_nobody_could_watch_from_its_state_any_more() -> None:
    place = Place("imagestreams/", 7, "team/app")
    check_age(place, 7 + KEPT - 1)
    with pytest.raises(Expired) as caught:
        check_age(place, 7 + KEPT)
    assert decode(caught.value.list_continue, "imagestreams/") == Place("imagestreams/", 7 + KEPT, "team/app")


def test_the_state_of_a_list_can_be_asked_for(filled: Any) -> None:
    newest = int(filled.get("imagestreams")["metadata"]["resourceVersion"])
    for query in ("resourceVersion=0", f"resourceVersion={newest}", "resourceVersion=1", "resourceVersion="):
        assert len(filled.names(f"imagestreams?{query}")) == 4
    assert len(filled.names(f"imagestreams?resourceVersion={newest}&resourceVersionMatch=Exact")) == 4
    assert len(filled.names("imagestreams?resourceVersion=1&resourceVersionMatch=NotOlderThan")) == 4
    filled.refuse("imagestreams?resourceVersion=1&resourceVersionMatch=Exact", 410, "Expired")


@pytest.mark.parametrize("path", ["imagestreams", "namespaces/team/imagestreams/app", "images"])
def test_a_state_that_does_not_exist_yet_is_waited_for_by_the_client(filled: Any, path: str) -> None:
    answer = filled.ask(f"{path}?resourceVersion=99999")
    status = answer.get_json()
    assert (answer.status_code, status["reason"]) == (504, "Timeout")
    assert status["message"].startswith("Too large resource version: 99999, current: ")
    assert status["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"
    assert status["details"]["retryAfterSeconds"] == int(answer.headers["Retry-After"]) == 1


@pytest.mark.parametrize(
    ("query", "code", "reason"),
    [
        ("resourceVersion=abc", 400, "BadRequest"),
        ("resourceVersion=-1", 400, "BadRequest"),
        ("resourceVersion=٣", 400, "BadRequest"),
        ("limit=many", 400, "BadRequest"),
        ("resourceVersionMatch=Exact", 422, "Invalid"),
        ("resourceVersion=1&resourceVersionMatch=Roughly", 422, "Invalid"),
        ("resourceVersion=0&resourceVersionMatch=Exact", 422, "Invalid"),
        ("sendInitialEvents=true", 422, "Invalid"),
    ],
)
def test_options_that_make_no_sense_are_refused(filled: Any, query: str, code: int, reason: str) -> None:
    status = filled.refuse(f"imagestreams?{query}", code, reason)
    if code == 422:
        assert status["message"].startswith('ListOptions.meta.k8s.io "" is invalid: ')
        assert status["details"]["causes"][0]["field"] in query
    more = filled.get("imagestreams?limit=1")["metadata"]["continue"]
    filled.refuse(f"imagestreams?continue={more}&resourceVersion=5", 400, "BadRequest")


def test_limits_that_are_no_limit_and_unknown_parameters_are_ignored(filled: Any) -> None:
    for query in ("limit=0", "limit=-3", "limit=", "timeoutSeconds=5", "unknown=1"):
        assert len(filled.names(f"imagestreams?{query}")) == 4


def test_a_list_of_everything_costs_a_few_queries(filled: Any) -> None:
    from sqlalchemy import event

    engine = filled.streams._database.engine
    seen: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *arguments: seen.append(arguments[2]))
    filled.get("imagestreams")
    assert len(seen) <= 8, seen
    assert not [statement for statement in seen if ") = 1" in statement], "SQLite finds streams by an index"

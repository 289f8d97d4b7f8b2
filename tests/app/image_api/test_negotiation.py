"""The form of answers."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from image_registry.image_api.negotiation import Representation, Shape, clauses, negotiate
from image_registry.image_api.status import NotAcceptable

PARTIAL = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
PARTIAL_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
PROTOBUF = "application/vnd.kubernetes.protobuf"


@pytest.mark.parametrize(
    "accept",
    ["", "*/*", "application/json", "application/*", f"{PROTOBUF},application/json", "application/json;q=0.1", "*"],
)
def test_json_answers_whoever_reads_json_or_anything(filled: Any, accept: str) -> None:
    answer = filled.ask("imagestreams", accept)
    assert answer.content_type == "application/json"
    assert answer.get_json()["kind"] == "ImageStreamList"


@pytest.mark.parametrize("accept", [PROTOBUF, "text/html", "application/cbor", "application/json;q=0", "image/*"])
def test_a_client_that_reads_neither_json_nor_yaml_is_told_so_in_json(filled: Any, accept: str) -> None:
    status = filled.refuse("imagestreams", 406, "NotAcceptable", accept=accept)
    assert status["message"] == "only the following media types are accepted: application/json, application/yaml"


def test_a_transformation_that_is_unknown_is_passed_over(filled: Any) -> None:
    unknown = "application/json;as=Diagram;v=v1;g=meta.k8s.io"
    assert filled.get("imagestreams", f"{unknown},application/json")["kind"] == "ImageStreamList"
    filled.refuse("imagestreams", 406, "NotAcceptable", accept=unknown)


def test_the_best_weight_wins_and_then_the_order(filled: Any) -> None:
    assert filled.ask("imagestreams", "application/json;q=0.5,application/yaml").content_type == "application/yaml"
    assert filled.ask("imagestreams", "application/yaml,application/json").content_type == "application/yaml"
    assert filled.ask("imagestreams", "*/*,application/yaml").content_type == "application/yaml"


def test_yaml_says_the_same_as_json(filled: Any) -> None:
    for path in ("imagestreams", "namespaces/team/imagestreamtags/app:v1", "images"):
        assert yaml.safe_load(filled.ask(path, "application/yaml").text) == filled.get(path)


def test_failures_come_in_the_accepted_encoding(filled: Any) -> None:
    answer = filled.ask("namespaces/team/imagestreams/nope", "application/yaml")
    assert answer.content_type == "application/yaml"
    assert yaml.safe_load(answer.text)["reason"] == "NotFound"
    assert filled.ask("namespaces/team/imagestreams/nope", filled.table).get_json()["kind"] == "Status"


def test_the_garbage_collector_and_the_namespace_controller_get_metadata_alone(filled: Any) -> None:
    accept = f"{PROTOBUF};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,{PARTIAL_LIST},application/json"
    found = filled.get("imagestreamtags", accept)
    assert (found["kind"], found["apiVersion"]) == ("PartialObjectMetadataList", "meta.k8s.io/v1")
    assert len(found["items"]) == 7
    assert {frozenset(item) for item in found["items"]} == {frozenset({"kind", "apiVersion", "metadata"})}
    assert found["items"][0]["kind"] == "PartialObjectMetadata"
    assert found["metadata"]["resourceVersion"] == filled.get("imagestreamtags")["metadata"]["resourceVersion"]
    one = filled.get("namespaces/team/imagestreams/app", PARTIAL)
    assert one["kind"] == "PartialObjectMetadata"
    assert one["metadata"] == filled.get("namespaces/team/imagestreams/app")["metadata"]


def test_metadata_of_a_list_is_not_metadata_of_an_object(filled: Any) -> None:
    filled.refuse("imagestreams", 406, "NotAcceptable", accept=PARTIAL)
    filled.refuse("namespaces/team/imagestreams/app", 406, "NotAcceptable", accept=PARTIAL_LIST)


@pytest.mark.parametrize(
    ("query", "agent", "indented"),
    [
        ("", "kubectl/v1.37", False),
        ("?pretty=true", "kubectl/v1.37", True),
        ("?pretty=1", "", True),
        ("", "curl/8", True),
        ("", "Mozilla/5.0 (X11)", True),
        ("?pretty=false", "curl/8", False),
    ],
)
def test_people_get_indented_answers(filled: Any, query: str, agent: str, indented: bool) -> None:
    text = filled.ask(f"imagestreams{query}", headers={"User-Agent": agent}).text
    assert text.startswith("{\n" if indented else '{"kind"')
    assert filled.ask("imagestreams", "application/json;pretty=1").text.startswith("{\n")


def test_large_answers_are_compressed_for_those_who_accept_it(api: Any) -> None:
    for number in range(60):
        api.push("team/app", number, f"tag-{number}")
    plain = api.ask("imagestreams")
    packed = api.ask("imagestreams", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in packed.headers["Vary"]
    assert int(packed.headers["Content-Length"]) == len(packed.data) < len(plain.data) / 3
    assert json.loads(gzip.decompress(packed.data)) == plain.get_json()
    for refused in ("", "identity", "gzip;q=0"):
        assert "Content-Encoding" not in api.ask("imagestreams", headers={"Accept-Encoding": refused}).headers
    small = api.ask("namespaces/team/imagestreamtags/app:tag-1", headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in small.headers


def test_objects_are_not_kept_by_caches(filled: Any) -> None:
    assert filled.ask("imagestreams").headers["Cache-Control"] == "no-cache, private"


@given(
    st.text(max_size=60) | st.lists(st.sampled_from([PROTOBUF, PARTIAL, "*/*;q=nan", ";;=", "a/b;q=9e9"])).map(",".join)
)
def test_no_accept_header_breaks_the_negotiation(header: str) -> None:
    for is_list in (True, False):
        try:
            chosen = negotiate(header, is_list=is_list)
        except NotAcceptable:
            continue
        assert isinstance(chosen, Representation)


def test_a_parameter_may_be_quoted_and_in_any_order() -> None:
    chosen = negotiate('application/json; g="meta.k8s.io" ;as=Table; v=v1beta1')
    assert (chosen.shape, chosen.meta_version) == (Shape.TABLE, "v1beta1")
    assert [clause.media_type for clause in clauses("a/b;q=0.1,c/d,*/*,e/*")] == ["c/d", "e/*", "*/*", "a/b"]

"""``/v2/``, names, tags and paths: what is no name is refused in the registry's own words, and nothing is tidied up."""

from __future__ import annotations

import json
import re

import pytest

from tests.conformance.protocol import Client, Repository, digest_of

DIGEST = digest_of(b"nothing")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["/v2/", "/v2"])
def test_the_front_door_says_that_this_is_a_registry(client: Client, method: str, path: str) -> None:
    answer = client.ask(method, path).expect(200)
    assert answer["docker-distribution-api-version"] == "registry/2.0"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_stranger_at_the_front_door_gets_a_challenge_without_a_scope(stranger: Client, method: str) -> None:
    answer = stranger.ask(method, "/v2/").expect(401)
    assert re.fullmatch(r'Bearer realm="https?://[^"]+",service="[^"]+"', answer["www-authenticate"])
    assert answer["docker-distribution-api-version"] == "registry/2.0"


@pytest.mark.parametrize("name", ["a", "0", "a.b", "a_b", "a__b", "a-b", "a---b", "a0.b_c__d-e", "a" * 200])
def test_every_name_of_the_specification_is_a_repository(here: Repository, name: str) -> None:
    here.sibling(name).tags().expect(200, 404)
    here.sibling(name).image("v1")
    assert here.sibling(name).tags().expect(200).json["tags"] == ["v1"]


BAD_NAMES = [
    "App",
    "a..b",
    "a.-b",
    "a___b",
    "-a",
    "a-",
    "_a",
    "a_",
    ".a",
    "a.",
    "a%20b",
    "%C3%A9",
    "a%00",
    "a%0d%0ab",
    "..",
    "%2e%2e",
    "a%2fb",
    "a%2f..%2fb",
    "%ff",
    "a+b",
    "a:b",
    "a@b",
    "a" * 256,
]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_what_is_no_name_is_refused_for_reading_and_for_writing(here: Repository, name: str) -> None:
    base = f"/v2/{here.namespace}/{name}"
    for method, path in [
        ("GET", f"{base}/manifests/v1"),
        ("PUT", f"{base}/manifests/v1"),
        ("DELETE", f"{base}/manifests/v1"),
        ("GET", f"{base}/blobs/{DIGEST}"),
        ("POST", f"{base}/blobs/uploads/"),
        ("GET", f"{base}/tags/list"),
        ("GET", f"{base}/referrers/{DIGEST}"),
    ]:
        here.client.ask(method, path).refuse(400, "NAME_INVALID")


@pytest.mark.parametrize("namespace", ["Upper", "under_score", "dot.ted", "n" * 64, "-a", "a-"])
def test_a_namespace_is_named_as_kubernetes_names_them(client: Client, namespace: str) -> None:
    client.get(f"/v2/{namespace}/app/tags/list").refuse(400, "NAME_INVALID")


@pytest.mark.parametrize("name", ["app", "a/b/c", "a/b/c/d/e"])
def test_a_repository_has_exactly_two_parts_and_the_refusal_says_so(client: Client, name: str) -> None:
    for path in (f"/v2/{name}/tags/list", f"/v2/{name}/manifests/v1", f"/v2/{name}/blobs/{DIGEST}"):
        assert "<namespace>/<repository>" in client.get(path).refuse(400, "NAME_INVALID")


@pytest.mark.parametrize(
    "trick",
    [
        "/v2//{name}/manifests/v1",
        "/v2/{namespace}//{repository}/manifests/v1",
        "/v2/{name}//manifests/v1",
        "/v2/{namespace}/other/../{repository}/manifests/v1",
        "/v2/{namespace}/./{repository}/manifests/v1",
        "/v2/x/%2e%2e/{name}/manifests/v1",
        "/v2/../v2/{name}/manifests/v1",
    ],
)
def test_no_path_is_tidied_up_into_somebody_elses_repository(here: Repository, trick: str) -> None:
    here.image("v1")
    namespace, _, repository = here.name.partition("/")
    path = trick.format(name=here.name, namespace=namespace, repository=repository)
    answer = here.client.get(path).expect(400, 404)
    assert "location" not in answer
    assert answer["content-type"] == "application/json"


@pytest.mark.parametrize("other", ["/v2/{namespace}%2f{repository}", "//v2/{namespace}/{repository}"])
def test_another_way_to_write_a_path_is_no_way_around_the_question_who_calls(
    here: Repository, stranger: Client, other: str
) -> None:
    here.image("v1")
    namespace, _, repository = here.name.partition("/")
    path = f"{other.format(namespace=namespace, repository=repository)}/manifests/v1"
    stranger.get(path).expect(400, 401, 404)
    here.client.ask("GET", path, bearer=here.client.token(f"repository:{here.name}:pull")).expect(200, 400, 404)


@pytest.mark.parametrize("tag", ["v1", "1", "_", "_x", "A", "v1.2-3_4", "a" * 128, "1.0.0_build.5"])
def test_every_tag_of_the_specification_can_be_pushed(here: Repository, tag: str) -> None:
    pushed = here.image(tag)
    assert here.manifest(tag).expect(200)["docker-content-digest"] == pushed.digest
    assert here.tags().json["tags"] == [tag]


BAD_TAGS = ["a" * 129, ".x", "-x", "a%20b", "%C3%A9", "a%00", "a%0d%0ab", "a+b", "a@b", "a%22b"]


@pytest.mark.parametrize("tag", BAD_TAGS)
def test_what_is_no_tag_cannot_be_pushed_and_is_not_found(here: Repository, tag: str) -> None:
    pushed = here.image("v1")
    assert "at most 128" in here.put(tag, pushed.raw).refuse(400, "TAG_INVALID")
    assert "at most 128" in here.manifest(tag).refuse(404, "MANIFEST_UNKNOWN")
    here.delete(f"manifests/{tag}").refuse(404, "MANIFEST_UNKNOWN")
    here.client.head(f"{here.base}/manifests/{tag}").expect(404)


@pytest.mark.parametrize("path", ["/v2/x", "/v2/a/b", "/v2/a/b/c", "/v2/a/b/tags", "/v1/", "/v2/a/b/manifests/v1/"])
def test_a_path_that_leads_nowhere_is_refused_with_those_that_lead_somewhere(client: Client, path: str) -> None:
    assert "/v2/<namespace>/<repository>/" in client.get(path).refuse(404, "UNSUPPORTED")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "BREW"])
def test_a_method_that_does_not_fit_is_refused_with_those_that_do(here: Repository, method: str) -> None:
    answer = here.client.ask(method, f"{here.base}/tags/list")
    assert "GET" in answer.refuse(405, "UNSUPPORTED")
    assert {"GET", "HEAD"} <= set(answer["allow"].split(", "))


@pytest.mark.parametrize(
    ("said", "status", "cure"),
    [
        (f"GET /v2/{'a' * 9000} HTTP/1.1\r\nHost: x\r\n\r\n", 414, "shorten the path"),
        (f"GET /v2/ HTTP/1.1\r\nHost: x\r\nX: {'a' * 20_000}\r\n\r\n", 431, "shorter header fields"),
        ("GET /v2/ HTTP/1.1\r\nHost: x\r\nExpect: more\r\n\r\n", 417, "100-continue"),
        ("POST /v2/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: more\r\n\r\n", 501, "chunked"),
        ("GET /v2/ HTTP/1.1\r\nHost: x\r\nBad Name: x\r\n\r\n", 400, "HTTP/1.1"),
        ("nonsense\r\n\r\n", 400, "HTTP/1.1"),
    ],
)
def test_what_is_no_request_is_refused_in_the_same_form(client: Client, said: str, status: int, cure: str) -> None:
    head, _, body = client.talk(said.encode(), silence=2).partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"Content-Type: application/json" in head
    [error] = json.loads(body)["errors"]
    assert error["code"] == "UNSUPPORTED"
    assert cure in error["message"]


def test_the_host_that_a_mirror_stands_for_changes_nothing(here: Repository) -> None:
    """``?ns=`` is for proxies; this registry serves its own content and does not claim to have scoped it."""
    pushed = here.image("v1")
    plain, asked = here.manifest("v1"), here.client.get(f"{here.base}/manifests/v1?ns=docker.io")
    assert (asked.status, asked.body) == (200, plain.body)
    assert "oci-namespace" not in asked
    blob = here.client.get(f"{here.base}/blobs/{pushed.layer}?ns=docker.io").expect(200)
    assert blob.body == pushed.data

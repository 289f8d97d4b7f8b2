"""Numbers, names, tags and digests that are not what they seem."""

from __future__ import annotations

import json
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from image_registry.oci.digest import Digest, InvalidDigest
from image_registry.oci.reference import InvalidName, InvalidTag, Repository, parse_tag
from tests.app.distribution_api.conftest import Registry, code
from tests.security.house import patterns

LISTS = ("/v2/_catalog", "/v2/demo/app/tags/list")


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("number", [str(2**63), str(2**64), "9" * 20, "1000000"])
def test_a_huge_page_takes_no_memory(registry: Registry, path: str, number: str) -> None:
    """Row 1 (distribution CVE-2023-2253): the size of a page, as the client says it, allocates memory."""
    registry.push("demo/app", "v1")
    registry.client.get(f"{path}?n=1")
    tracemalloc.start()
    try:
        assert registry.client.get(f"{path}?n={number}").status_code == 200
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("number", ["-1", "1.5", "1e9", "[1]", "x", "", " 1", "+1", "٣", "9" * 21, "0x10", "1,2"])
def test_what_is_no_number_of_items_is_refused(registry: Registry, path: str, number: str) -> None:
    """Row 1 (distribution CVE-2023-2253): a negative, broken or endless size of a page is taken for a number."""
    registry.push("demo/app", "v1")
    refused = registry.client.get(path, query_string={"n": number})
    assert refused.status_code == 400
    assert "whole number" in refused.text


@pytest.mark.parametrize(
    "text",
    [
        "sha256:" + "A" * 64,
        "SHA256:" + "a" * 64,
        "sha256:" + "a" * 63,
        "sha256:" + "a" * 65,
        "sha256:" + "g" * 64,
        "sha256:..%2f..%2fetc",
        "sha256:" + "a" * 64 + "%00",
        "sha256:" + "a" * 64 + "%0a",
        "sha256:" + "a" * 64 + "+sha512:" + "a" * 128,
        "sha256:" + "a" * 64 + "@sha256:" + "b" * 64,
        "sha512:" + "a" * 64,
        "sha1:" + "a" * 40,
        "md5:" + "a" * 32,
        ":" + "a" * 64,
        "sha256:",
        "sha256::" + "a" * 64,
    ],
)
def test_what_is_no_digest_opens_and_closes_nothing(registry: Registry, text: str) -> None:
    """Row 41 (many clients): digests in upper case, short or doubled mean other bytes to the next reader."""
    for method, path in (
        ("GET", f"/v2/demo/app/blobs/{text}"),
        ("GET", f"/v2/demo/app/manifests/{text}"),
        ("PUT", f"/v2/demo/app/manifests/{text}"),
        ("DELETE", f"/v2/demo/app/manifests/{text}"),
        ("GET", f"/v2/demo/app/referrers/{text}"),
        ("GET", f"/extensions/v2/demo/app/signatures/{text}"),
        ("POST", f"/v2/demo/app/blobs/uploads/?digest={text.replace('+', '%2B')}"),
        ("POST", f"/v2/demo/app/blobs/uploads/?mount={text.replace('+', '%2B')}&from=demo/other"),
    ):
        refused = registry.client.open(path, method=method)
        assert refused.status_code in {400, 404}, (method, path)
        assert code(refused) in {"DIGEST_INVALID", "UNSUPPORTED", "MANIFEST_INVALID", "MANIFEST_UNKNOWN", "TAG_INVALID"}


def test_the_digest_of_one_algorithm_is_none_of_another(registry: Registry) -> None:
    """Row 41 (many clients): bytes pushed under one algorithm are served under another one unchecked."""
    content = b"layer"
    registry.upload("demo/app", content)
    assert registry.client.get(f"/v2/demo/app/blobs/{Digest.of(content, 'sha512')}").status_code == 404
    wrong = registry.client.post(
        f"/v2/demo/app/blobs/uploads/?digest=sha512:{Digest.of(content).hex * 2}", data=content
    )
    assert (wrong.status_code, code(wrong)) == (400, "DIGEST_INVALID")


TRAVERSALS = [
    "..", ".", "%2e%2e", "%2e%2e%2f%2e%2e%2fetc", "..%5c..", "a%00b", "%00", "a/../../b", "....//", "%252e%252e",
    "\u2025", "\uff0e\uff0e", "a\u0000", "%c0%ae%c0%ae", "a" * 5000, "%0d%0aX: y", "con", "~root", "$(id)",
    "a;b", "-rf",
]  # fmt: skip


@pytest.mark.parametrize("text", TRAVERSALS)
def test_no_name_leads_out_of_the_folder_of_its_repository(registry: Registry, tmp_path: Path, text: str) -> None:
    """Row 42 (generic): dots, NUL, escapes and unicode in names, digests and upload ids lead to other files."""
    registry.push("demo/app", "v1")
    before = {path for path in tmp_path.rglob("*") if path.is_file() and "metadata" not in path.name}
    start = "/v2/demo/app/blobs/uploads/"
    for method, path in (
        ("POST", f"/v2/{text}/app/blobs/uploads/?digest={Digest.of(b'x')}"),
        ("POST", f"/v2/demo/{text}/blobs/uploads/?digest={Digest.of(b'x')}"),
        ("PUT", f"/v2/demo/app/manifests/{text}"),
        ("GET", f"/v2/demo/app/blobs/{text}"),
        ("DELETE", f"/v2/demo/app/blobs/{text}"),
        ("PUT", f"{start}{text}?digest={Digest.of(b'x')}"),
        ("PATCH", f"{start}{text}"),
        ("DELETE", f"{start}{text}"),
    ):
        answer = registry.client.open(path, method=method, data=b"x")
        allowed = {201} if text == "con" and method == "POST" else set(range(400, 500))
        assert answer.status_code in allowed, (method, path, answer.status_code)
    if text != "con":
        after = {path for path in tmp_path.rglob("*") if path.is_file() and "metadata" not in path.name}
        assert after == before


@pytest.mark.parametrize("last", ["\r\nSet-Cookie: a=b", "a\nb", '">; rel="x', "é", "%0d%0a", "a" * 5000, "\x00"])
@pytest.mark.parametrize("path", [*LISTS, "/v2/demo/app/referrers/{subject}"])
def test_nothing_of_the_query_breaks_out_of_the_link(registry: Registry, path: str, last: str) -> None:
    """Row 46 (generic): what a client says of a page is put into a header, where a line end begins the next."""
    for repository in ("demo/app", "demo/b", "demo/c"):
        for tag in ("v1", "v2", "v3"):
            registry.push(repository, tag)
    subject = Digest.of(b"x")
    answer = registry.client.get(path.format(subject=subject), query_string={"n": "1", "last": last})
    assert answer.status_code in {200, 400}
    assert "Set-Cookie" not in answer.headers
    for name, value in answer.headers:
        assert value.isprintable(), name
    assert answer.headers.get("Link", "").count(";") <= 1


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    tag=st.one_of(
        st.from_regex(r"(sha256|sha512)[-:.][0-9a-zA-Z]{0,70}(\.(sig|att|sbom|SIG))?[-.]{0,3}", fullmatch=True),
        st.text(max_size=140),
    )
)
def test_no_tag_stops_a_parser(registry: Registry, tag: str) -> None:
    """Row 13 (zot 2026-07): a tag like those of cosign, but broken, stops the server."""
    pushed = registry.push("demo/app", "v1")
    body = registry.client.get(f"/v2/demo/app/manifests/{pushed.headers['Docker-Content-Digest']}").data
    path = "/v2/demo/app/manifests/" + "".join(f"%{byte:02x}" for byte in tag.encode("utf-8", "surrogatepass"))
    answer = registry.client.put(path, data=body, content_type="application/vnd.oci.image.manifest.v1+json")
    assert answer.status_code in {201, 400, 404, 405}, tag
    for follow in (path, "/v2/demo/app/tags/list", f"/v2/demo/app/referrers/{Digest.of(body)}"):
        assert registry.client.get(follow).status_code < 500
    if answer.status_code == 201:
        assert tag in json.loads(registry.client.get("/v2/demo/app/tags/list").data)["tags"]
        registry.client.delete(path)


@pytest.mark.parametrize("end", ["\n", "\r", " ", "\x00", "\u2028", "/x", "x\ny"])
def test_a_rule_for_names_holds_for_the_whole_name(end: str) -> None:
    """Row 22 (Quay PROJQUAY-10885): a rule that matches the beginning of a name lets any end pass."""
    with pytest.raises(InvalidTag):
        parse_tag(f"v1{end}")
    with pytest.raises(InvalidName):
        Repository.of("demo", f"app{end}")
    with pytest.raises(InvalidName):
        Repository.of(f"demo{end}", "app")
    with pytest.raises(InvalidDigest):
        Digest.parse(f"{Digest.of(b'x')}{end}")


def test_patterns_are_ours_and_match_whole_texts() -> None:
    """Row 22 (Quay PROJQUAY-10885): ``match`` where ``fullmatch`` was meant; nobody's patterns but our own exist."""
    loose = [
        f"{found.file}:{found.line}"
        for found in patterns()
        if found.method in {"match", "search"} and not found.is_constant
    ]
    assert loose == []


ATTACKS = [
    "a" * 20000,
    "a" * 20000 + "!",
    "-" * 20000,
    "a-" * 10000 + "!",
    "1" * 20000 + "x",
    "%41" * 7000,
    "/" * 20000,
]


def test_no_pattern_takes_long_for_any_text() -> None:
    """Row 23 (Quay PROJQUAY-10573): a pattern that goes back and forth takes minutes for a crafted text."""
    compiled = [found for found in patterns() if found.compiled is not None]
    assert len(compiled) > 10
    for found in compiled:
        assert found.compiled is not None
        for text in (*ATTACKS, "sha256:" + "a" * 20000, "/v2/" + "a/" * 10000, "bytes=" + "9" * 20000):
            began = time.process_time()
            found.compiled.fullmatch(text)
            found.compiled.match(text)
            assert time.process_time() - began < 0.5, f"{found.file}:{found.line} {found.compiled.pattern}"

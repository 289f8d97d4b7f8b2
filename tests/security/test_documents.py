"""Documents that are too large, too deep, two things at once, or refer to themselves."""

from __future__ import annotations

import gzip
import io
import json
import time
import tracemalloc
from typing import Any

import pytest

from image_registry.distribution_api.parts import MANIFEST_LIMIT
from image_registry.oci import media_types
from image_registry.oci.digest import Digest
from tests.app.distribution_api.conftest import Registry, code, manifest_of
from tests.security.conftest import Guarded

PATH = "/v2/demo/app/manifests/v1"
CONFIG, LAYER = b"{}", b"layer"


def put(registry: Registry, body: bytes | io.IOBase, kind: str = media_types.OCI_MANIFEST, **more: Any) -> Any:
    return registry.client.put(PATH, data=body, content_type=kind, **more)


def test_an_endless_manifest_is_given_up_at_the_limit(registry: Registry) -> None:
    """Row 2 (distribution CVE-2017-11468): a manifest without end fills memory."""

    class Endless(io.RawIOBase):
        sent = 0

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            Endless.sent += len(buffer)
            buffer[:] = b" " * len(buffer)
            return len(buffer)

    refused = registry.client.put(
        PATH,
        content_type=media_types.OCI_MANIFEST,
        environ_overrides={
            "wsgi.input": Endless(),
            "wsgi.input_terminated": True,
            "HTTP_TRANSFER_ENCODING": "chunked",
        },
    )
    assert (refused.status_code, code(refused)) == (413, "MANIFEST_INVALID")
    assert Endless.sent <= MANIFEST_LIMIT + (1 << 20)


@pytest.mark.slow
def test_a_manifest_that_announces_a_gigabyte_is_refused_before_it_is_sent(behind_a_socket: Guarded) -> None:
    """Row 2 (distribution CVE-2017-11468): the announced size of a manifest is believed and waited for."""
    head = (
        f"PUT {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: {behind_a_socket.headers['Authorization']}\r\n"
        f"Content-Type: {media_types.OCI_MANIFEST}\r\nContent-Length: {1 << 30}\r\n\r\n"
    )
    began = time.monotonic()
    answer = behind_a_socket.send(head.encode() + b"{" * 65536)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"MANIFEST_INVALID" in answer
    assert time.monotonic() - began < 8


def image(**members: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(manifest_of(CONFIG, LAYER))
    return {**found, **members}


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        (image(manifests=[]), media_types.OCI_MANIFEST),
        (image(manifests=[]), media_types.OCI_INDEX),
        (image(), media_types.OCI_INDEX),
        (image(), media_types.DOCKER_MANIFEST),
        (image(mediaType=media_types.OCI_INDEX), media_types.OCI_MANIFEST),
        (image(mediaType=media_types.OCI_INDEX), media_types.OCI_INDEX),
        ({"schemaVersion": 2, "manifests": [], "layers": []}, ""),
        ({"schemaVersion": 2, "manifests": [], "config": {}}, media_types.DOCKER_MANIFEST_LIST),
        ({"schemaVersion": 1, "fsLayers": [], "name": "x"}, "application/vnd.docker.distribution.manifest.v1+json"),
    ],
)
def test_a_document_is_one_thing(registry: Registry, document: dict[str, Any], kind: str) -> None:
    """Row 3 (spec CVE-2021-41190, distribution GHSA-qq97-vm5h-rrhg): one document is manifest and index at once."""
    registry.upload("demo/app", CONFIG)
    registry.upload("demo/app", LAYER)
    refused = put(registry, json.dumps(document).encode(), kind)
    assert (refused.status_code, code(refused)) == (400, "MANIFEST_INVALID")


def bombs() -> dict[str, bytes]:
    descriptor = {"mediaType": "x", "digest": str(Digest.of(LAYER)), "size": 5}
    deep = 100_000
    return {
        "layers": json.dumps(image(layers=[descriptor] * 30_000)).encode(),
        "lists": b"[" * deep,
        "objects": b'{"a":' * deep + b"1" + b"}" * deep,
        "nested annotations": b'{"schemaVersion":2,"annotations":' + b'{"a":' * deep + b'"x"' + b"}" * (deep + 1),
        "twice": b'{"schemaVersion":2,"schemaVersion":1}',
        "many members twice": b"{" + b",".join(b'"a":1' for _ in range(100_000)) + b"}",
        "number": b'{"schemaVersion":' + b"9" * 1_000_000 + b"}",
        "size": json.dumps(image(config={**descriptor, "size": 2**64})).encode(),
        "negative size": json.dumps(image(config={**descriptor, "size": -1})).encode(),
        "float": json.dumps(image(config={**descriptor, "size": 1e300})).encode(),
        "nan": b'{"schemaVersion":2,"config":{"size":NaN}}',
        "infinity": b'{"schemaVersion":2,"config":{"size":-Infinity}}',
        "surrogate": b'{"schemaVersion":2,"\\ud800":1}',
        "not text": b"\xff\xfe{\x00}\x00",
        "bom": b"\xef\xbb\xbf{}",
        "nul": b"\x00" * 1000,
    }


@pytest.mark.parametrize("name", sorted(bombs()))
def test_a_bomb_is_refused_in_bounded_time_and_memory(registry: Registry, name: str) -> None:
    """Row 43 (generic): very many layers, very deep JSON, members twice, endless numbers, NaN."""
    body = bombs()[name]
    registry.upload("demo/app", CONFIG)
    registry.upload("demo/app", LAYER)
    put(registry, b"{}")
    tracemalloc.start()
    began = time.process_time()
    try:
        answer = put(registry, body)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert time.process_time() - began < 5  # tracing alone makes it several times slower
    assert peak < 100 << 20
    if name == "layers":
        assert answer.status_code in {201, 400}
    else:
        assert (answer.status_code, code(answer)) == (400, "MANIFEST_INVALID")


def test_indexes_that_form_a_diamond_cost_what_they_hold(registry: Registry) -> None:
    """Row 44 (zot 2026-08): an index of indexes, each listed twice, is walked exponentially, or without end."""
    child = json.loads(registry.push("demo/app", "leaf").headers["Docker-Content-Digest"].join('""'))
    size, kind = len(registry.client.get(f"/v2/demo/app/manifests/{child}").data), media_types.OCI_MANIFEST
    began = time.process_time()
    for _ in range(40):  # 2^40 ways from the last one to the leaf
        entry = {"mediaType": kind, "digest": child, "size": size}
        body = json.dumps(
            {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": [entry, entry], "subject": entry}
        ).encode()
        pushed = registry.client.put("/v2/demo/app/manifests/top", data=body, content_type=media_types.OCI_INDEX)
        assert pushed.status_code == 201, pushed.text
        child, size, kind = pushed.headers["Docker-Content-Digest"], len(body), media_types.OCI_INDEX
    assert registry.client.get("/v2/demo/app/manifests/top").status_code == 200
    assert registry.client.get(f"/v2/demo/app/referrers/{child}").status_code == 200
    assert registry.client.delete(f"/v2/demo/app/manifests/{child}").status_code == 202
    assert registry.client.get("/v2/demo/app/manifests/leaf").status_code == 200
    assert time.process_time() - began < 20


def test_an_index_cannot_list_itself(registry: Registry) -> None:
    """Row 44 (zot 2026-08): an index that lists itself is walked for ever."""
    for digest in (str(Digest.of(b"not yet")), "sha256:" + "0" * 64):
        entry = {"mediaType": media_types.OCI_INDEX, "digest": digest, "size": 2}
        body = json.dumps({"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": [entry]}).encode()
        named = registry.client.put(f"/v2/demo/app/manifests/{digest}", data=body, content_type=media_types.OCI_INDEX)
        assert (named.status_code, code(named)) == (400, "DIGEST_INVALID"), "its name is what it holds, not a wish"


@pytest.mark.slow
def test_a_flood_of_referrers_comes_in_pages(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 45 (generic): very many referrers of one digest make one answer without end."""
    monkeypatch.setattr("image_registry.distribution_api.referrers.PAGE", 20, raising=False)
    subject = registry.push("demo/app", "v1").headers["Docker-Content-Digest"]
    pushed = set()
    for number in range(60):
        body = manifest_of(
            CONFIG,
            LAYER,
            subject={"mediaType": media_types.OCI_MANIFEST, "digest": subject, "size": 1},
            annotations={"number": str(number), "padding": "x" * 100_000},
        )
        registry.upload("demo/app", CONFIG)
        answer = registry.client.put(
            f"/v2/demo/app/manifests/{Digest.of(body)}", data=body, content_type=media_types.OCI_MANIFEST
        )
        assert answer.status_code == 201
        pushed.add(str(Digest.of(body)))
    seen: list[str] = []
    path: str | None = f"/v2/demo/app/referrers/{subject}"
    pages = 0
    while path:
        answer = registry.client.get(path)
        assert len(answer.data) <= 8 << 20
        seen += [each["digest"] for each in json.loads(answer.data)["manifests"]]
        link = answer.headers.get("Link", "")
        path = link.partition("<")[2].partition(">")[0] or None
        pages += 1
    assert pages > 1
    assert sorted(seen) == sorted(pushed)


def test_nothing_that_is_pushed_is_ever_unpacked(registry: Registry) -> None:
    """Row 48 (scanners): a few bytes unpack to gigabytes."""
    bomb = gzip.compress(b"\0" * (64 << 20))
    tracemalloc.start()
    try:
        digest = registry.upload("demo/app", bomb)
        assert registry.client.get(f"/v2/demo/app/blobs/{digest}").data == bomb
        for headers in ({"Content-Encoding": "gzip"}, {"Transfer-Encoding": "gzip"}):
            refused = put(registry, bomb, headers=headers)
            assert (refused.status_code, code(refused)) == (400, "MANIFEST_INVALID")
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()

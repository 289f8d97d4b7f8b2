"""The protocol as one types it: tokens, uploads, mounts, by curl alone."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
from pathlib import Path

import pytest

from tests.clients.curl import MANIFEST, Curl, bearer, digest_of_download, large_layer, send_file, upload
from tests.clients.programs import Registry
from tests.serve.conftest import serve

pytestmark = pytest.mark.slow


@pytest.fixture
def curl(registry: Registry) -> Curl:
    return Curl(registry)


@pytest.fixture
def repository() -> str:
    return f"team/{secrets.token_hex(4)}"


def test_a_caller_without_token_is_told_where_to_get_one(curl: Curl) -> None:
    reply = curl("/v2/")
    assert reply.status == 401
    assert reply.headers["www-authenticate"].startswith("Bearer realm=")
    assert json.loads(reply.body)["errors"][0]["code"] == "UNAUTHORIZED"


def test_the_token_flow_pushes_and_pulls_an_image(curl: Curl, repository: str, tmp_path: Path) -> None:
    authorization = bearer(curl.token(f"repository:{repository}:pull,push"))
    config = b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}'
    digest = upload(curl, repository, config, authorization, tmp_path)
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": len(config)},
        "layers": [],
    }
    manifest = tmp_path / "manifest"
    manifest.write_text(json.dumps(document))
    target = f"/v2/{repository}/manifests/v1"
    pushed = curl(target, "-X", "PUT", "-H", f"Content-Type: {MANIFEST}", config=authorization, body=manifest)
    assert pushed.status == 201, pushed.body
    expected = f"sha256:{hashlib.sha256(manifest.read_bytes()).hexdigest()}"
    assert pushed.headers["docker-content-digest"] == expected
    pulled = curl(target, "-H", f"Accept: {MANIFEST}", config=authorization)
    assert (pulled.status, pulled.body) == (200, manifest.read_bytes())


def test_a_token_to_pull_cannot_push(curl: Curl, repository: str) -> None:
    authorization = bearer(curl.token(f"repository:{repository}:pull"))
    reply = curl(f"/v2/{repository}/blobs/uploads/", "-X", "POST", "-d", "", config=authorization)
    assert reply.status in (401, 403)
    assert json.loads(reply.body)["errors"][0]["message"]


def test_a_token_of_one_repository_is_worthless_in_another(curl: Curl, repository: str, tmp_path: Path) -> None:
    authorization = bearer(curl.token(f"repository:{repository}:pull,push"))
    digest = upload(curl, repository, b"secret of one team", authorization, tmp_path)
    other = bearer(curl.token(f"repository:{repository}-other:pull,push"))
    assert curl(f"/v2/{repository}/blobs/{digest}", config=other).status in (401, 403)


def test_a_blob_is_mounted_from_a_repository_that_one_may_read(curl: Curl, repository: str, tmp_path: Path) -> None:
    scope = f"repository:{repository}:pull,push"
    digest = upload(curl, repository, b"a shared layer", bearer(curl.token(scope)), tmp_path)
    target = f"{repository}-copy"
    both = bearer(curl.token(f"{scope}&scope=repository:{target}:pull,push"))
    post = f"/v2/{target}/blobs/uploads/?mount={digest}&from={repository}"
    assert curl(post, "-X", "POST", "-d", "", config=both).status == 201
    assert curl(f"/v2/{target}/blobs/{digest}", config=both).body == b"a shared layer"


def test_a_mount_without_the_right_to_read_the_source_becomes_an_upload(
    curl: Curl, repository: str, tmp_path: Path
) -> None:
    source = bearer(curl.token(f"repository:{repository}:pull,push"))
    digest = upload(curl, repository, os.urandom(32), source, tmp_path)
    target = f"{repository}-copy"
    only = bearer(curl.token(f"repository:{target}:pull,push"))
    post = f"/v2/{target}/blobs/uploads/?mount={digest}&from={repository}"
    assert curl(post, "-X", "POST", "-d", "", config=only).status == 202
    assert curl(f"/v2/{target}/blobs/{digest}", config=only).status == 404


def test_a_digest_that_does_not_fit_is_refused_and_stays_invisible(curl: Curl, repository: str, tmp_path: Path) -> None:
    authorization = bearer(curl.token(f"repository:{repository}:pull,push"))
    body = tmp_path / "body"
    body.write_bytes(b"something else")
    promised = f"sha256:{hashlib.sha256(b'promised').hexdigest()}"
    location = curl(f"/v2/{repository}/blobs/uploads/", "-X", "POST", "-d", "", config=authorization).headers[
        "location"
    ]
    target = f"{location}{'&' if '?' in location else '?'}digest={promised}"
    reply = curl(target, "-X", "PUT", config=authorization, body=body)
    assert (reply.status, json.loads(reply.body)["errors"][0]["code"]) == (400, "DIGEST_INVALID")
    assert curl(f"/v2/{repository}/blobs/{promised}", config=authorization).status == 404


def test_a_layer_of_one_gibibyte_goes_in_and_out_and_never_lies_in_memory(tmp_path: Path, repository: str) -> None:
    layer = tmp_path / "layer"
    digest = large_layer(layer)
    for served in serve(tmp_path, "--auth", "none"):
        curl = Curl(Registry(served.host, tmp_path / "unused"), scheme="http")
        send_file(curl, repository, layer, digest, "", in_one=False)
        assert digest_of_download(curl, f"/v2/{repository}/blobs/{digest}", "") == digest
        children = Path(f"/proc/{served.pid}/task/{served.pid}/children").read_text(encoding="ascii").split()
        assert children
        for pid in children:
            status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
            peak = re.search(r"VmHWM:\s+(\d+) kB", status)
            assert peak
            assert int(peak[1]) < 250_000, f"a worker held {peak[1]} kB"

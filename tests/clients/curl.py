"""The protocol as one types it: curl, with its answers taken apart."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.clients.layout import Layout
from tests.clients.programs import Registry
from tests.serve.conftest import program

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Curl:
    """curl that trusts the registry; secrets are given by a file on standard input, never as arguments."""

    registry: Registry
    scheme: str = "https"

    def __call__(self, target: str, *arguments: str, config: str = "", body: Path | None = None) -> Reply:
        url = target if "://" in target else f"{self.scheme}://{self.registry.address}{target}"
        command = [program("curl", "apt-get install curl"), "-q", "-sS", "-i", "--max-time", "120", "-K", "-"]
        if self.scheme == "https":
            command += ["--cacert", str(self.registry.ca)]
        command += [*arguments, *(["--data-binary", f"@{body}"] if body else []), url]
        done = subprocess.run(command, input=config.encode(), capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        rest = done.stdout
        while True:  # answers to "Expect: 100-continue" come first
            head, _, rest = rest.partition(b"\r\n\r\n")
            lines = head.decode().split("\r\n")
            status = int(lines[0].split()[1])
            if status != 100:
                break
        headers = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in lines[1:])}
        return Reply(status, headers, rest)

    def token(self, scope: str) -> str:
        """Follow the challenge of ``/v2/`` to a token for ``scope``."""
        challenge = self("/v2/").headers["www-authenticate"]
        parts = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
        user = f'user = "{self.registry.user}:{self.registry.password}"\n'
        reply = self(f"{parts['realm']}?service={parts['service']}&scope={scope}", config=user)
        assert reply.status == 200, reply.body
        found: str = json.loads(reply.body)["token"]
        return found


def bearer(token: str) -> str:
    return f'header = "Authorization: Bearer {token}"\n'


def large_layer(path: Path, size: int = 1 << 30) -> str:
    """A file that is random at places with holes in between: large for a registry, cheap for a test; its digest."""
    with path.open("wb") as file:
        for offset in range(0, size, 128 << 20):
            file.seek(offset)
            file.write(os.urandom(1 << 20))
        file.truncate(size)
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def send_file(curl: Curl, repository: str, file: Path, digest: str, authorization: str, *, in_one: bool = True) -> None:
    """A blob from a file of any size, with the last request or before it."""
    begun = curl(f"/v2/{repository}/blobs/uploads/", "-X", "POST", "-d", "", config=authorization)
    assert begun.status == 202, begun.body
    location = begun.headers["location"]
    octets: tuple[str, ...] = ("-H", "Content-Type: application/octet-stream", "-T", str(file))
    if not in_one:
        patched = curl(location, "-X", "PATCH", *octets, config=authorization)
        assert patched.status == 202, patched.body
        location, octets = patched.headers["location"], ("-d", "")
    target = f"{location}{'&' if '?' in location else '?'}digest={digest}"
    done = curl(target, "-X", "PUT", *octets, config=authorization)
    assert done.status == 201, done.body


def digest_of_download(curl: Curl, path: str, authorization: str) -> str:
    """What arrives, hashed while it does: it may be larger than memory."""
    trust = ["--cacert", str(curl.registry.ca)] if curl.scheme == "https" else []
    url = f"{curl.scheme}://{curl.registry.address}{path}"
    command = ["curl", "-q", "-sS", "--fail", "--max-time", "300", *trust, "-K", "-", url]
    pulled = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert pulled.stdin
    assert pulled.stdout
    pulled.stdin.write(authorization.encode())
    pulled.stdin.close()
    arrived = hashlib.sha256()
    with pulled.stdout as content:
        while block := content.read(1 << 20):
            arrived.update(block)
    assert pulled.wait() == 0
    return f"sha256:{arrived.hexdigest()}"


def upload(curl: Curl, repository: str, data: bytes, authorization: str, folder: Path) -> str:
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    (folder / "body").write_bytes(data)
    begun = curl(f"/v2/{repository}/blobs/uploads/", "-X", "POST", "-d", "", config=authorization)
    assert begun.status == 202, begun.body
    location = begun.headers["location"]
    target = f"{location}{'&' if '?' in location else '?'}digest={digest}"
    octets = ("-X", "PUT", "-H", "Content-Type: application/octet-stream")
    assert curl(target, *octets, config=authorization, body=folder / "body").status == 201
    return digest


def push_layout(curl: Curl, made: Layout, repository: str, tag: str, authorization: str, folder: Path) -> None:
    """An image or an index with all its images, blob by blob."""

    def put(document: dict[str, Any], digest: str, reference: str) -> None:
        for child in document.get("manifests", []):
            put(json.loads(made.read(child["digest"])), child["digest"], child["digest"])
        for blob in (*([document["config"]] if "config" in document else []), *document.get("layers", [])):
            upload(curl, repository, made.read(blob["digest"]), authorization, folder)
        body = folder / "manifest"
        body.write_bytes(made.read(digest))
        target = f"/v2/{repository}/manifests/{reference}"
        kind = f"Content-Type: {document['mediaType']}"
        reply = curl(target, "-X", "PUT", "-H", kind, config=authorization, body=body)
        assert reply.status == 201, reply.body

    put(made.document(), made.digest, tag)

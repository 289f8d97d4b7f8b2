"""The matrix of clients and operations, as data: each cell is a check that runs, or the reason why there is none.

A check says what a client did in the words of another one, raw HTTP: what was pushed is looked up there, and what is
pulled was put there. The same checks run against ``image-registry serve`` and against the registry in a cluster.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from tests.clients.artifact_programs import Containerd, Helm, OrasGo, Regctl
from tests.clients.curl import Curl, bearer, push_layout, upload
from tests.clients.cutting import cutting
from tests.clients.layout import Layout, image, index
from tests.clients.programs import Buildah, Crane, Podman, Registry, Skopeo

OPERATIONS = (
    "push",
    "pull by tag",
    "pull by digest",
    "copy",
    "list tags",
    "delete",
    "multi-arch",
    "referrers",
    "resume",
)
SIGNATURE = "application/vnd.dev.cosign.artifact.sig.v1+json"
LARGE = 8 << 20
"""Bytes of a layer whose download is cut: several of the pieces that clients read."""


@dataclass(frozen=True)
class Bench:
    """Where a check works: a registry, a namespace in which its user may do everything, and folders of its own."""

    registry: Registry
    namespace: str
    home: Path
    folder: Path

    def repository(self) -> str:
        """A name that no other check uses."""
        return f"{self.namespace}/{secrets.token_hex(4)}"

    @property
    def curl(self) -> Curl:
        return Curl(self.registry)

    def authorized(self, *repositories: str) -> str:
        """A header with a token for everything in these repositories."""
        return bearer(self.curl.token("&scope=".join(f"repository:{name}:pull,push,delete" for name in repositories)))

    def seeded(self, made: Layout, tag: str = "v1") -> str:
        """A new repository with the image, put there by raw HTTP."""
        repository = self.repository()
        push_layout(self.curl, made, repository, tag, self.authorized(repository), self.folder)
        return repository

    def image(self, **options: Any) -> Layout:
        return image(self.folder / secrets.token_hex(4), **options)

    def index(self) -> Layout:
        return index(self.folder / secrets.token_hex(4))

    def digest(self, repository: str, reference: str) -> str:
        """What raw HTTP finds there; empty for nothing."""
        accept = "Accept: application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json"
        target = f"/v2/{repository}/manifests/{reference}"
        reply = self.curl(target, "-H", accept, config=self.authorized(repository))
        if reply.status == 404:
            return ""
        assert reply.status == 200, reply.body
        return reply.headers["docker-content-digest"]

    def document(self, repository: str, reference: str) -> dict[str, Any]:
        reply = self.curl(f"/v2/{repository}/manifests/{reference}", config=self.authorized(repository))
        assert reply.status == 200, reply.body
        found: dict[str, Any] = json.loads(reply.body)
        return found

    def through(self, port: int) -> Bench:
        """The same registry by another port of this machine."""
        host = self.registry.address.rpartition(":")[0]
        known = self.registry
        moved = Registry(f"{host}:{port}", known.ca, known.user, known.password)
        return Bench(moved, self.namespace, self.home, self.folder)

    def logged_in(self, kind: Any) -> Any:
        """A client of this kind."""
        client = kind(self.registry, self.home)
        client.login(self.registry.user, self.registry.password)
        return client


Check = Callable[[Bench], None]
Cells = dict[str, Check | str]


def copier(kind: Any) -> Cells:
    """What every client does that sends byte by byte what it got."""

    def push(bench: Bench) -> None:
        made, repository = bench.image(), bench.repository()
        assert bench.logged_in(kind).push(made, f"{repository}:v1") == made.digest
        assert bench.digest(repository, "v1") == made.digest

    def pull_by_tag(bench: Bench) -> None:
        made = bench.image()
        assert bench.logged_in(kind).pull(f"{bench.seeded(made)}:v1") == made.digest

    def pull_by_digest(bench: Bench) -> None:
        made = bench.image()
        assert bench.logged_in(kind).pull(f"{bench.seeded(made)}@{made.digest}") == made.digest

    def copy(bench: Bench) -> None:
        made, target = bench.image(), bench.repository()
        bench.logged_in(kind).copy(f"{bench.seeded(made)}:v1", f"{target}:v2")
        assert bench.digest(target, "v2") == made.digest

    def multi_arch(bench: Bench) -> None:
        made, repository = bench.index(), bench.repository()
        client = bench.logged_in(kind)
        assert client.push(made, f"{repository}:v1") == made.digest
        for child in made.document()["manifests"]:
            assert bench.digest(repository, child["digest"]) == child["digest"]
        assert client.pull(f"{repository}:v1") == made.digest

    return {
        "push": push,
        "pull by tag": pull_by_tag,
        "pull by digest": pull_by_digest,
        "copy": copy,
        "list tags": list_tags(kind),
        "delete": delete(kind),
        "multi-arch": multi_arch,
    }


def list_tags(kind: Any) -> Check:
    def check(bench: Bench) -> None:
        made = bench.image(layers=1)
        repository = bench.seeded(made)
        for tag in ("v10", "v2"):
            push_layout(bench.curl, made, repository, tag, bench.authorized(repository), bench.folder)
        assert sorted(bench.logged_in(kind).tags(repository)) == ["v1", "v10", "v2"]

    return check


def delete(kind: Any) -> Check:
    def check(bench: Bench) -> None:
        repository = bench.seeded(bench.image(layers=1))
        bench.logged_in(kind).delete(f"{repository}:v1")
        assert not bench.digest(repository, "v1")

    return check


def referrers(kind: Any) -> Check:
    def check(bench: Bench) -> None:
        repository = bench.seeded(bench.image(layers=1))
        client = bench.logged_in(kind)
        file = bench.folder / "sbom"
        file.write_text(secrets.token_hex(8))
        attached = client.attach(f"{repository}:v1", "application/x.sbom", file)
        client.attach(f"{repository}:v1", "application/x.other", file)
        assert client.referrers(f"{repository}:v1", "application/x.sbom") == [attached]

    return check


def storing(kind: Any) -> Cells:
    """What clients do that keep images in a store of their own and compress layers anew when they push."""

    def push(bench: Bench) -> None:
        repository = bench.repository()
        pushed = bench.logged_in(kind).push(bench.image(), f"{repository}:v1")
        assert bench.digest(repository, "v1") == pushed

    def pull_by_tag(bench: Bench) -> None:
        made = bench.image()
        assert bench.logged_in(kind).pull(f"{bench.seeded(made)}:v1") == made.digest

    def pull_by_digest(bench: Bench) -> None:
        made = bench.image()
        assert bench.logged_in(kind).pull(f"{bench.seeded(made)}@{made.digest}") == made.digest

    def copy(bench: Bench) -> None:
        made, target = bench.image(), bench.repository()
        bench.logged_in(kind).copy(f"{bench.seeded(made)}:v1", f"{target}:v2")
        assert bench.document(target, "v2")["config"]["digest"] == made.document()["config"]["digest"]

    def multi_arch(bench: Bench) -> None:
        made, target = bench.index(), bench.repository()
        bench.logged_in(kind).push_index(f"{bench.seeded(made)}:v1", f"{target}:v2")
        pushed = bench.document(target, "v2")["manifests"]
        assert {child["platform"]["architecture"] for child in pushed} == set(made.platforms)
        for child in pushed:
            assert bench.digest(target, child["digest"]) == child["digest"]

    return {
        "push": push,
        "pull by tag": pull_by_tag,
        "pull by digest": pull_by_digest,
        "copy": copy,
        "multi-arch": multi_arch,
    }


def large_layer(bench: Bench) -> tuple[str, str]:
    """A repository with one layer that is worth resuming, and its digest."""
    made = bench.image(layers=1, size=LARGE)
    return bench.seeded(made), str(made.document()["layers"][0]["digest"])


def regctl_resumes(bench: Bench) -> None:
    repository, digest = large_layer(bench)
    target = bench.folder / "blob"
    with cutting(bench.registry.address, LARGE // 2) as cutter:
        client = bench.through(cutter.port).logged_in(Regctl)
        client.fetch_blob(repository, digest, target)
    assert sha256(target.read_bytes()) == digest
    assert cutter.cut
    assert cutter.brought < LARGE * 3 // 2, "it began again instead of going on"


def oras_resumes(bench: Bench) -> None:
    repository, digest = large_layer(bench)
    whole = bench.curl(f"/v2/{repository}/blobs/{digest}", config=bench.authorized(repository)).body
    target = bench.folder / "blob"
    target.write_bytes(whole[: LARGE // 2])
    assert bench.logged_in(OrasGo).fetch_rest(repository, digest, target) == len(whole) - LARGE // 2
    assert target.read_bytes() == whole


def containerd_check(check: Callable[[Bench, Containerd], None]) -> Check:
    """With a containerd that runs as long as the check."""

    def run(bench: Bench) -> None:
        client = bench.logged_in(Containerd)
        with client.daemon():
            check(bench, client)

    return run


def containerd_pushes(bench: Bench, client: Containerd) -> None:
    made, repository = bench.image(), bench.repository()
    client.push(made, f"{repository}:v1")
    assert bench.digest(repository, "v1") == made.digest


def containerd_pulls_by_tag(bench: Bench, client: Containerd) -> None:
    made = bench.image()
    assert client.pull(f"{bench.seeded(made)}:v1") == made.digest
    assert {layer["digest"] for layer in made.document()["layers"]} <= client.blobs()


def containerd_pulls_by_digest(bench: Bench, client: Containerd) -> None:
    made = bench.image()
    assert client.pull(f"{bench.seeded(made)}@{made.digest}") == made.digest


def containerd_copies(bench: Bench, client: Containerd) -> None:
    made, target = bench.image(), bench.repository()
    client.copy(f"{bench.seeded(made)}:v1", f"{target}:v2")
    assert bench.digest(target, "v2") == made.digest


def containerd_takes_an_index(bench: Bench, client: Containerd) -> None:
    made = bench.index()
    assert client.pull(f"{bench.seeded(made)}:v1") == made.digest
    assert {child["digest"] for child in made.document()["manifests"]} <= client.blobs()


def containerd_resumes(bench: Bench) -> None:
    repository, digest = large_layer(bench)
    with cutting(bench.registry.address, LARGE // 2) as cutter:
        client = bench.through(cutter.port).logged_in(Containerd)
        with client.daemon():
            client.pull(f"{repository}:v1")
            assert digest in client.blobs()
    assert cutter.cut
    assert cutter.brought < LARGE * 3 // 2, "it began again instead of going on"


def helm_pushes(bench: Bench) -> None:
    repository = f"{bench.namespace}/c{secrets.token_hex(4)}"
    pushed = bench.logged_in(Helm).push_chart(repository, "1.0.0")
    assert bench.digest(repository, "1.0.0") == pushed


def helm_pulls_by_tag(bench: Bench) -> None:
    repository, client = f"{bench.namespace}/c{secrets.token_hex(4)}", bench.logged_in(Helm)
    # what a tag may not hold is written otherwise: 1.0.0+b.1 becomes 1.0.0_b.1
    pushed = client.push_chart(repository, "1.0.0+b.1")
    assert client.pull(f"{repository}:1.0.0+b.1") == pushed == bench.digest(repository, "1.0.0_b.1")


def helm_pulls_by_digest(bench: Bench) -> None:
    repository, client = f"{bench.namespace}/c{secrets.token_hex(4)}", bench.logged_in(Helm)
    pushed = client.push_chart(repository, "1.0.0")
    assert client.pull(f"{repository}@{pushed}") == pushed


def helm_finds_the_newest_version(bench: Bench) -> None:
    """That is what Helm lists tags for."""
    repository, client = f"{bench.namespace}/c{secrets.token_hex(4)}", bench.logged_in(Helm)
    pushed = {version: client.push_chart(repository, version) for version in ("1.2.0", "1.10.0", "2.0.0")}
    assert client.pull(f"{repository}:<2") == pushed["1.10.0"]
    assert client.pull(repository) == pushed["2.0.0"]


@dataclass(frozen=True)
class Signer:
    """Signs as cosign lays it down: a payload that names the digest, its signature in an annotation or beside it."""

    bench: Bench
    key: ec.EllipticCurvePrivateKey

    @staticmethod
    def at(bench: Bench) -> Signer:
        return Signer(bench, ec.generate_private_key(ec.SECP256R1()))

    def sign(self, client: Any, repository: str, reference: str, digest: str) -> str:
        payload = json.dumps({"critical": {"image": {"docker-manifest-digest": digest}}, "optional": None}).encode()
        signature = base64.b64encode(self.key.sign(payload, ec.ECDSA(hashes.SHA256()))).decode()
        file = self.bench.folder / f"{secrets.token_hex(4)}.json"
        file.write_text(json.dumps({"payload": base64.b64encode(payload).decode(), "signature": signature}))
        attached: str = client.attach(f"{repository}{reference}", SIGNATURE, file)
        return attached

    def verify(self, client: Any, repository: str, reference: str, digest: str) -> None:
        """Find the signature by the referrers API and check it; raises when there is none that is right."""
        found = client.referrers(f"{repository}{reference}", SIGNATURE)
        assert found, "no signature was found"
        manifest = self.bench.document(repository, found[0])
        blob = f"/v2/{repository}/blobs/{manifest['layers'][0]['digest']}"
        signed = json.loads(self.bench.curl(blob, config=self.bench.authorized(repository)).body)
        payload = base64.b64decode(signed["payload"])
        self.key.public_key().verify(base64.b64decode(signed["signature"]), payload, ec.ECDSA(hashes.SHA256()))
        assert json.loads(payload)["critical"]["image"]["docker-manifest-digest"] == digest


def signature_is_attached(bench: Bench) -> None:
    made = bench.image(layers=1)
    repository, client = bench.seeded(made), bench.logged_in(Regctl)
    attached = Signer.at(bench).sign(client, repository, ":v1", made.digest)
    assert bench.document(repository, attached)["subject"]["digest"] == made.digest


def signature_is_verified(reference: Callable[[Layout], str]) -> Check:
    def check(bench: Bench) -> None:
        made = bench.image(layers=1)
        repository, signer = bench.seeded(made), Signer.at(bench)
        signer.sign(bench.logged_in(Regctl), repository, ":v1", made.digest)
        signer.verify(bench.logged_in(OrasGo), repository, reference(made), made.digest)

    return check


def signature_comes_along(bench: Bench) -> None:
    made, target = bench.image(layers=1), bench.repository()
    repository, signer, client = bench.seeded(made), Signer.at(bench), bench.logged_in(Regctl)
    signer.sign(client, repository, ":v1", made.digest)
    client.copy(f"{repository}:v1", f"{target}:v1")
    signer.verify(client, target, ":v1", made.digest)


def signature_tag_is_listed(bench: Bench) -> None:
    """The older layout, a tag beside the image, which cosign 2 writes and policy controllers still read."""
    made = bench.image(layers=1)
    repository, client = bench.seeded(made), bench.logged_in(Regctl)
    tag = f"{made.digest.replace(':', '-')}.sig"
    push_layout(bench.curl, bench.image(layers=1), repository, tag, bench.authorized(repository), bench.folder)
    assert tag in client.tags(repository)


def signature_is_deleted(bench: Bench) -> None:
    made = bench.image(layers=1)
    repository, client = bench.seeded(made), bench.logged_in(Regctl)
    attached = Signer.at(bench).sign(client, repository, ":v1", made.digest)
    client.run("manifest", "delete", f"{client.at(repository)}@{attached}")
    assert not client.referrers(f"{repository}:v1", SIGNATURE)
    assert bench.digest(repository, "v1") == made.digest


def signatures_of_an_index(bench: Bench) -> None:
    """The index and each of its images have their own."""
    made = bench.index()
    repository, signer, client = bench.seeded(made), Signer.at(bench), bench.logged_in(OrasGo)
    digests = [made.digest, *(child["digest"] for child in made.document()["manifests"])]
    for digest in digests:
        signer.sign(client, repository, f"@{digest}", digest)
    for digest in digests:
        signer.verify(client, repository, f"@{digest}", digest)


def signatures_are_filtered(bench: Bench) -> None:
    made = bench.image(layers=1)
    repository, signer, client = bench.seeded(made), Signer.at(bench), bench.logged_in(OrasGo)
    (bench.folder / "sbom").write_text("{}")
    client.attach(f"{repository}:v1", "application/spdx+json", bench.folder / "sbom")
    signed = [signer.sign(client, repository, ":v1", made.digest) for _ in range(2)]
    assert sorted(client.referrers(f"{repository}:v1", SIGNATURE)) == sorted(signed)


def http_pushes(bench: Bench) -> None:
    made = bench.image()
    assert bench.digest(bench.seeded(made), "v1") == made.digest


def http_pulls(by: Callable[[Layout], str]) -> Check:
    def check(bench: Bench) -> None:
        made = bench.image()
        repository = bench.seeded(made)
        token = bench.authorized(repository)
        document = bench.curl(f"/v2/{repository}/manifests/{by(made)}", config=token).body
        assert sha256(document) == made.digest
        for layer in json.loads(document)["layers"]:
            assert sha256(bench.curl(f"/v2/{repository}/blobs/{layer['digest']}", config=token).body) == layer["digest"]

    return check


def http_mounts(bench: Bench) -> None:
    """A copy that sends no layer."""
    made, target = bench.image(), bench.repository()
    source = bench.seeded(made)
    token = bench.authorized(source, target)
    document = made.document()
    for blob in (document["config"], *document["layers"]):
        post = f"/v2/{target}/blobs/uploads/?mount={blob['digest']}&from={source}"
        assert bench.curl(post, "-X", "POST", "-d", "", config=token).status == 201
    body = bench.folder / "manifest"
    body.write_bytes(made.read(made.digest))
    put = (f"/v2/{target}/manifests/v2", "-X", "PUT", "-H", f"Content-Type: {document['mediaType']}")
    assert bench.curl(*put, config=token, body=body).status == 201
    assert bench.digest(target, "v2") == made.digest


def http_lists(bench: Bench) -> None:
    made = bench.image(layers=1)
    repository = bench.seeded(made)
    token = bench.authorized(repository)
    for tag in ("v10", "v2"):
        push_layout(bench.curl, made, repository, tag, token, bench.folder)
    first = bench.curl(f"/v2/{repository}/tags/list?n=2", config=token)
    rest = bench.curl(first.headers["link"].partition(">")[0].lstrip("<"), config=token)
    assert [*json.loads(first.body)["tags"], *json.loads(rest.body)["tags"]] == ["v1", "v10", "v2"]


def http_deletes(bench: Bench) -> None:
    made = bench.image(layers=1)
    repository = bench.seeded(made)
    token = bench.authorized(repository)
    for reference in ("v1", made.digest):
        assert bench.curl(f"/v2/{repository}/manifests/{reference}", "-X", "DELETE", config=token).status == 202
        assert not bench.digest(repository, reference)


def http_indexes(bench: Bench) -> None:
    made = bench.index()
    repository = bench.seeded(made)
    assert bench.digest(repository, "v1") == made.digest
    for child in made.document()["manifests"]:
        assert bench.digest(repository, child["digest"]) == child["digest"]


def http_referrers(bench: Bench) -> None:
    made = bench.image(layers=1)
    repository, client = bench.seeded(made), bench.logged_in(OrasGo)
    (bench.folder / "sbom").write_text("{}")
    attached = client.attach(f"{repository}:v1", "application/spdx+json", bench.folder / "sbom")
    path = f"/v2/{repository}/referrers/{made.digest}?artifactType=application/spdx%2Bjson"
    reply = bench.curl(path, config=bench.authorized(repository))
    assert reply.headers["oci-filters-applied"] == "artifactType"
    assert [entry["digest"] for entry in json.loads(reply.body)["manifests"]] == [attached]


def http_resumes(bench: Bench) -> None:
    """Both ways: an upload from where the registry says it stands, a download from where the file ends."""
    repository, data = bench.repository(), os.urandom(1 << 20)
    token = bench.authorized(repository)
    begun = bench.curl(f"/v2/{repository}/blobs/uploads/", "-X", "POST", "-d", "", config=token)
    body = bench.folder / "part"
    octets = ("-H", "Content-Type: application/octet-stream")
    body.write_bytes(data[:400_000])
    assert bench.curl(begun.headers["location"], "-X", "PATCH", *octets, config=token, body=body).status == 202
    status = bench.curl(begun.headers["location"], config=token)
    stands = int(status.headers["range"].partition("-")[2]) + 1
    assert (status.status, stands) == (204, 400_000)
    body.write_bytes(data[stands:])
    target = status.headers["location"]
    joint = "&" if "?" in target else "?"
    done = bench.curl(f"{target}{joint}digest={sha256(data)}", "-X", "PUT", *octets, config=token, body=body)
    assert done.status == 201, done.body
    reply = bench.curl(f"/v2/{repository}/blobs/{sha256(data)}", "-H", "Range: bytes=700000-", config=token)
    assert (reply.status, reply.body) == (206, data[700_000:])
    assert upload(bench.curl, repository, b"another", token, bench.folder)


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


NO_REFERRERS = "the program has no command for referrers"
BEGINS_AGAIN = "the program begins a layer again from its first byte"
NO_DELETE = "the program has no command that deletes in a registry"

MATRIX: dict[str, Cells] = {
    "skopeo": {**copier(Skopeo), "referrers": NO_REFERRERS, "resume": BEGINS_AGAIN},
    "podman": {
        **storing(Podman),
        "list tags": list_tags(Podman),
        "delete": NO_DELETE,
        "referrers": NO_REFERRERS,
        "resume": BEGINS_AGAIN,
    },
    "buildah": {
        **storing(Buildah),
        "list tags": "the program has no command that lists tags",
        "delete": NO_DELETE,
        "referrers": NO_REFERRERS,
        "resume": BEGINS_AGAIN,
    },
    "crane": {**copier(Crane), "referrers": NO_REFERRERS, "resume": BEGINS_AGAIN},
    "regctl": {**copier(Regctl), "referrers": referrers(Regctl), "resume": regctl_resumes},
    "oras": {**copier(OrasGo), "referrers": referrers(OrasGo), "resume": oras_resumes},
    "helm": {
        "push": helm_pushes,
        "pull by tag": helm_pulls_by_tag,
        "pull by digest": helm_pulls_by_digest,
        "copy": "a chart is pulled and pushed again; there is no command for both",
        "list tags": helm_finds_the_newest_version,
        "delete": NO_DELETE,
        "multi-arch": "charts have no platform",
        "referrers": NO_REFERRERS,
        "resume": "charts are a few kilobytes; there is nothing to resume",
    },
    "containerd": {
        "push": containerd_check(containerd_pushes),
        "pull by tag": containerd_check(containerd_pulls_by_tag),
        "pull by digest": containerd_check(containerd_pulls_by_digest),
        "copy": containerd_check(containerd_copies),
        "list tags": "a runtime resolves names; it lists nothing",
        "delete": NO_DELETE,
        "multi-arch": containerd_check(containerd_takes_an_index),
        "referrers": "containerd 1.6 knows nothing of referrers",
        "resume": containerd_resumes,
    },
    "signing": {
        "push": signature_is_attached,
        "pull by tag": signature_is_verified(lambda _: ":v1"),
        "pull by digest": signature_is_verified(lambda made: f"@{made.digest}"),
        "copy": signature_comes_along,
        "list tags": signature_tag_is_listed,
        "delete": signature_is_deleted,
        "multi-arch": signatures_of_an_index,
        "referrers": signatures_are_filtered,
        "resume": "signatures are a few hundred bytes; there is nothing to resume",
    },
    "raw HTTP": {
        "push": http_pushes,
        "pull by tag": http_pulls(lambda _: "v1"),
        "pull by digest": http_pulls(lambda made: made.digest),
        "copy": http_mounts,
        "list tags": http_lists,
        "delete": http_deletes,
        "multi-arch": http_indexes,
        "referrers": http_referrers,
        "resume": http_resumes,
    },
}


def checks() -> dict[str, Check]:
    """Every cell that runs, by its name ``client: operation``."""
    return {
        f"{client}: {operation}": cell
        for client, cells in MATRIX.items()
        for operation, cell in cells.items()
        if not isinstance(cell, str)
    }

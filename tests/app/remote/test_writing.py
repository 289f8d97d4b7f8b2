"""Blobs and manifests are sent to real registries: each arrives whole, or is refused, or the reason is said."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from image_registry.oci.digest import Digest
from image_registry.oci.manifest import Manifest, parse_manifest
from image_registry.remote.asking import Access
from image_registry.remote.contents import InMemory, InRegistry
from image_registry.remote.errors import Forbidden, Mismatch, NoSpace, NotFound, Refused, Unauthorized
from image_registry.remote.reference import RemoteReference
from image_registry.remote.referrers import list_with, listed_referrers, tagged_referrers
from image_registry.remote.registry import Registries
from image_registry.remote.sending import Telling
from image_registry.remote.uploads import Upload
from image_registry.remote.writing import Writing
from tests.app.content import image
from tests.app.remote.conftest import REPOSITORY, Clock, Remote
from tests.app.remote.faulting_proxy import Fault, FaultingProxy
from tests.app.remote.zot import needed

MIB = 1 << 20
LARGE = 3 * MIB + 17


@dataclass
class Target:
    """A registry that takes images, seen through a proxy that counts and breaks."""

    remote: Remote
    proxy: FaultingProxy
    registries: Registries
    writing: Writing
    access: Access
    path: str = field(default_factory=lambda: f"team/w{secrets.token_hex(5)}")

    def named(self, wanted: Digest | str, path: str = "") -> RemoteReference:
        return RemoteReference(self.proxy.host, path or self.path).at(wanted)

    def has(self, data: bytes, path: str = "") -> bool:
        """Whether the repository gives exactly these bytes."""
        try:
            with self.registries.blob(self.named(Digest.of(data), path), self.access) as parts:
                return b"".join(parts) == data
        except NotFound:
            return False

    def put(self, data: bytes, **options: Any) -> int:
        return self.writing.put_blob(self.named(Digest.of(data)), InMemory(data), self.access, **options)

    def uploads(self, method: str) -> list[str]:
        return [seen.path for seen in self.proxy.asked("/blobs/uploads/") if seen.method == method]


KINDS = ["open_distribution", "guarded_distribution", "own", pytest.param("guarded_zot", marks=needed)]


@pytest.fixture(params=KINDS)
def target(request: pytest.FixtureRequest, client: Callable[..., Registries], clock: Clock) -> Iterator[Target]:
    """One that is open, one that asks for Basic, one that asks for tokens."""
    remote: Remote = request.getfixturevalue(request.param)
    with FaultingProxy(remote.host).running() as proxy:
        registries = client()
        access = Access(remote.keyring(proxy.host) if remote.user else Access().keyring, insecure=True)
        writing = Writing(registries.questions, sleep=clock.sleep, piece=2 * MIB)
        yield Target(remote, proxy, registries, writing, access)


@dataclass(frozen=True)
class Corrupted:
    """A source whose bytes are not what their digest says from the middle on."""

    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)

    @contextmanager
    def open(self, offset: int) -> Iterator[Iterator[bytes]]:
        wrong = self.data[: self.size // 2] + bytes(self.size - self.size // 2)
        yield iter([wrong[at : at + MIB] for at in range(offset, self.size, MIB)])


@pytest.mark.parametrize("size", [0, 1, 1000, MIB, MIB + 1, 2 * MIB, LARGE, 4 * MIB])
def test_a_blob_of_any_size_arrives(target: Target, size: int) -> None:
    data = os.urandom(size)
    counted: list[int] = []
    assert target.put(data, telling=Telling(sent=counted.append)) == size == sum(counted)
    assert target.has(data)
    assert target.writing.blob_size(target.named(Digest.of(data)), target.access) == size


def test_what_is_not_there_is_known_without_an_error(target: Target) -> None:
    nothing = Digest.of(b"nothing of the kind")
    assert target.writing.blob_size(target.named(nothing), target.access) is None
    assert target.writing.manifest_digest(target.named("v1"), target.access) is None


def test_a_small_blob_is_one_request_where_the_registry_takes_that(target: Target) -> None:
    target.put(b"first")  # shows what the registry can
    before = len(target.proxy.seen)
    target.put(b"second")
    asked = [seen.method for seen in target.proxy.seen[before:]]
    whole = target.remote.user in ("john", "zoe")  # users of our own registry, and of zot
    assert asked == (["POST"] if whole else ["POST", "PUT"])


def test_bytes_with_another_digest_are_never_kept(target: Target) -> None:
    for size in (1000, LARGE):
        data = os.urandom(size)
        named = target.named(Digest.of(data))
        with pytest.raises(Mismatch, match="nothing is taken"):
            target.writing.put_blob(named, Corrupted(data), target.access)
        assert target.writing.blob_size(named, target.access) is None
    assert not any(method == "PUT" and "digest" in path for method, path in _ended(target))


def _ended(target: Target) -> list[tuple[str, str]]:
    """Uploads that the registry was told are whole, apart from those whose connection ended before."""
    whole = [seen for seen in target.proxy.seen if seen.headers.get("content-length") == "0"]
    return [(seen.method, seen.path) for seen in whole]


def test_a_blob_that_broke_off_goes_on_where_the_registry_stands(target: Target) -> None:
    data = os.urandom(LARGE)
    target.writing = Writing(target.registries.questions, piece=2 * MIB)  # the registry needs a moment to notice
    target.proxy.faults.append(Fault("/blobs/uploads/", method="PATCH", taken=MIB))
    target.put(data)
    assert target.has(data)
    # what the first connection brought need not come again, unless the registry had not written it yet
    assert len(data) <= target.proxy.received <= len(data) + MIB


def test_an_upload_is_taken_up_by_another_process(target: Target) -> None:
    data = os.urandom(LARGE)
    begun: list[Upload] = []
    target.proxy.faults += [Fault("/blobs/uploads/", 507, method="PUT", always=True)]
    with pytest.raises(NoSpace):
        target.put(data, telling=Telling(kept=begun.append))
    target.proxy.faults.clear()
    before = target.proxy.received
    # two megabytes came in the first piece; the new process has the address alone
    sent = target.put(data, upload=Upload(begun[-1].location))
    assert target.has(data)
    assert sent == target.proxy.received - before == len(data) - 2 * MIB


def test_an_upload_that_the_registry_forgot_is_begun_again(target: Target) -> None:
    data = os.urandom(LARGE)
    gone = target.writing.uploads.begin(target.named(Digest.of(data)), target.access)
    target.writing.uploads.cancel(target.named(Digest.of(data)), gone, target.access)
    assert target.put(data, upload=gone) == len(data)
    assert target.has(data)


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_registry_that_is_out_of_order_for_a_moment_loses_nothing(target: Target, status: int) -> None:
    for data in (os.urandom(1000), os.urandom(LARGE)):
        for method in ("POST", "PATCH", "PUT"):
            target.proxy.faults.append(Fault("/blobs/uploads/", status, {"Retry-After": "1"}, method=method))
        target.put(data)
        assert target.has(data)
        target.proxy.faults.clear()


def test_a_token_may_end_in_the_middle_of_a_blob(target: Target) -> None:
    data = os.urandom(LARGE)
    refused = {"WWW-Authenticate": 'Basic realm="over"'} if not target.remote.user else {}
    target.proxy.faults.append(Fault("/blobs/uploads/", 401, refused, method="PUT"))
    target.put(data)
    assert target.has(data)


def test_a_blob_is_mounted_or_sent(target: Target) -> None:
    data = os.urandom(1000)
    named = target.named(Digest.of(data))
    origin = target.path
    target.put(data)
    target.path += "-other"
    named = target.named(Digest.of(data))
    assert target.writing.uploads.mount(named, origin, target.access) is None
    assert target.has(data)
    new = os.urandom(LARGE)
    upload = target.writing.uploads.mount(target.named(Digest.of(new)), origin, target.access)
    assert upload is not None
    assert target.put(new, upload=upload) == len(new)
    assert target.has(new)


def test_a_blob_goes_from_one_registry_to_another_though_the_source_breaks_off(
    target: Target, open_distribution: Remote, client: Callable[..., Registries]
) -> None:
    data = os.urandom(LARGE)
    with FaultingProxy(open_distribution.host).running() as source:
        access = Access(insecure=True)
        held = RemoteReference(source.host, REPOSITORY).at(Digest.of(data))
        Writing(client().questions).put_blob(held, InMemory(data), access)
        source.faults += [Fault("/blobs/", cut=MIB, method="GET"), Fault("/blobs/", 503, method="GET")]
        target.writing.put_blob(
            target.named(Digest.of(data)), InRegistry(target.registries, held, len(data), access), target.access
        )
        assert target.has(data)
        source.faults += [Fault("/blobs/", change=True, method="GET")]
        other = target.named(Digest.of(data), f"{target.path}-changed")
        with pytest.raises(Mismatch):
            target.writing.put_blob(other, InRegistry(target.registries, held, len(data), access), target.access)
        missing = held.at(Digest.of(b"missing"))
        with pytest.raises(NotFound):
            target.writing.put_blob(
                target.named(Digest.of(b"missing")),
                InRegistry(target.registries, missing, LARGE, access),
                target.access,
            )


def _image(target: Target, **extra: Any) -> Manifest:
    content = secrets.token_hex(8)
    made = image(content, **extra)
    target.put(b"{}")
    layer = repr(content).encode()
    document = json.loads(made.raw)
    document["layers"][0]["size"], document["config"]["size"] = len(layer), 2
    target.put(layer)
    return parse_manifest(json.dumps(document).encode(), "")


def test_a_manifest_is_taken_under_a_tag_and_under_its_digest(target: Target) -> None:
    made = _image(target)
    assert target.writing.put_manifest(target.named(made.digest), made, target.access).digest == made.digest
    assert target.writing.put_manifest(target.named("v1"), made, target.access).digest == made.digest
    assert target.writing.manifest_digest(target.named("v1"), target.access) == made.digest
    fetched = target.registries.manifest(target.named("v1"), target.access).manifest
    assert (fetched.raw, fetched.media_type) == (made.raw, made.media_type)


def test_a_registry_that_makes_another_manifest_of_it_is_found_out(target: Target) -> None:
    made = _image(target)
    target.proxy.faults.append(Fault("/manifests/", 201, {"Docker-Content-Digest": str(Digest.of(b"other"))}))
    with pytest.raises(Mismatch, match="was sent as"):
        target.writing.put_manifest(target.named("v1"), made, target.access)


def test_a_manifest_without_its_blobs_is_refused_with_the_word_of_the_protocol(target: Target) -> None:
    with pytest.raises((Refused, NotFound), match=r"BLOB_UNKNOWN|MANIFEST_INVALID"):
        target.writing.put_manifest(target.named("v1"), image(secrets.token_hex(8)), target.access)


def test_referrers_are_listed_by_the_registry_or_under_the_tag(target: Target) -> None:
    subject = _image(target)
    target.writing.put_manifest(target.named("v1"), subject, target.access)
    about = {"mediaType": subject.media_type, "digest": str(subject.digest), "size": len(subject.raw)}
    referrers = [
        _image(target, subject=about, artifactType=f"application/vnd.test.{kind}", annotations={"kind": kind})
        for kind in ("signature", "list")
    ]
    named = target.named(subject.digest)
    for referrer in referrers:
        taken = target.writing.put_manifest(target.named(referrer.digest), referrer, target.access)
        listed = listed_referrers(target.registries.questions, named, target.access)
        assert (listed is not None) == taken.lists_subject
        if not taken.lists_subject:
            existing = tagged_referrers(target.registries, named, target.access)
            wanted = list_with(existing, [referrer])
            assert wanted is not None
            tag = f"sha256-{subject.digest.hex}"
            target.writing.put_manifest(target.named(tag), wanted, target.access)
    listed = listed_referrers(target.registries.questions, named, target.access)
    if listed is None:
        tagged = tagged_referrers(target.registries, named, target.access)
        assert tagged is not None
        listed = tagged.manifests
        assert list_with(tagged, referrers) is None
    assert {entry.digest: (entry.artifact_type, entry.annotations["kind"]) for entry in listed} == {
        referrer.digest: (referrer.artifact_type, referrer.annotations["kind"]) for referrer in referrers
    }


def test_nobody_pushes_without_the_right(own: Remote, client: Callable[..., Registries]) -> None:
    writing = Writing(client().questions)
    named = RemoteReference(own.host, "team/new").at(Digest.of(b"data"))
    with pytest.raises((Unauthorized, Forbidden)):
        writing.put_bytes(named, b"data", Access(insecure=True))
    with pytest.raises(Unauthorized) as refused:
        writing.put_bytes(named, b"data", Access(own.keyring(password="wrong-canary"), insecure=True))
    assert "wrong-canary" not in str(refused.value)


def test_an_upload_is_not_sent_where_nobody_is_encrypted(target: Target) -> None:
    """Credentials stay with the registry though it names another place for an upload."""
    with FaultingProxy(target.remote.host).running() as elsewhere:
        location = {"Location": f"http://{elsewhere.host}/v2/{target.path}/blobs/uploads/x"}
        target.proxy.faults.append(Fault("/blobs/uploads/", 202, location, method="POST"))
        elsewhere.faults.append(Fault("/blobs/uploads/", 201, {"Location": "/"}, method="PUT"))
        upload = target.writing.uploads.begin(target.named(Digest.of(b"data")), target.access)
        target.writing.uploads.finish(target.named(Digest.of(b"data")), upload, target.access, b"data")
        assert ["authorization" in seen.headers for seen in elsewhere.asked("/blobs/uploads/")] == [False]

"""Every refusal that the data plane can give: its code, and a message that says what to change.

The list is complete: a refusal that is written down in the code and that no request below provokes fails the test.
"""

from __future__ import annotations

import ast
import io
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from werkzeug.test import Client, TestResponse

from image_registry import distribution_api
from image_registry.auth.access import AuthorizationUnavailable
from image_registry.auth.htpasswd import HtpasswdAuthenticator
from image_registry.auth.identity import AuthenticationUnavailable
from image_registry.auth.tokens import RegistryTokens, generate_key
from image_registry.distribution_api import open_uploads, tokens
from image_registry.distribution_api.received import STRAIGHT
from image_registry.imagestreams.errors import MetadataUnavailable
from image_registry.imagestreams.limits import STORAGE, Excess, Limit, LimitExceeded, LimitsUnknown, Scope
from image_registry.kube.errors import ClusterUnreachable
from image_registry.oci import media_types
from image_registry.oci.digest import Digest
from image_registry.oci.errors import RegistryError
from image_registry.oci.reference import Repository
from image_registry.remote.errors import NotFound, RemoteError, TooManyRequests, Unreachable
from image_registry.server import upkeep_options
from image_registry.storage.blob_store import BlobMissing, OutOfSpace, StorageFault, UploadBusy, UploadMissing
from image_registry.upkeep.asking import Upkeep
from image_registry.upkeep.ledger import Ledger

from .conftest import CREATE, PULL, PUSH, Registry, RightsTable, basic, code, manifest_of

FOLDER = Path(next(iter(distribution_api.__path__)))
DIGEST = str(Digest.of(b"data"))
APP = "/v2/team/app"
OCI = {"Content-Type": media_types.OCI_MANIFEST}
ANN = basic("ann")

Site = tuple[str, int]
Case = Callable[["Stage"], TestResponse]


@dataclass
class Stage:
    """What a case may use: a registry, and how to build one that has something wrong with it."""

    build: Callable[..., Registry]
    patch: pytest.MonkeyPatch
    users: Path
    rights: dict[tuple[str, str], set[str]] = field(default_factory=lambda: {("ann", "team"): {PULL, PUSH, CREATE}})

    @property
    def open(self) -> Client:
        """Without authentication."""
        return self.build().client

    def guarded(self, **parts: Any) -> Client:
        """ann may pull and push in team, but delete nothing."""
        return self.build(
            **{
                "authorizer": RightsTable(self.rights),
                "authenticator": HtpasswdAuthenticator(self.users),
                "tokens": RegistryTokens([generate_key()]),
                **parts,
            }
        ).client

    def broken(self, part: str, method: str, error: Exception) -> Client:
        """Open, with one method of the store or of the rules that fails."""
        registry = self.build()

        def fail(*_arguments: object, **_options: object) -> None:
            raise error

        self.patch.setattr(type(attrgetter(part)(registry)), method, fail)
        return registry.client

    def token(self, client: Client, scope: str) -> dict[str, str]:
        answer = client.get(f"/v2/token?scope={scope}", headers=ANN)
        assert answer.json is not None
        return {"Authorization": f"Bearer {answer.json['token']}"}


def begun(client: Client, data: bytes = b"") -> str:
    location = client.post(f"{APP}/blobs/uploads/").headers["Location"]
    if data:
        assert client.patch(location, data=data).status_code == 202
    return location


def pushed(stage: Stage) -> Registry:
    registry = stage.build()
    assert registry.push("team/app", "v1").status_code == 201
    return registry


def adopted(stage: Stage, raw: bytes) -> Client:
    """A manifest that the storage has, while the database is away."""
    registry = stage.build()
    registry.store.put(raw, Digest.of(raw))
    registry.store.link_manifest(Repository("team", "app"), Digest.of(raw))
    return stage.broken("streams", "manifest", MetadataUnavailable("gone"))


def imported(stage: Stage, error: RemoteError) -> TestResponse:
    """A named fake of pull-through: the other registry says no."""

    class Refusing:
        def size(self, *_arguments: object) -> None:
            raise error

    return stage.build(pull_through=Refusing()).client.get(f"{APP}/blobs/{DIGEST}")


def crowded(stage: Stage) -> TestResponse:
    stage.patch.setattr(open_uploads, "MOST", 1)
    client = stage.open
    begun(client, b"one")
    return client.patch(begun(client), data=b"two")


def authenticator_away(stage: Stage) -> TestResponse:
    def away(*_arguments: object) -> None:
        raise AuthenticationUnavailable("no answer")

    client = stage.guarded()
    stage.patch.setattr(HtpasswdAuthenticator, "authenticate_basic", away)
    return client.get(f"{APP}/tags/list", headers=ANN)


def authorizer_away(stage: Stage) -> TestResponse:
    def away(*_arguments: object) -> None:
        raise AuthorizationUnavailable("no answer")

    client = stage.guarded()
    stage.patch.setattr(RightsTable, "decide", away)
    return client.get(f"{APP}/tags/list", headers=ANN)


BEYOND = LimitExceeded([Excess(Limit("ResourceQuota bytes", Scope.NAMESPACE, STORAGE, 3), 0, 4)], "team")


def false_size(stage: Stage) -> TestResponse:
    """Where bytes are counted."""
    registry = stage.build()
    stage.patch.setattr(type(registry.streams.allowance), "counts_bytes", lambda *_: True)
    registry.upload("team/app", b"{}")
    document = json.loads(manifest_of(b"{}"))
    document["config"]["size"] = 99
    return registry.client.put(f"{APP}/manifests/v1", data=json.dumps(document), headers=OCI)


def nowhere(_namespace: str) -> bool:
    raise ClusterUnreachable("no answer")


def lost_bytes(stage: Stage) -> TestResponse:
    registry = pushed(stage)
    digest = registry.upload("team/app", b"data")
    stage.patch.setattr(type(registry.store), "open", _raiser(BlobMissing()))
    return registry.client.get(f"{APP}/blobs/{digest}")


def lost_manifest(stage: Stage) -> TestResponse:
    registry = pushed(stage)
    stage.patch.setattr(type(registry.store), "read", _raiser(BlobMissing()))
    return registry.client.get(f"{APP}/manifests/v1")


def _raiser(error: Exception) -> Callable[..., None]:
    def fail(*_arguments: object, **_options: object) -> None:
        raise error

    return fail


def signed(stage: Stage, document: object, times: int = 1) -> TestResponse:
    registry = pushed(stage)
    digest = registry.client.head(f"{APP}/manifests/v1").headers["Docker-Content-Digest"]
    answer = None
    for number in range(times):
        body = document(digest, number) if callable(document) else document
        answer = registry.client.put(f"/extensions{APP}/signatures/{digest}", data=json.dumps(body))
    assert answer is not None
    return answer


def signature(name: str) -> Callable[[str, int], dict[str, Any]]:
    return lambda digest, number: {
        "schemaVersion": 2,
        "name": f"{digest}@{name.format(number)}",
        "content": "eA==",
    }


class Breaking(io.BytesIO):
    """A body that ends too early, or with the error of a server whose client does not keep to HTTP."""

    def __init__(self, *, silent: bool) -> None:
        super().__init__()
        self._silent = silent

    def read(self, _size: int | None = -1, /) -> bytes:
        if self._silent:
            return b""
        raise RuntimeError("no chunk")

    def readinto(self, _buffer: object, /) -> int:
        return len(self.read())


ANNOUNCED = {"CONTENT_LENGTH": "100", "wsgi.input_terminated": True}


def vanished(stage: Stage, *, silent: bool) -> TestResponse:
    client = stage.open
    return client.patch(begun(client), input_stream=Breaking(silent=silent), environ_overrides=ANNOUNCED)


def straight(stage: Stage, receive: Callable[..., Any]) -> TestResponse:
    """A body that the server lets the application take from the socket."""
    client = stage.open
    return client.patch(
        begun(client), environ_overrides={**ANNOUNCED, "CONTENT_LENGTH": str(64 << 20), STRAIGHT: receive}
    )


def form_breaks_off(stage: Stage) -> TestResponse:
    environ = {"wsgi.input": Breaking(silent=False), "CONTENT_LENGTH": "10"}
    kind = "application/x-www-form-urlencoded"
    return stage.guarded().post("/v2/token", content_type=kind, environ_overrides=environ)


def slow_form(stage: Stage) -> TestResponse:
    stage.patch.setattr(tokens, "FORM_PATIENCE", 0.0)
    return stage.guarded().post("/v2/token", data={"grant_type": "password"})


def crowd_of_forms(stage: Stage) -> TestResponse:
    stage.patch.setattr(tokens, "FORMS", 0)
    return stage.guarded().post("/v2/token", data={"grant_type": "password"})


UPKEEP = "/extensions/v2/upkeep"


def keeper(stage: Stage, **parts: Any) -> Client:
    """Open, and with runs that nobody makes."""
    ledger = Ledger(stage.build().database)
    return stage.build(upkeep=Upkeep(ledger, partial(upkeep_options.check, promise=3600)), **parts).client


def asked(client: Client, body: object) -> TestResponse:
    return client.post(UPKEEP, data=body if isinstance(body, bytes) else json.dumps(body))


def asked_twice(client: Client) -> TestResponse:
    assert asked(client, {"kind": "gc"}).status_code == 202
    return asked(client, {"kind": "gc"})


REFUSALS: dict[str, tuple[Case, int, str, str]] = {
    # names, paths and pages
    "no name": (lambda s: s.open.get("/v2/team/App/tags/list"), 400, "NAME_INVALID", "lower-case letters and digits"),
    "one part": (lambda s: s.open.get("/v2/app/tags/list"), 400, "NAME_INVALID", "exactly <namespace>/<repository>"),
    "no digest": (lambda s: s.open.get(f"{APP}/blobs/sha1:abc"), 400, "DIGEST_INVALID", "use one of sha256, sha512"),
    "no tag": (lambda s: s.open.put(f"{APP}/manifests/.x"), 400, "TAG_INVALID", "at most 128 letters"),
    "no tag to read": (lambda s: s.open.get(f"{APP}/manifests/.x"), 404, "MANIFEST_UNKNOWN", "at most 128 letters"),
    "no number": (lambda s: s.open.get("/v2/_catalog?n=x"), 400, "SIZE_INVALID", "must be a whole number"),
    "no path": (lambda s: s.open.get("/v2/x"), 404, "UNSUPPORTED", "this registry has /v2/"),
    "no method": (lambda s: s.open.post(f"{APP}/tags/list"), 405, "UNSUPPORTED", "this path takes GET"),
    # who, and whether they may
    "nobody": (lambda s: s.guarded().get(f"{APP}/tags/list"), 401, "UNAUTHORIZED", "log in, or send a token"),
    "a wrong password": (
        lambda s: s.guarded().get(f"{APP}/tags/list", headers=basic("ann", "x")),
        401,
        "UNAUTHORIZED",
        "wrong password",
    ),
    "a narrow token": (
        lambda s: (c := s.guarded()).post(f"{APP}/blobs/uploads/", headers=s.token(c, "repository:team/app:pull")),
        401,
        "UNAUTHORIZED",
        "ask for a new one",
    ),
    "a token of another registry": (
        lambda s: s.guarded().get(f"{APP}/tags/list", headers=s.token(s.guarded(), "repository:team/app:pull")),
        401,
        "UNAUTHORIZED",
        "not platform tokens",
    ),
    "a damaged token": (
        lambda s: (c := s.guarded()).get(
            f"{APP}/tags/list",
            headers={"Authorization": s.token(c, "repository:team/app:pull")["Authorization"][:-8] + "AAAAAAAA"},
        ),
        401,
        "UNAUTHORIZED",
        "not one of this registry's",
    ),
    "no right": (
        lambda s: s.guarded().delete(f"{APP}/manifests/v1", headers=ANN),
        403,
        "DENIED",
        "cannot delete imagestreamtags",
    ),
    "no right to sign": (
        lambda s: s.guarded().put(f"/extensions{APP}/signatures/{DIGEST}", headers=ANN),
        403,
        "DENIED",
        "cannot create imagesignatures",
    ),
    "no right to create": (
        lambda s: (s.rights.update({("ann", "team"): {PULL, PUSH}}), _push(s.guarded(), ANN))[1],
        403,
        "DENIED",
        "cannot create imagestreams",
    ),
    "nobody answers who calls": (authenticator_away, 503, "UNAVAILABLE", "right now"),
    "nobody answers who may": (authorizer_away, 503, "UNAVAILABLE", "right now"),
    "no namespace": (
        lambda s: s.build(namespace_exists=lambda _: False).client.post(f"{APP}/blobs/uploads/"),
        404,
        "NAME_UNKNOWN",
        "create it, then push again",
    ),
    "nobody answers what there is": (
        lambda s: s.build(namespace_exists=nowhere).client.post(f"{APP}/blobs/uploads/"),
        503,
        "UNAVAILABLE",
        "right now",
    ),
    "read-only": (
        lambda s: s.build(read_only=lambda: "maintenance").client.post(f"{APP}/blobs/uploads/"),
        405,
        "UNSUPPORTED",
        "try pushes and deletes again later",
    ),
    "beyond a limit": (
        lambda s: s.broken("streams.allowance", "expect", BEYOND).post(
            f"{APP}/blobs/uploads/?digest={DIGEST}", data=b"data"
        ),
        403,
        "DENIED",
        "or have the ResourceQuota of namespace team raised",
    ),
    "nobody answers what the limits are": (
        lambda s: s.broken("streams.allowance", "expect", LimitsUnknown("no answer")).post(
            f"{APP}/blobs/uploads/?digest={DIGEST}", data=b"data"
        ),
        503,
        "UNAVAILABLE",
        "pushes go on when they are known",
    ),
    "a size that is not true": (false_size, 400, "MANIFEST_INVALID", "not 99 as the manifest says"),
    # tokens
    "no tokens here": (lambda s: s.open.get("/v2/token"), 405, "UNSUPPORTED", "ask without one"),
    "no grant": (lambda s: s.guarded().post("/v2/token"), 400, "UNAUTHORIZED", "send a form"),
    "half a password": (
        lambda s: s.guarded().post("/v2/token", data={"grant_type": "password"}),
        400,
        "UNAUTHORIZED",
        "needs the fields username and password",
    ),
    "half a refresh": (
        lambda s: s.guarded().post("/v2/token", data={"grant_type": "refresh_token"}),
        400,
        "UNAUTHORIZED",
        "needs the field refresh_token",
    ),
    "a form that breaks off": (form_breaks_off, 400, "UNAUTHORIZED", "cannot be read"),
    "a form in another encoding": (
        lambda s: s.guarded().post(
            "/v2/token", data=b"username=\xff", content_type="application/x-www-form-urlencoded"
        ),
        400,
        "UNAUTHORIZED",
        "send it in UTF-8",
    ),
    "a slow form": (slow_form, 400, "UNAUTHORIZED", "send it at once"),
    "a crowd of forms": (crowd_of_forms, 429, "TOOMANYREQUESTS", "ask by GET"),
    "a long form": (
        lambda s: s.guarded().post("/v2/token", data={"password": "x" * 100_000}),
        413,
        "UNSUPPORTED",
        "send a shorter body",
    ),
    # manifests
    "no repository": (lambda s: s.open.get(f"{APP}/manifests/v1"), 404, "NAME_UNKNOWN", "by the first push"),
    "no manifest": (
        lambda s: pushed(s).client.get(f"{APP}/manifests/v2"),
        404,
        "MANIFEST_UNKNOWN",
        "tags/list shows what there is",
    ),
    "a lost manifest": (lost_manifest, 404, "MANIFEST_UNKNOWN", "push the manifest again"),
    "not in the storage": (
        lambda s: s.broken("streams", "manifest", MetadataUnavailable("gone")).get(f"{APP}/manifests/{DIGEST}"),
        404,
        "MANIFEST_UNKNOWN",
        "check the name, or push it",
    ),
    "a tag that only the database knows": (
        lambda s: s.broken("streams", "tag", MetadataUnavailable("gone")).get(f"{APP}/manifests/v1"),
        503,
        "UNAVAILABLE",
        "pull by digest, or come back later",
    ),
    "no manifest in the storage": (
        lambda s: adopted(s, b"data").get(f"{APP}/manifests/{DIGEST}"),
        404,
        "MANIFEST_UNKNOWN",
        "push it anew",
    ),
    "not a manifest": (
        lambda s: s.open.put(f"{APP}/manifests/v1", data=b"x", headers=OCI),
        400,
        "MANIFEST_INVALID",
        "not JSON",
    ),
    "another digest": (
        lambda s: s.open.put(f"{APP}/manifests/{DIGEST}", data=b"{}", headers=OCI),
        400,
        "DIGEST_INVALID",
        f"not {DIGEST}",
    ),
    "blobs that are missing": (
        lambda s: _push(s.open, {}, upload=False),
        404,
        "MANIFEST_BLOB_UNKNOWN",
        "push them first",
    ),
    "a long manifest": (
        lambda s: s.open.put(f"{APP}/manifests/v1", data=b"x" * ((4 << 20) + 1)),
        413,
        "MANIFEST_INVALID",
        "the limit is",
    ),
    "a long manifest of unknown length": (
        lambda s: s.open.put(
            f"{APP}/manifests/v1",
            input_stream=io.BytesIO(b"x" * ((4 << 20) + 1)),
            environ_overrides={"CONTENT_LENGTH": "", "wsgi.input_terminated": True},
        ),
        413,
        "MANIFEST_INVALID",
        "the limit of",
    ),
    "many tags": (
        lambda s: s.open.put(f"{APP}/manifests/{DIGEST}?" + "&".join(f"tag={n}" for n in range(60))),
        414,
        "TAG_INVALID",
        "push at most 50, then the rest",
    ),
    "a condition": (
        lambda s: pushed(s).client.delete(f"{APP}/manifests/v1", headers={"If-Match": '"x"'}),
        412,
        "DENIED",
        "look at it, then decide again",
    ),
    # blobs and uploads
    "no blob": (lambda s: s.open.get(f"{APP}/blobs/{DIGEST}"), 404, "BLOB_UNKNOWN", "push it here, or mount it"),
    "a lost blob": (lost_bytes, 404, "BLOB_UNKNOWN", "push it again"),
    "a part beyond the end": (
        lambda s: pushed(s).client.get(f"{APP}/blobs/{Digest.of(b'layer')}", headers={"Range": "bytes=99-"}),
        416,
        "BLOB_UPLOAD_INVALID",
        "a blob of 5 bytes",
    ),
    "no algorithm": (
        lambda s: s.open.post(f"{APP}/blobs/uploads/?digest-algorithm=md5"),
        400,
        "DIGEST_INVALID",
        "use sha256, sha512",
    ),
    "an end without a digest": (lambda s: (c := s.open).put(begun(c)), 400, "DIGEST_INVALID", "needs ?digest="),
    "other bytes": (
        lambda s: (c := s.open).put(f"{begun(c)}?digest={DIGEST}", data=b"other"),
        400,
        "DIGEST_INVALID",
        f"not {DIGEST}",
    ),
    "no upload": (lambda s: s.open.get(f"{APP}/blobs/uploads/x"), 404, "BLOB_UPLOAD_UNKNOWN", "begin it again"),
    "no span": (
        lambda s: (c := s.open).patch(begun(c), data=b"x", headers={"Content-Range": "x"}),
        400,
        "BLOB_UPLOAD_INVALID",
        "write it as <first>-<last>",
    ),
    "a span of another length": (
        lambda s: (c := s.open).patch(begun(c), data=b"x", headers={"Content-Range": "0-9"}),
        400,
        "SIZE_INVALID",
        "names 10 bytes but",
    ),
    "a chunk out of order": (
        lambda s: (c := s.open).patch(begun(c), data=b"x", headers={"Content-Range": "5-5"}),
        416,
        "BLOB_UPLOAD_INVALID",
        "send from there",
    ),
    "two at once": (
        lambda s: (c := s.broken("store", "append", UploadBusy())).patch(begun(c), data=b"x"),
        409,
        "BLOB_UPLOAD_INVALID",
        "ask for the status, and go on from there",
    ),
    "too many at once": (crowded, 429, "TOOMANYREQUESTS", "finish or cancel some"),
    "a body that breaks off": (lambda s: vanished(s, silent=True), 400, "SIZE_INVALID", "broke off after 0 of 100"),
    "a socket that ends": (
        lambda s: straight(s, lambda _view: 0),
        400,
        "SIZE_INVALID",
        "broke off after 0 of 67108864",
    ),
    "a socket that breaks": (lambda s: straight(s, _raiser(OSError())), 400, "SIZE_INVALID", "broke off after 0 bytes"),
    "a connection that breaks": (lambda s: vanished(s, silent=False), 400, "SIZE_INVALID", "broke off after 0 bytes"),
    # signatures and metrics
    "no signature": (lambda s: signed(s, "x"), 400, "SIGNATURE_INVALID", "must be an object"),
    "the same signature": (lambda s: signed(s, signature("a"), 2), 409, "SIGNATURE_EXISTS", "name"),
    "many signatures": (lambda s: signed(s, signature("a{}"), 101), 400, "SIGNATURE_INVALID", "100"),
    "metrics by a registry token": (
        lambda s: (c := s.guarded()).get("/metrics", headers=s.token(c, "repository:team/app:pull")),
        401,
        "UNAUTHORIZED",
        "send the platform token itself",
    ),
    "metrics without the right": (lambda s: s.guarded().get("/metrics", headers=ANN), 403, "DENIED", "cannot get"),
    "no metrics": (lambda s: s.open.get("/metrics"), 405, "UNSUPPORTED", "counts nothing"),
    # what is broken
    "no database for a list": (
        lambda s: s.broken("streams", "tags", MetadataUnavailable("gone")).get(f"{APP}/tags/list"),
        503,
        "UNAVAILABLE",
        "try again in a moment",
    ),
    "no database in between": (
        lambda s: s.broken("store", "blob_linked", MetadataUnavailable("gone")).get(f"{APP}/blobs/{DIGEST}"),
        503,
        "UNAVAILABLE",
        "try again in a moment",
    ),
    "a broken disk": (
        lambda s: s.broken("store", "blob_linked", StorageFault("I/O error")).get(f"{APP}/blobs/{DIGEST}"),
        503,
        "UNAVAILABLE",
        "try again",
    ),
    "a full disk": (
        lambda s: (c := s.broken("store", "append", OutOfSpace("full"))).patch(begun(c), data=b"x"),
        507,
        "UNAVAILABLE",
        "free space or extend the volume",
    ),
    "a fault of our own": (
        lambda s: s.broken("store", "blob_linked", ZeroDivisionError()).get(f"{APP}/blobs/{DIGEST}"),
        500,
        "UNKNOWN",
        "its log says why",
    ),
    "imported from who is asked too often": (
        lambda s: imported(s, TooManyRequests("busy.example: wait", 7.5)),
        429,
        "TOOMANYREQUESTS",
        "busy.example",
    ),
    "imported from who is away": (
        lambda s: imported(s, Unreachable("away.example does not answer")),
        503,
        "UNAVAILABLE",
        "cannot be had from where it came: away.example",
    ),
    "imported from who has it no more": (
        lambda s: imported(s, NotFound("forgetful.example has no such thing")),
        404,
        "BLOB_UNKNOWN",
        "forgetful.example",
    ),
    "upkeep with a registry's token": (
        lambda s: (c := s.guarded()).get(UPKEEP, headers=s.token(c, "repository:team/app:pull")),
        401,
        "UNAUTHORIZED",
        "send the platform token itself",
    ),
    "upkeep without the right": (
        lambda s: s.guarded().get(UPKEEP, headers=ANN),
        403,
        "DENIED",
        "bind the ClusterRole system:image-pruner",
    ),
    "upkeep of a process that makes no runs": (lambda s: s.open.get(UPKEEP), 405, "UNSUPPORTED", "no whole registry"),
    "upkeep that is too long": (
        lambda s: asked(keeper(s), b" " * (65 << 10)),
        400,
        "UPKEEP_INVALID",
        "longer than 65536 bytes",
    ),
    "upkeep that is no JSON": (lambda s: asked(keeper(s), b"gc"), 400, "UPKEEP_INVALID", "send an object of JSON"),
    "upkeep of no known kind": (
        lambda s: asked(keeper(s), {"kind": "polish"}),
        400,
        "UPKEEP_INVALID",
        "write one of gc",
    ),
    "upkeep with something besides": (
        lambda s: asked(keeper(s), {"kind": "gc", "confirm": True}),
        400,
        "UPKEEP_INVALID",
        "no member 'confirm'",
    ),
    "upkeep that is perhaps confirmed": (
        lambda s: asked(keeper(s), {"kind": "gc", "options": {"confirm": "yes"}}),
        400,
        "UPKEEP_INVALID",
        "confirm is true or false",
    ),
    "upkeep with an unknown option": (
        lambda s: asked(keeper(s), {"kind": "gc", "options": {"depth": 3}}),
        400,
        "UPKEEP_INVALID",
        "depth",
    ),
    "upkeep of a registry that is read-only": (
        lambda s: asked(keeper(s, read_only=lambda: "it moves"), {"kind": "gc", "options": {"confirm": True}}),
        405,
        "UNSUPPORTED",
        "a run without confirm is possible",
    ),
    "upkeep that is at work": (lambda s: asked_twice(keeper(s)), 409, "UPKEEP_AT_WORK", "gc"),
    "a run that nobody remembers": (
        lambda s: keeper(s).get(f"{UPKEEP}/x"),
        404,
        "UPKEEP_UNKNOWN",
        "no run 'x' is remembered",
    ),
    "a run that cannot be stopped": (
        lambda s: keeper(s).delete(f"{UPKEEP}/x"),
        404,
        "UPKEEP_UNKNOWN",
        "no run 'x' is at work",
    ),
    "an upload that went away": (
        lambda s: (c := s.broken("store", "append", UploadMissing())).patch(begun(c), data=b"x"),
        404,
        "BLOB_UPLOAD_UNKNOWN",
        "begin it again",
    ),
}


def _push(client: Client, headers: dict[str, str], *, upload: bool = True) -> TestResponse:
    if upload:
        done = client.post(f"{APP}/blobs/uploads/?digest={Digest.of(b'{}')}", data=b"{}", headers=headers)
        assert done.status_code == 201, done.text
    return client.put(f"{APP}/manifests/v1", data=manifest_of(b"{}"), headers={**OCI, **headers})


@pytest.fixture
def stage(build: Callable[..., Registry], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    users = tmp_path / "users"
    users.write_text(f"ann:{bcrypt.hashpw(b'word', bcrypt.gensalt(4)).decode()}\n", encoding="utf-8")
    return Stage(build, monkeypatch, users)


PROVOKED: set[Site] = set()


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where refusals are made: every line of the data plane from which one is raised."""
    made = RegistryError.__init__

    def record(self: RegistryError, *arguments: Any, **options: Any) -> None:
        frame = sys._getframe(1)
        while frame is not None:
            if Path(frame.f_code.co_filename).parent == FOLDER:
                PROVOKED.add((Path(frame.f_code.co_filename).name, frame.f_lineno))
                break
            frame = frame.f_back  # type: ignore[assignment]
        made(self, *arguments, **options)

    monkeypatch.setattr(RegistryError, "__init__", record)


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize("case", REFUSALS)
def test_a_refusal_has_its_code_and_says_what_to_change(stage: Stage, case: str) -> None:
    provoke, status, expected, words = REFUSALS[case]
    refused = provoke(stage)
    assert (refused.status_code, code(refused)) == (status, expected), refused.text
    assert words in refused.json["errors"][0]["message"]  # type: ignore[index]
    assert refused.content_type == "application/json"
    if status == 401:
        assert refused.headers["WWW-Authenticate"].startswith("Bearer realm=")
    if status in {429, 503, 507}:
        assert int(refused.headers["Retry-After"]) > 0


def written_down() -> dict[Site, str]:
    """Every place in the data plane that makes a refusal, by its first line."""
    kinds = {kind.__name__ for kind in _kinds(RegistryError)} | {"RegistryError"}
    found = {}
    for path in sorted(FOLDER.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
                if name in kinds:
                    found[(path.name, node.lineno)] = ast.unparse(node)[:120]
    return found


def _kinds(base: type[RegistryError]) -> Iterator[type[RegistryError]]:
    for kind in base.__subclasses__():
        yield kind
        yield from _kinds(kind)


def test_no_refusal_is_left_out() -> None:
    """Runs after the others of this file."""
    if len(PROVOKED) < 10:
        pytest.fail("run the whole file: this test looks at what the others provoked")
    left_out = {site: text for site, text in written_down().items() if site not in PROVOKED}
    assert not left_out

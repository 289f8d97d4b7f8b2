"""Manifests and tags: pull, push, delete, list (distribution-spec, "Pulling manifests", "Pushing manifests")."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from http import HTTPStatus

from flask import Blueprint, Response, jsonify

from image_registry.auth import trail
from image_registry.auth.access import create_stream, list_streams
from image_registry.auth.gate import Caller
from image_registry.distribution_api import advice, answers, callers, conditions, elsewhere
from image_registry.distribution_api.answer import Answer, flaskly
from image_registry.distribution_api.asked import request
from image_registry.distribution_api.direct import MANIFEST, Route
from image_registry.distribution_api.parts import MANIFEST_LIMIT, Parts
from image_registry.distribution_api.received import Body
from image_registry.garbage.links import clean
from image_registry.imagestreams.errors import IndexUnfinished, MetadataUnavailable
from image_registry.imagestreams.model import StoredManifest
from image_registry.oci import media_types
from image_registry.oci.digest import Digest
from image_registry.oci.errors import (
    Denied,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestInvalid,
    ManifestTooLarge,
    ManifestUnknown,
    TagInvalid,
    Unavailable,
)
from image_registry.oci.manifest import InvalidManifest, Manifest, parse_manifest
from image_registry.oci.reference import InvalidTag, Repository, parse_tag
from image_registry.oci.stored_manifest import parse_stored_manifest
from image_registry.storage.blob_store import BlobMissing, StorageFault

PATH = "/v2/<namespace>/<name>/manifests/<reference>"
CONFIG_LIMIT = 4 << 20
"""Largest image configuration that is read for the Image object, in bytes."""

MAX_TAGS = 50
"""Tags of one push: each is a transaction of its own."""

MISSING_SHOWN = 100
"""Digests that a refusal names at most."""

_DIGEST = re.compile(r"[^:]+:.*", re.DOTALL)


def blueprint(views: Manifests) -> Blueprint:
    """Routes of manifests, tags and the catalog."""
    routes = Blueprint("manifests", __name__)
    routes.add_url_rule(PATH, view_func=views.get, methods=["GET"])
    routes.add_url_rule(PATH, "put", flaskly(views.put), methods=["PUT"])
    routes.add_url_rule(PATH, view_func=views.delete, methods=["DELETE"])
    routes.add_url_rule("/v2/<namespace>/<name>/tags/list", view_func=views.tags, methods=["GET"])
    routes.add_url_rule("/v2/_catalog", view_func=views.catalog, methods=["GET"])
    return routes


def direct(views: Manifests) -> list[Route]:
    """That of them which a push takes."""
    return [Route("PUT", MANIFEST, "manifests.put", views.put, "reference")]


class TooManyTags(TagInvalid):
    status = HTTPStatus.REQUEST_URI_TOO_LONG


class Manifests:
    """One method per route."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._store = parts.store
        self._streams = parts.streams

    def get(self, namespace: str, name: str, reference: str) -> Response:
        repository = answers.repository(namespace, name)
        wanted = self._target(repository, reference, "pull")
        found = self._find(repository, wanted)
        headers = {"Docker-Content-Digest": str(found.digest), "ETag": f'"{found.digest}"'}
        if request.if_none_match.contains_weak(str(found.digest)):
            return Response(status=304, headers=headers)
        headers["Content-Length"] = str(found.size)
        if request.method == "HEAD":
            return Response(status=200, headers=headers, content_type=found.media_type)
        try:
            raw = self._store.read(found.digest)
        except BlobMissing:
            fetched = elsewhere.manifest(self._parts, repository, found.digest)
            if fetched is None:
                raise _lost(found.digest) from None
            raw = fetched
        return Response(raw, headers=headers, content_type=found.media_type)

    def put(self, namespace: str, name: str, reference: str) -> Answer:
        repository = answers.repository(namespace, name)
        wanted = answers.digest(reference) if _is_digest(reference) else None
        tags = _tags() if wanted else [answers.tag(reference)]
        caller = callers.require(self._parts, repository, "pull", "push")
        manifest = _body(wanted, self._parts.manifest_limit)
        if wanted and conditions.stated():
            with answers.translated():
                conditions.check(wanted if self._streams.held(repository, [wanted]) else None)
        self._require_blobs(repository, manifest)
        self._require_sizes(repository, manifest)
        conditional = wanted is None and conditions.stated()
        if conditional:  # perhaps nothing is to become of it
            self._store.put(manifest.raw, manifest.digest)
        else:
            self._store.put_manifest(repository, manifest.raw, manifest.digest)
        wished: list[str | None] = [*tags] or [None]
        for tag in wished:
            self._push(repository, manifest, tag, caller, conditional=conditional)
        if tags:
            self._echo(repository)
        headers = [
            ("Location", f"/v2/{repository}/manifests/{manifest.digest}"),
            ("Docker-Content-Digest", str(manifest.digest)),
        ]
        if manifest.subject is not None:
            headers.append(("OCI-Subject", str(manifest.subject.digest)))
        if wanted and tags:
            headers.append(("OCI-Tag", ", ".join(tags)))
        headers += answers.warnings(self._advice(repository, manifest, tags))
        return Answer(HTTPStatus.CREATED, headers)

    def _advice(self, repository: Repository, manifest: Manifest, tags: list[str]) -> Iterator[str]:
        children = {entry.digest for entry in advice.children(manifest)}
        missing: set[Digest] = set()
        with suppress(MetadataUnavailable):  # the push is done: no answer but yes would be true
            missing = children - self._streams.held(repository, children) if children else missing
        blobs = self._missing(repository, manifest) if self._parts.sparse_images else []
        return advice.about(manifest, tags=tags, missing_blobs=len(blobs), missing_children=len(missing))

    def _push(
        self, repository: Repository, manifest: Manifest, tag: str | None, caller: Caller, *, conditional: bool
    ) -> None:
        def authorize_create() -> None:
            callers.require_namespace(self._parts, repository)
            decision = callers.decide(self._parts, caller.identity, create_stream(repository.namespace))
            if not decision.allowed:
                raise Denied(decision.reason or f"may not create a repository in {repository.namespace}")

        def confirm_create() -> None:
            self._parts.forget_namespace(repository.namespace)
            callers.require_namespace(self._parts, repository)

        def link() -> None:
            self._require_blobs(repository, manifest)
            if not self._store.manifest_linked(repository, manifest.digest):  # it was deleted since it was put there
                self._store.put_manifest(repository, manifest.raw, manifest.digest)

        with answers.translated():
            self._streams.push(
                repository,
                manifest,
                tag=tag,
                config=self._config(manifest),
                pushed_by=caller.identity.username,
                authorize_create=authorize_create,
                before_commit=link,
                precondition=conditions.check if conditional else None,
                linked=not conditional,
                confirm_create=confirm_create,
            )

    def _echo(self, repository: Repository) -> None:
        """Let the links of tags follow; the push is done, and what is not written now is written later."""
        if self._parts.echo is not None:
            self._parts.echo(repository)
            return
        with suppress(MetadataUnavailable, StorageFault):
            self._streams.settle(repository, self._store.write_tags)

    def delete(self, namespace: str, name: str, reference: str) -> Response:
        repository = answers.repository(namespace, name)
        wanted = self._target(repository, reference, "delete")
        with answers.translated():
            if isinstance(wanted, Digest):
                conditions.check(wanted)  # what a digest names is there unchanged or not at all
                self._streams.delete_manifest(repository, wanted)
            else:
                condition = conditions.check if conditions.stated() else None
                self._streams.delete_tag(repository, wanted, precondition=condition)
            clean(self._store, self._streams, repository, self._parts.behind)
        return Response(status=202)

    def tags(self, namespace: str, name: str) -> Response:
        repository = answers.repository(namespace, name)
        callers.require(self._parts, repository, "pull")
        limit, after = answers.page()
        with answers.translated():
            page = self._streams.tags(repository, limit=limit, after=after)
        trail.of(request.environ).keep = trail.Keep("pull", str(repository))
        answer = jsonify(name=str(repository), tags=list(page.items))
        if page.next is not None:
            answer.headers["Link"] = answers.next_link(limit, page.items[-1])
        return answer

    def catalog(self) -> Response:
        caller = callers.require_catalog(self._parts)
        limit, after = answers.page()
        with answers.translated():
            namespaces = (
                None
                if callers.decide(self._parts, caller.identity, list_streams()).allowed
                else frozenset(
                    namespace
                    for namespace in self._streams.namespaces()
                    if callers.decide(self._parts, caller.identity, list_streams(namespace)).allowed
                )
            )
            if caller.identity.is_anonymous and namespaces is not None and not namespaces:
                callers.refuse_anonymous(self._parts, "registry:catalog:*")
            trail.of(request.environ).allow()
            page = self._streams.repositories(namespaces=namespaces, limit=limit, after=after)
        if namespaces is None:
            trail.of(request.environ).keep = trail.Keep("list")
        answer = jsonify(repositories=[str(repository) for repository in page.items])
        if page.next is not None:
            answer.headers["Link"] = answers.next_link(limit, str(page.items[-1]))
        return answer

    def _target(self, repository: Repository, reference: str, action: str) -> Digest | str:
        """What the request is about, once the caller may know. What cannot be a tag is a tag that is not there."""
        wanted = answers.digest(reference) if _is_digest(reference) else reference
        callers.require(self._parts, repository, action)
        if isinstance(wanted, str):
            try:
                parse_tag(wanted)
            except InvalidTag as error:
                raise ManifestUnknown(f"{repository} has no such manifest: {error}") from None
        return wanted

    def _find(self, repository: Repository, wanted: Digest | str) -> StoredManifest:
        """From the database; while that is down from the links in storage, so that pulls go on (design, D2)."""
        try:
            with answers.translated_unless_down():
                if isinstance(wanted, Digest):
                    found = self._streams.manifest(repository, wanted)
                else:
                    found = self._streams.tag(repository, wanted)
        except IndexUnfinished:  # the links are the truth, and those that lag behind were looked up
            return self._linked(repository, wanted, conclusive=True)
        except MetadataUnavailable:
            return self._linked(repository, wanted, conclusive=False)
        trail.of(request.environ).keep = trail.Keep("pull", str(repository))
        return found

    def _linked(self, repository: Repository, wanted: Digest | str, *, conclusive: bool) -> StoredManifest:
        """Manifests are linked before their push is answered; links of tags follow it, so no link is no answer."""
        digest = self._store.read_tag(repository, wanted) if isinstance(wanted, str) else wanted
        if digest is None and not conclusive:
            raise Unavailable(
                f"the metadata database does not answer, and the storage does not say what {repository}:{wanted} is; "
                "pull by digest, or come back later"
            )
        if digest is None or not self._store.manifest_linked(repository, digest):
            raise ManifestUnknown(f"{repository} has no manifest {wanted}; check the name, or push it")
        size = self._store.stat(digest)
        if size is None or size > max(MANIFEST_LIMIT, self._parts.manifest_limit):
            raise _lost(digest)
        raw = self._store.read(digest)
        try:
            return StoredManifest(digest, parse_stored_manifest(raw, digest).media_type, len(raw))
        except InvalidManifest as error:
            raise ManifestUnknown(f"{digest} cannot be served: {error}; push it anew") from None

    def _missing(self, repository: Repository, manifest: Manifest) -> list[str]:
        return [
            str(blob.digest) for blob in manifest.required_blobs if not self._store.blob_linked(repository, blob.digest)
        ]

    def _require_blobs(self, repository: Repository, manifest: Manifest) -> None:
        if not self._parts.sparse_images and (missing := self._missing(repository, manifest)):
            raise ManifestBlobUnknown(
                f"{repository} lacks {len(missing)} blob(s) of this manifest; push them first",
                detail={"missing": missing[:MISSING_SHOWN]},
            )

    def _require_sizes(self, repository: Repository, manifest: Manifest) -> None:
        """Where bytes are counted, a manifest must not say that a large blob is a small one."""
        with answers.translated():
            if not self._streams.allowance.counts_bytes(repository):
                return
        for blob in manifest.required_blobs:
            size = self._store.stat(blob.digest)
            if size is not None and size != blob.size:
                raise ManifestInvalid(f"blob {blob.digest} has {size} bytes, not {blob.size} as the manifest says")

    def _config(self, manifest: Manifest) -> bytes | None:
        config = manifest.config
        if config is None or config.media_type not in media_types.CONFIG_TYPES:
            return None
        size = self._store.stat(config.digest)  # what the manifest says about it is anybody's claim
        return self._store.read(config.digest) if size is not None and size <= CONFIG_LIMIT else None


def _lost(digest: Digest) -> ManifestUnknown:
    return ManifestUnknown(f"the bytes of {digest} are not in the storage any more; push the manifest again")


def _is_digest(reference: str) -> bool:
    return _DIGEST.fullmatch(reference) is not None


def _tags() -> list[str]:
    """Tags that a push by digest brings along, each once (draft of the specification, end-7b)."""
    tags = list(dict.fromkeys(answers.tag(text) for text in request.args.getlist("tag")))
    if len(tags) > MAX_TAGS:
        raise TooManyTags(f"{len(tags)} tags at once; push at most {MAX_TAGS}, then the rest")
    return tags


def _body(wanted: Digest | None, limit: int) -> Manifest:
    """Read and check the pushed document; never more than the limit is read (CVE-2017-11468)."""
    if (request.content_length or 0) > limit:
        raise ManifestTooLarge(f"the manifest has {request.content_length} bytes; the limit is {limit}")
    body = Body()
    raw = b""
    while len(raw) <= limit and (part := body.read(limit + 1 - len(raw))):
        raw += part
    if len(raw) > limit:
        raise ManifestTooLarge(f"the manifest is longer than the limit of {limit} bytes")
    actual = Digest.of(raw, wanted.algorithm if wanted else "sha256")
    if wanted is not None and actual != wanted:
        raise DigestInvalid(f"the manifest received is {actual}, not {wanted}")
    try:
        return parse_manifest(raw, request.headers.get("Content-Type", ""), digest=actual)
    except InvalidManifest as error:
        raise ManifestInvalid(str(error)) from None

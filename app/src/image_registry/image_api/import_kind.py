"""ImageStreamImports: a command in the form of an object. It is carried out, answered, and kept nowhere."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from image_registry.image_api import documents, status
from image_registry.image_api.collections import translated
from image_registry.image_api.documents import Document, Hosts
from image_registry.image_api.kinds import Call
from image_registry.image_api.resources import GROUP_VERSION, IMPORTS, STREAMS
from image_registry.image_api.stream_kind import check_name
from image_registry.imagestreams import imports, spec_rules
from image_registry.imagestreams.imports import RemoteImage
from image_registry.imagestreams.problems import Problems
from image_registry.importing.importer import CredentialsUnknown, Importer
from image_registry.importing.requests import ImageWish, ImportResult, ImportWish, Item, Policy, RepositoryWish
from image_registry.oci.reference import InvalidTag, Repository, parse_tag

PREFER_ARCHITECTURE, PREFER_OS = "importer.image.alauda.io/prefer-arch", "importer.image.alauda.io/prefer-os"
"""Annotations of an import: which platform ``Legacy`` takes from an index."""

MOST_IMAGES = 100
"""Images of one request."""


class StreamImports:
    """Serves ``create`` alone."""

    resource = IMPORTS
    fields: Mapping[str, Any] = {}

    def __init__(self, importer: Importer | None, hosts: Hosts) -> None:
        self._importer, self._hosts = importer, hosts

    def get(self, namespace: str, name: str) -> Document:  # noqa: ARG002 - what every kind has
        raise status.not_found(self.resource.name, name)

    def check(self, document: Document, problems: Problems) -> None:
        check_name(document, problems)
        spec = document.get("spec", {})
        images, whole = spec.get("images", ()), spec.get("repository")
        if not images and whole is None:
            problems.required("spec", "at least one of images and repository says what to import")
        if len(images) > MOST_IMAGES:
            problems.too_many("spec.images", len(images), MOST_IMAGES)
        for place, entry in enumerate(images):
            path = f"spec.images[{place}]"
            _check_source(entry, problems, path)
            if "to" in entry:
                _check_tag(entry["to"].get("name", ""), problems, f"{path}.to.name")
        if whole is not None:
            _check_source(whole, problems, "spec.repository")
            name = whole.get("from", {}).get("name", "")
            if spec_rules.is_pull_spec(name) and not spec_rules.is_repository(name):
                problems.invalid("spec.repository.from.name", name, "must have neither tag nor digest")

    def create(self, namespace: str, document: Document, call: Call) -> Document:
        metadata, spec = document["metadata"], document["spec"]
        if self._importer is None:
            raise status.ServiceUnavailable("this API server was started without the means to import")
        annotations = metadata.get("annotations", {})
        wish = ImportWish(
            repository=Repository(namespace, metadata["name"]),
            images=tuple(_image_wish(entry) for entry in spec.get("images", ())),
            whole=RepositoryWish(spec["repository"]["from"]["name"], _policy(spec["repository"]))
            if "repository" in spec
            else None,
            write=bool(spec.get("import")),
            imported_by=call.identity.username,
            confirm_create=lambda: call.admit_again(metadata["name"]),
            uid=metadata.get("uid"),
            resource_version=_version(metadata.get("resourceVersion", "")),
            dry_run=call.dry_run,
            architecture=annotations.get(PREFER_ARCHITECTURE, ""),
            os=annotations.get(PREFER_OS, ""),
        )
        try:
            with translated(STREAMS, metadata["name"]):
                result = self._importer.run(wish)
        except CredentialsUnknown as error:
            raise status.ServiceUnavailable(f"{error}; try again in a moment", retry_after=5) from None
        return self._answer(metadata, spec, result)

    def update(self, namespace: str, old: Document, new: Document, call: Call) -> Document:  # noqa: ARG002 - as above
        raise status.not_allowed(("POST",), self.resource.name)

    def _answer(self, asked: Mapping[str, Any], spec: Document, result: ImportResult) -> Document:
        now = datetime.now(UTC)
        told = [bool(entry.get("includeManifest")) for entry in spec.get("images", ())]
        found: Document = {
            "images": [_item(item, result, now, raw=raw) for item, raw in zip(result.images, told, strict=True)]
        }
        if "repository" in spec:
            failure = result.whole_failure
            raw = bool(spec["repository"].get("includeManifest"))
            found["repository"] = {
                "status": _status(failure) if failure else _SUCCESS,
                "images": [_item(item, result, now, raw=raw) for item in result.whole],
                "additionalTags": list(result.additional_tags),
            }
        if result.stream is not None:
            found["import"] = documents.stream(result.stream, self._hosts)
        version = result.stream.meta.resource_version if result.stream else 0
        metadata = {
            "name": asked["name"],
            "namespace": asked["namespace"],
            "resourceVersion": str(version),
            "creationTimestamp": documents.timestamp(now),
            **({"annotations": asked["annotations"]} if asked.get("annotations") else {}),
        }
        return {
            "kind": self.resource.kind,
            "apiVersion": GROUP_VERSION,
            "metadata": metadata,
            "spec": spec,
            "status": {name: value for name, value in found.items() if value},
        }


_SUCCESS: Document = {"metadata": {}, "status": "Success"}


def _status(item: Item) -> Document:
    if item.failure is None:
        return _SUCCESS
    details = {"details": {"retryAfterSeconds": max(int(item.retry_after), 1)}} if item.retry_after else {}
    return {
        "metadata": {},
        "status": "Failure",
        "message": item.failure.message,
        "reason": item.failure.reason,
        **details,
        "code": item.status,
    }


def _item(item: Item, result: ImportResult, now: datetime, *, raw: bool) -> Document:
    found: Document = {"status": _status(item), "tag": item.tag}
    if item.images:
        found["image"], *manifests = (_image(image, result, now, raw=raw) for image in item.images)
        if manifests:
            found["manifests"] = manifests
    return found


def _image(image: RemoteImage, result: ImportResult, now: datetime, *, raw: bool) -> Document:
    known = result.written.get(image.manifest.digest) or imports.preview(image, now)
    document = documents.image(known)
    document["dockerImageReference"] = image.reference
    if raw:
        document["dockerImageManifest"] = image.manifest.raw.decode("utf-8", "replace")
    return {name: value for name, value in document.items() if name not in ("kind", "apiVersion")}


def _check_source(entry: Mapping[str, Any], problems: Problems, path: str) -> None:
    source = entry.get("from", {})
    if source.get("kind") != spec_rules.DOCKER_IMAGE:
        problems.unsupported(f"{path}.from.kind", source.get("kind", ""), (spec_rules.DOCKER_IMAGE,))
    name = source.get("name", "")
    if not name:
        problems.required(f"{path}.from.name")
    elif not spec_rules.is_pull_spec(name):
        problems.invalid(f"{path}.from.name", name, "must be a pull specification, [host[:port]/]path[:tag][@digest]")
    policy, reference = entry.get("importPolicy", {}), entry.get("referencePolicy", {})
    if (mode := policy.get("importMode")) and mode not in spec_rules.MODES:
        problems.unsupported(f"{path}.importPolicy.importMode", mode, spec_rules.MODES)
    if (kind := reference.get("type")) and kind not in spec_rules.POLICIES:
        problems.unsupported(f"{path}.referencePolicy.type", kind, spec_rules.POLICIES)


def _check_tag(name: str, problems: Problems, path: str) -> None:
    if not name:
        problems.required(path, "the name of the tag")
        return
    try:
        parse_tag(name)
    except InvalidTag as error:
        problems.invalid(path, name, str(error))


def _image_wish(entry: Mapping[str, Any]) -> ImageWish:
    return ImageWish(entry["from"]["name"], entry.get("to", {}).get("name", ""), _policy(entry))


def _policy(entry: Mapping[str, Any]) -> Policy:
    policy = entry.get("importPolicy", {})
    return Policy(
        insecure=policy.get("insecure", False),
        scheduled=policy.get("scheduled", False),
        mode=policy.get("importMode") or "Legacy",
        reference=entry.get("referencePolicy", {}).get("type") or "Source",
    )


def _version(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise status.BadRequest(f"metadata.resourceVersion {text[:40]!r} is not one of this API")
    return int(text)

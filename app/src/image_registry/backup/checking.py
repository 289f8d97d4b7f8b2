"""Whether what was read from a folder is a backup: a checksum finds damage, and who forges a file writes its checksum.

A restore acts with the rights of who runs it, often those of an administrator. So nothing comes back that no backup
would have taken, names are parsed as the registry parses them before any becomes part of a path, and what is none is
refused, not repaired. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from image_registry.backup import content as parts
from image_registry.backup.content import Content, Image
from image_registry.backup.kinds import IMAGES, KINDS, SECRETS, STREAMS, Document, Kind, kept, kept_stream
from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository, parse_tag


def checked(files: Mapping[str, Any], manifest: Mapping[str, Any]) -> Content:
    """What the files say. Raises ``ValueError`` for what no backup says."""
    try:
        system = str(manifest["registry"]["namespace"])
        str(manifest["made"])
        return Content(
            objects=tuple(_object(item, system) for item in files[parts.OBJECTS]),
            secrets=tuple(_secret(item, system) for item in files[parts.SECRETS]),
            streams=tuple(map(_stream, files[parts.STREAMS])),
            images=tuple(_image(*pair) for pair in files[parts.IMAGE_LIST]),
            signatures=tuple(map(_signature, files[parts.SIGNATURES])),
            with_images=bool(manifest["withImages"]),
            left_out=_texts(manifest["leftOut"]),
            missing=_texts(manifest["missing"]),
            namespaces=_texts(manifest["namespaces"]),
        )
    except (KeyError, TypeError, AttributeError, IndexError) as error:  # another shape than ours
        raise ValueError(f"a part of it is missing or of another kind ({error!r:.200})") from None


def _texts(found: Iterable[Any]) -> tuple[str, ...]:
    return tuple(map(str, found))


def _image(repository: str, digest: str) -> Image:
    return Image(str(Repository.parse(repository)), str(Digest.parse(digest)))


def _object(item: Document, system: str) -> Document:
    kind = next((kind for kind in KINDS if kind is not SECRETS and kind.name == item["kind"]), None)
    if kind is None:
        raise ValueError(f"{str(item['kind'])[:100]!r} is no kind that a backup has")
    return _taken(item, kind, system)


def _secret(item: Document, system: str) -> Document:
    return _taken(item, SECRETS, system)


def _taken(item: Document, kind: Kind, system: str) -> Document:
    name, place = _name(item["metadata"]["name"]), str(item["metadata"].get("namespace", ""))
    said = f"{kind.name}/{place}/{name}"
    if (kind.where == "cluster") != (not place) or (kind.where == "namespace" and place != system):
        raise ValueError(f"{said} is not where a backup takes one from")
    if place:
        _name(place)
    if kept(item, kind) != item:
        raise ValueError(f"{said} has members that no backup keeps")
    if not kind.takes(item):
        raise ValueError(f"{said} is not about images, or the registry makes it itself, so no backup takes it")
    return item


def _stream(item: Document) -> Document:
    place = Repository.of(item["metadata"]["namespace"], item["metadata"]["name"])
    if item["kind"] != STREAMS.name or item["apiVersion"] != STREAMS.version:
        raise ValueError(f"{place} is no stream")
    for tag in item["spec"]["tags"]:
        parse_tag(tag["name"])
    for tag in item["status"]["tags"]:
        parse_tag(tag["tag"])
        for event in tag.get("items") or ():
            if event.get("image"):
                Digest.parse(event["image"])
    return kept_stream(item)


def _signature(item: Document) -> Document:
    digest, _, name = _name(item["metadata"]["name"]).partition("@")
    Digest.parse(digest)
    if item["apiVersion"] != IMAGES or item["kind"] != "ImageSignature" or not name:
        raise ValueError(f"{str(item['metadata']['name'])[:100]!r} is no signature")
    if item.keys() != {"apiVersion", "kind", "metadata", "type", "content"} or item["metadata"].keys() != {"name"}:
        raise ValueError(f"the signature {item['metadata']['name']} has members that no backup keeps")
    return item


def _name(text: Any) -> str:
    """What Kubernetes takes as a part of a path."""
    if not isinstance(text, str) or not text or text in (".", "..") or set(text) & {"/", "%"}:
        raise ValueError(f"{str(text)[:100]!r} is no name of an object")
    return text

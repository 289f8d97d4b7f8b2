"""``ac adm top images|imagestreams``: what takes space, where it is tagged, and who uses it."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import click

from image_registry.cli.connection import here, place_options
from image_registry.cli.failures import RightsError
from image_registry.cli.image_api import GROUP, listed
from image_registry.cli.output import document, output_option, rows
from image_registry.cli.reading import Reading
from image_registry.kube.client import ClusterClient
from image_registry.kube.errors import KubeError
from image_registry.kube.image_references import ImageReference, list_references
from image_registry.measures import size
from image_registry.pruning.references import Hosts, Named, digest_in

SHORT = 19
MOST = 3
"""Tags and users of an image that are shown, unless all are wanted."""


@dataclass(slots=True)
class Stored:
    """An image of the cluster. ``layers`` are sizes by digest, from the base upwards."""

    name: str
    layers: dict[str, int]
    config: str = ""
    described: bool = False
    tags: list[str] = field(default_factory=list)
    streams: set[str] = field(default_factory=set)
    parents: list[str] = field(default_factory=list)
    usage: list[str] = field(default_factory=list)

    @property
    def storage(self) -> int:
        """Bytes of its layers."""
        return sum(self.layers.values())


@click.group()
def top() -> None:
    """What takes how much space."""


@top.command("images")
@output_option("json", "yaml", "wide")
@place_options
def images(*, form: str | None, **options: Any) -> None:
    """Show all images of the cluster: where they are tagged, what they are based on, who uses them, and their size.

    The largest come first. Layers that several images share are counted in each. Needs the right to list Images,
    imagestreams and workloads of all namespaces: the ClusterRole system:image-pruner has it.
    """
    place = here(options)
    with Reading(sys.stderr) as reading:
        found = _images(place.client, reading)
        hosts = _read_streams(place.client, found, "", reading)
        _read_usage(place.client, found, hosts, reading)
    add_parents(found.values())
    ordered = sorted(found.values(), key=lambda image: (-image.storage, image.name))
    if form in ("json", "yaml"):
        document(form, {"kind": "ImageUsageList", "items": [_document(image) for image in ordered]})
        return
    header = ("NAME", "IMAGESTREAMTAG", "PARENTS", "USAGE", "METADATA", "STORAGE")
    rows(header, (_cells(image, wide=form == "wide") for image in ordered))


@top.command("imagestreams")
@click.option("-A", "--all-namespaces", "everywhere", is_flag=True, help="Of all namespaces; the default without -n.")
@output_option("json", "yaml", "wide")
@place_options
def imagestreams(*, everywhere: bool, form: str | None, **options: Any) -> None:
    """Show image streams by the size of what they hold: the bytes of distinct layers, images, and layers.

    Needs the right to list Images of the cluster and imagestreams of the namespace, or of all.
    """
    place = here(options)
    namespace = "" if everywhere else options["namespace"] or ""
    with Reading(sys.stderr) as reading:
        found = _images(place.client, reading)
        names: dict[str, list[Stored]] = {name: [] for name in _names(place.client, namespace)}
        _read_streams(place.client, found, namespace, reading)
    held: dict[str, list[Stored]] = defaultdict(list, names)
    for image in found.values():
        for stream in image.streams:
            held[stream].append(image)
    lines = sorted(
        (_stream(name, images) for name, images in held.items()), key=lambda line: (-line["storage"], line["name"])
    )
    if form in ("json", "yaml"):
        document(form, {"kind": "ImageStreamUsageList", "items": lines})
        return
    cells = ((line["name"], size(line["storage"]), str(line["images"]), str(line["layers"])) for line in lines)
    rows(("NAME", "STORAGE", "IMAGES", "LAYERS"), cells)


def _stream(name: str, images: list[Stored]) -> dict[str, Any]:
    layers = {digest: number for image in images for digest, number in image.layers.items()}
    return {"name": name, "storage": sum(layers.values()), "images": len(images), "layers": len(layers)}


def add_parents(images: Iterable[Stored]) -> None:
    """The nearest image whose layers another one begins with. Pure."""
    by_layers: dict[tuple[str, ...], str] = {}
    known = list(images)
    for image in known:
        by_layers.setdefault(tuple(image.layers), image.name)
    for image in known:
        chain = tuple(image.layers)
        for length in range(len(chain) - 1, 0, -1):
            parent = by_layers.get(chain[:length])
            if parent is not None:
                image.parents = [parent]
                break


def _images(client: ClusterClient, reading: Reading) -> dict[str, Stored]:
    found: dict[str, Stored] = {}
    try:
        for number, item in enumerate(listed(client, "images"), 1):
            name = str(item["metadata"]["name"])
            layers = {str(layer["name"]): int(layer.get("size", 0)) for layer in item.get("dockerImageLayers", ())}
            found[name] = Stored(name, layers, described=bool(item.get("dockerImageMetadata")))
            reading.read("images", number)
    except KubeError as error:
        if error.forbidden:
            raise RightsError(
                f"this right is missing:\n  list images.{GROUP}\nbind the ClusterRole system:image-pruner to this user "
                "by a ClusterRoleBinding"
            ) from None
        raise
    return found


def _names(client: ClusterClient, namespace: str) -> Iterator[str]:
    for stream in listed(client, "imagestreams", namespace):
        yield f"{stream['metadata']['namespace']}/{stream['metadata']['name']}"


def _read_streams(client: ClusterClient, images: dict[str, Stored], namespace: str, reading: Reading) -> Hosts:
    """Note in images where they are; returns the names of the registry."""
    hosts: set[str] = set()
    for number, stream in enumerate(listed(client, "imagestreams", namespace), 1):
        metadata, status = stream["metadata"], stream.get("status", {})
        name = f"{metadata['namespace']}/{metadata['name']}"
        for member in ("dockerImageRepository", "publicDockerImageRepository"):
            hosts.add(str(status.get(member, "")).partition("/")[0])
        for history in status.get("tags", ()):
            for place, event in enumerate(history.get("items") or ()):
                image = images.get(event.get("image", ""))
                if image is not None:
                    image.streams.add(name)
                    if place == 0:
                        image.tags.append(f"{name} ({history['tag']})")
        reading.read("image streams", number)
    return Hosts(hosts)


def _read_usage(client: ClusterClient, images: dict[str, Stored], hosts: Hosts, reading: Reading) -> None:
    by_tag = {tag: image for image in images.values() for tag in image.tags}
    for number, found in enumerate(list_references(client), 1):
        reading.read("image references", number)
        if not isinstance(found, ImageReference):
            continue
        named = hosts.read(found.text)
        image = None
        if isinstance(named, Named):
            image = images.get(named.digest) if named.digest else by_tag.get(f"{named.repository} ({named.tag})")
        elif found.running:
            image = images.get(digest_in(found.text))
        if image is not None and found.owner not in image.usage:
            image.usage.append(found.owner)


def _cells(image: Stored, *, wide: bool) -> tuple[str, ...]:
    name = image.name if wide else image.name[:SHORT]
    tags = _some(sorted(image.tags) or [f"{stream} (<none>)" for stream in sorted(image.streams)], wide=wide)
    parents = [parent if wide else parent[:SHORT] for parent in image.parents]
    usage = _some([owner.replace(" ", ": ", 1) for owner in image.usage], wide=wide)
    return name, tags, ",".join(parents) or "<none>", usage, "yes" if image.described else "no", size(image.storage)


def _some(texts: list[str], *, wide: bool) -> str:
    shown = texts if wide else texts[:MOST]
    more = f" and {len(texts) - len(shown)} more" if len(texts) > len(shown) else ""
    return ",".join(shown) + more if texts else "<none>"


def _document(image: Stored) -> dict[str, Any]:
    return {
        "name": image.name,
        "imageStreamTags": [tag.replace(" (", ":").removesuffix(")") for tag in sorted(image.tags)],
        "imageStreams": sorted(image.streams),
        "parents": image.parents,
        "usage": image.usage,
        "metadata": image.described,
        "storage": image.storage,
    }

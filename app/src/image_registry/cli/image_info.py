"""``ac image info``: what an image is made of, wherever it lies."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

from image_registry.cli.failures import FAILED, explained
from image_registry.cli.image_places import Images, config_of, image_options
from image_registry.cli.output import document, output_option, problem, rows, since
from image_registry.cli.switches import switch
from image_registry.measures import size
from image_registry.mirroring.places import Place
from image_registry.mirroring.platforms import platform_name
from image_registry.mirroring.repositories import Repository
from image_registry.oci.manifest import Manifest
from image_registry.remote.errors import RemoteError


@dataclass(frozen=True, slots=True)
class Shown:
    """An image, or an index of several."""

    place: Place
    manifest: Manifest
    config: Mapping[str, Any]
    index: Manifest | None = None
    """The one that it was found in."""


@click.command("info")
@click.argument(
    "names", nargs=-1, required=True, metavar="IMAGE...", help="Images, of a registry, a folder or a layout."
)
@switch("--show-multiarch", "every", default=False, help_="Of an index, every image.")
@output_option("json", "yaml")
@image_options
@click.pass_context
def info(context: click.Context, /, *, names: Sequence[str], every: bool, form: str | None, **options: Any) -> None:
    """Show digest, size, layers and settings of images.

    \b
      ac image info quay.io/team/app:1
      ac image info quay.io/team/app:1 --filter-by-os=linux/arm64 -o json
      ac image info oci:folder:1      ac image info file://team/app:1 --dir=mirror

    Of an image for several platforms its images are listed, unless --filter-by-os chooses one. No layer is fetched.
    """
    images = Images(options)
    documents: list[dict[str, Any]] = []
    codes: set[int] = set()
    for number, name in enumerate(names):
        try:
            found = list(_read(images, name, every=every))
        except (RemoteError, click.ClickException) as error:
            told = error if isinstance(error, click.ClickException) else explained(error)
            problem(f"{name}: {told.message}")
            codes.add(told.exit_code)
            continue
        documents += [_document(shown) for shown in found]
        if form is None:
            for place, shown in enumerate(found):
                if number or place:
                    click.echo()
                _print(shown)
    if form is not None and documents:
        document(form, documents[0] if len(names) == 1 and len(documents) == 1 else documents)
    if codes:
        context.exit(codes.pop() if len(codes) == 1 else FAILED)


def _read(images: Images, name: str, *, every: bool) -> Iterator[Shown]:
    place, repository = images.open(name)
    manifest = repository.manifest(place.wanted)
    found = images.filtered(manifest)
    if not isinstance(found, Manifest):
        yield _one(place, repository, repository.manifest(found.digest), manifest)
    elif not found.is_index:
        yield _one(place, repository, found, None)
    elif every:
        for entry in found.manifests:
            yield _one(place, repository, repository.manifest(entry.digest), manifest)
    else:
        yield Shown(place, found, {})


def _one(place: Place, repository: Repository, manifest: Manifest, index: Manifest | None) -> Shown:
    if manifest.is_index:
        return Shown(place, manifest, {}, index)
    try:
        config = json.loads(config_of(repository, manifest))
    except ValueError:
        config = {}
    return Shown(place, manifest, config if isinstance(config, dict) else {}, index)


def _document(shown: Shown) -> dict[str, Any]:
    manifest = shown.manifest
    found: dict[str, Any] = {
        "name": str(shown.place),
        "digest": str(manifest.digest),
        "mediaType": manifest.media_type,
    }
    if shown.index is not None:
        found["listDigest"] = str(shown.index.digest)
    if manifest.is_index:
        found["manifests"] = json.loads(manifest.raw).get("manifests", [])
        return found
    found["size"] = manifest.content_size
    found["layers"] = [
        {"mediaType": layer.media_type, "digest": str(layer.digest), "size": layer.size} for layer in manifest.layers
    ]
    if manifest.config is not None:
        found["contentDigest"] = str(manifest.config.digest)
    more = {"artifactType": manifest.artifact_type, "annotations": dict(manifest.annotations)}
    found |= {name: value for name, value in more.items() if value}
    return {**found, "config": dict(shown.config)}


def _print(shown: Shown) -> None:
    manifest = shown.manifest
    _line("Name", str(shown.place))
    _line("Digest", str(manifest.digest))
    if shown.index is not None:
        _line("Manifest List", str(shown.index.digest))
    _line("Media Type", manifest.media_type)
    if manifest.is_index:
        click.echo()
        lines = ((platform_name(entry), str(entry.digest), size(entry.size)) for entry in manifest.manifests)
        rows(("OS/ARCH", "DIGEST", "MANIFEST"), lines)
        return
    if manifest.artifact_type:
        _line("Artifact Type", manifest.artifact_type)
    created = str(shown.config.get("created") or "")
    if created:
        _line("Created", f"{since(created)} ago")
    count = len(manifest.layers)
    _line("Image Size", f"{size(manifest.content_size)} in {count} layer{'' if count == 1 else 's'}")
    for number, layer in enumerate(manifest.layers):
        _line("Layers" if number == 0 else "", f"{size(layer.size):>10} {layer.digest}")
    for name, value in _settings(shown.config):
        _line(name, value)


def _settings(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What a container gets of the image."""
    for name, member in (("OS", "os"), ("Arch", "architecture"), ("Variant", "variant"), ("Author", "author")):
        if isinstance(value := config.get(member), str) and value:
            yield name, _safe(value)
    settings = config.get("config")
    settings = settings if isinstance(settings, Mapping) else {}
    for name, member in (("Entrypoint", "Entrypoint"), ("Command", "Cmd")):
        if isinstance(value := settings.get(member), list) and value:
            yield name, _safe(" ".join(map(str, value)))
    for name, member in (("Working Dir", "WorkingDir"), ("User", "User")):
        if isinstance(value := settings.get(member), str) and value:
            yield name, _safe(value)
    if isinstance(ports := settings.get("ExposedPorts"), Mapping) and ports:
        yield "Exposes Ports", _safe(", ".join(sorted(map(str, ports))))
    lists = (
        ("Environment", settings.get("Env")),
        ("Volumes", settings.get("Volumes")),
        ("Labels", settings.get("Labels")),
    )
    for name, value in lists:
        lines = [f"{key}={text}" for key, text in sorted(value.items())] if isinstance(value, Mapping) else value
        lines = [line.removesuffix("={}") for line in map(str, lines)] if isinstance(lines, list) else []
        for number, line in enumerate(lines):
            yield (name if number == 0 else ""), _safe(line)


def _line(name: str, value: str) -> None:
    click.echo(f"{name + ':' if name else '':<15}{value}")


def _safe(text: str) -> str:
    """What an image says of itself must not move somebody's cursor."""
    return "".join(character if character.isprintable() else "?" for character in text)

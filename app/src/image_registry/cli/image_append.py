"""``ac image append``: layers on top of an image, pushed without a daemon."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from image_registry.cli.failures import NotThere, Wrong
from image_registry.cli.image_places import Images, config_of, image_options
from image_registry.cli.output import document, note, output_option, rows
from image_registry.cli.switches import switch
from image_registry.layers.appending import Appended, Changes, Layer, appended
from image_registry.layers.reading import Compression, compression, plain
from image_registry.measures import size
from image_registry.mirroring.places import Place
from image_registry.mirroring.repositories import Repository
from image_registry.oci.digest import Digest
from image_registry.oci.manifest import Descriptor, InvalidManifest, Manifest
from image_registry.remote.contents import InFile, InMemory
from image_registry.remote.sending import Content, Telling

LARGEST = 1 << 45
CHUNK = 1 << 20


@click.command("append")
@click.argument(
    "files", nargs=-1, type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="[LAYER.tar[.gz|.zst]]...",
    help="Layers, the lowest first.",
)  # fmt: skip
@click.option("--from", "base", default="", metavar="IMAGE", help="Image to begin with; else nothing.")
@click.option("--to", default="", metavar="IMAGE", help="Where the new image goes.")
@click.option(
    "--image", "settings", default="{}", metavar="JSON", help="Changes of `config`: Cmd, Env, Labels … null takes away."
)
@click.option("--meta", default="{}", metavar="JSON", help="Changes of the configuration: architecture, os, author …")
@switch("--drop-history", default=False, help_="Keep no history of the image.")
@click.option("--created-at", default="", metavar="TIME", help="When the image was made (RFC 3339); else now.")
@switch("--force", default=False, help_="Send blobs that are there, too.")
@switch("--dry-run", default=False, help_="Show the image that would be, and send nothing.")
@output_option("json", "yaml", "name")
@image_options
def append(*, files: Sequence[Path], base: str, to: str, dry_run: bool, form: str | None, **options: Any) -> None:
    """Put layers on top of an image, change its settings, and push it. Layers of the image are not fetched if they
    can be mounted.

    \b
      ac image append --from=quay.io/team/base:1 --to=registry.example.com/team/app:1 files.tar.gz
      ac image append --from=… --to=… --image='{"Cmd": ["/run"], "Env": ["A=b"]}'

    Layers are tar files, compressed by gzip or zstd, or not: then they are by gzip.
    """
    if not to and not dry_run:
        raise Wrong("--to says where the image goes; --dry-run shows it without")
    changes = Changes(
        _json(options["settings"], "--image"),
        _json(options["meta"], "--meta"),
        _time(options["created_at"]),
        options["drop_history"],
    )
    images = Images(options)
    source: tuple[Place, Repository] | None = images.open(base) if base else None
    before = images.chosen(source[1], source[1].manifest(source[0].wanted)) if source else None
    with tempfile.TemporaryDirectory(prefix="ac-append-") as folder:
        layers = [_layer(file, Path(folder) / str(number)) for number, file in enumerate(files)]
        try:
            config = config_of(source[1], before) if source and before else b"{}"
            found = appended(before, config, layers, changes)
        except InvalidManifest as error:
            raise Wrong(f"{base}: {error}") from None
        if not dry_run:
            place, target = images.open(to)
            if place.digest is not None:
                raise Wrong(f"{to}: the digest comes out of the image; name a tag")
            new = {layer.digest: Path(folder) / str(number) for number, layer in enumerate(layers)}
            _send(source, target, found, new, force=options["force"])
            target.put_manifest(place.tag or "latest", found.manifest)
    _show(found, form, to, dry_run=dry_run)


def _send(
    source: tuple[Place, Repository] | None,
    target: Repository,
    found: Appended,
    new: Mapping[Digest, Path],
    *,
    force: bool,
) -> None:
    for wanted in found.manifest.required_blobs:
        if not force and target.blob_size(wanted.digest) == wanted.size:
            note(f"There already {wanted.digest} {size(wanted.size)}")
            continue
        content: Content
        upload = None
        if wanted.digest in new:
            content = InFile(new[wanted.digest], wanted.size)
        elif found.manifest.config is not None and wanted.digest == found.manifest.config.digest:
            content = InMemory(found.config)
        elif source is not None:
            if source[0].store == target.place.store:
                upload = target.mount(wanted, source[0])
                if upload is None:
                    note(f"Mounted       {wanted.digest} {size(wanted.size)}")
                    continue
            content = source[1].content(wanted)
        else:
            raise NotThere(f"nobody has the blob {wanted.digest}")
        target.put_blob(wanted.digest, content, upload, Telling())
        note(f"Sent          {wanted.digest} {size(wanted.size)}")


def _layer(file: Path, kept: Path) -> Layer:
    """A compressed layer of a tar file. Raises :class:`Wrong`, and RemoteError."""
    form = compression(file)
    if form is not Compression.NONE:
        shutil.copyfile(file, kept)
    else:
        with file.open("rb") as raw, kept.open("wb") as out, gzip.GzipFile("", "wb", 6, out, mtime=0) as packed:
            shutil.copyfileobj(raw, packed, CHUNK)
    unpacked = hashlib.sha256()
    with plain(kept, str(file), LARGEST) as stream:
        while data := stream.read(CHUNK):
            unpacked.update(data)
    try:
        with plain(kept, str(file), LARGEST) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
            for _ in archive:
                archive.members = []  # type: ignore[attr-defined]
    except tarfile.TarError as error:
        raise Wrong(f"{file} is no tar file: {error}") from None
    whole = hashlib.sha256()
    with kept.open("rb") as raw:
        while data := raw.read(CHUNK):
            whole.update(data)
    found = Digest("sha256", whole.hexdigest()), kept.stat().st_size, Digest("sha256", unpacked.hexdigest())
    return Layer(*found, form.value or Compression.GZIP.value)


def _show(found: Appended, form: str | None, to: str, *, dry_run: bool) -> None:
    manifest: Manifest = found.manifest
    if form in ("json", "yaml"):
        shown = {
            "digest": str(manifest.digest),
            "manifest": json.loads(manifest.raw),
            "config": json.loads(found.config),
        }
        document(form, {**shown, "dryRun": dry_run})
    elif form == "name" or (not dry_run and form is None):
        click.echo(f"{'' if form == 'name' else 'Pushed '}{manifest.digest}" + ("" if form == "name" else f" to {to}"))
    else:
        note("Dry run: nothing is sent.")
        lines: list[tuple[Descriptor, str]] = [(layer, "layer") for layer in manifest.layers]
        rows(("BLOB", "SIZE", "KIND"), ((str(blob.digest), size(blob.size), kind) for blob, kind in lines))
        click.echo(f"Would be {manifest.digest}, {size(manifest.content_size)}")


def _json(text: str, option: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise Wrong(f"{option} is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise Wrong(f"{option} is not a JSON object")
    return found


def _time(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text) if text else datetime.now(UTC)
    except ValueError:
        raise Wrong(f"--created-at={text!r}: write it like 2030-01-31T12:00:00Z") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

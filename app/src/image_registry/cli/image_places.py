"""Images as ``ac image …`` names them, found and opened: ``docker://``, ``file://`` under ``--dir``, ``oci:folder``."""

from __future__ import annotations

import platform
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click

from image_registry.cli.failures import NotThere, Wrong
from image_registry.cli.inside import own_login
from image_registry.cli.other_registries import registries, registry_options
from image_registry.mirroring.in_files import FileRepository
from image_registry.mirroring.in_layout import LayoutRepository
from image_registry.mirroring.in_registry import Client, RegistryRepository
from image_registry.mirroring.places import FILE, OCI, Place, parse_place
from image_registry.mirroring.platforms import Filter, platform_name
from image_registry.mirroring.repositories import Repository
from image_registry.oci.manifest import Descriptor, Manifest
from image_registry.remote.credentials import Keyring
from image_registry.remote.errors import TooLarge
from image_registry.remote.writing import Writing

F = TypeVar("F", bound=Callable[..., Any])

LARGEST_CONFIG = 8 << 20
MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


def image_options(command: F) -> F:
    """Where images are, and which one of several platforms."""
    command = registry_options(command)
    command = click.option(
        "--dir", "folder", type=click.Path(path_type=Path, file_okay=False), default=Path("."), show_default=True,
        help="Folder in which file:// lies.",
    )(command)  # fmt: skip
    return click.option(
        "--filter-by-os", "wanted", default="", metavar="REGEX",
        help="Of an image for several platforms, the one that this is found in: linux/amd64, linux/arm/v7.",
    )(command)  # fmt: skip


class Images:
    """Stores of images as the options say."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        reading, access = registries(options)
        self._client = Client(reading, Writing(reading.questions), access)
        self._folder: Path = options["folder"]
        try:
            self._filter = Filter(re.compile(options["wanted"]) if options["wanted"] else None)
        except re.error as error:
            raise Wrong(f"--filter-by-os: {options['wanted'][:200]!r} is no regular expression: {error}") from None

    def open(self, text: str) -> tuple[Place, Repository]:
        """One image. Raises InvalidReference, :class:`Wrong`."""
        place = parse_place(text, self._folder)
        if place.is_pattern:
            raise Wrong(f"{text!r} names several images; name one")
        if place.kind == OCI:
            return place, LayoutRepository(place)
        if place.kind == FILE:
            return place, FileRepository(place)
        own = own_login([place.root])
        access = replace(self._client.access, keyring=Keyring.joined([self._client.access.keyring, own]))
        return place, RegistryRepository(place, replace(self._client, access=access))

    def chosen(self, repository: Repository, manifest: Manifest) -> Manifest:
        """The image that is wanted of an index, or the manifest. Raises :class:`Wrong`, :class:`NotThere`."""
        found = self.filtered(manifest)
        if isinstance(found, Descriptor):
            return repository.manifest(found.digest)
        if not found.is_index:
            return found
        own = f"linux/{MACHINES.get(platform.machine(), platform.machine())}"
        listed = [platform_name(entry) for entry in found.manifests]
        if not self._filter.pattern and listed.count(own) == 1:
            return repository.manifest(found.manifests[listed.index(own)].digest)
        raise Wrong(f"it is an image for several platforms; choose one by --filter-by-os: {', '.join(listed)}")

    def filtered(self, manifest: Manifest) -> Manifest | Descriptor:
        """What the filter leaves of an index; everything without one. Raises :class:`NotThere`."""
        found = self._filter.apply(manifest)
        if found is None:
            listed = ", ".join(platform_name(entry) for entry in manifest.manifests)
            raise NotThere(f"no image of the index is one for --filter-by-os; it has {listed}")
        return found


def config_of(repository: Repository, manifest: Manifest) -> bytes:
    """The bytes of an image's configuration, verified."""
    if manifest.config is None:
        return b"{}"
    return blob(repository, manifest.config, LARGEST_CONFIG)


def blob(repository: Repository, wanted: Descriptor, limit: int) -> bytes:
    """A small blob, verified. Raises RemoteError."""
    from image_registry.remote.running import Running

    if wanted.size > limit:
        raise TooLarge(f"{wanted.digest} has {wanted.size} bytes; at most {limit} are read here")
    with repository.content(wanted).open(0) as parts:
        return Running(wanted.digest, wanted.size, str(wanted.digest)).whole(parts)


def save(repository: Repository, wanted: Descriptor, path: Path) -> None:
    """A blob into a file, which has all of it and nothing else when this returns. Raises RemoteError."""
    from image_registry.remote.running import Running

    running = Running(wanted.digest, wanted.size, str(wanted.digest))
    with repository.content(wanted).open(0) as parts, path.open("wb") as file:
        for part in parts:
            running.take(part)
            file.write(part)
    running.check()

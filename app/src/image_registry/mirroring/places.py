"""Where images are and where they are to go, as people write it: ``docker://…``, ``file://…``, ``oci:…``, ``SRC=DST``.

Pure. A source may name several tags at once (``app:*``, ``app:1.*``, ``app:1.0,1.1``); then the target has none, and
each image keeps its tag.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from image_registry.oci.digest import Digest, InvalidDigest
from image_registry.oci.reference import InvalidTag, parse_tag
from image_registry.remote.errors import InvalidReference
from image_registry.remote.reference import RemoteReference

DOCKER, FILE, OCI = "docker", "file", "oci"


class InvalidMapping(InvalidReference):
    """The text is no mapping of images."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """An image, or some tags of a repository. ``root`` is a registry, or the folder of a store of this ``kind``."""

    kind: str
    root: str
    path: str = ""
    tag: str = ""
    digest: Digest | None = None

    @property
    def store(self) -> str:
        """What the limits are for, and within what blobs can be mounted."""
        return f"{self.kind}:{self.root}"

    @property
    def wanted(self) -> Digest | str:
        """What to ask for."""
        return self.digest or self.tag or "latest"

    @property
    def repository(self) -> Place:
        """Without tag and digest."""
        return replace(self, tag="", digest=None)

    @property
    def is_pattern(self) -> bool:
        """Whether several tags are meant."""
        return any(mark in self.tag for mark in "*?,")

    def at(self, wanted: Digest | str) -> Place:
        """The same repository with this tag or digest, and no other."""
        if isinstance(wanted, Digest):
            return replace(self, tag="", digest=wanted)
        return replace(self, tag=wanted, digest=None)

    def means(self, tag: str) -> bool:
        """Whether a pattern fits a tag."""
        return any(fnmatchcase(tag, part.strip()) for part in self.tag.split(","))

    def __str__(self) -> str:
        name = {DOCKER: f"{self.root}/{self.path}", FILE: f"file://{self.path}", OCI: f"oci:{self.root}"}[self.kind]
        return name + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


@dataclass(frozen=True, slots=True)
class Mapping:
    """From where to where."""

    source: Place
    target: Place

    def __str__(self) -> str:
        return f"{self.source}={self.target}"


def parse_place(text: str, folder: Path) -> Place:
    """One place; ``folder`` is where ``file://`` lies. Raises :class:`InvalidReference` with what to change."""
    scheme, mark, rest = text.partition("://")
    if mark and scheme == "s3":
        raise InvalidMapping(f"{text!r}: buckets are no place for images here; use file:// and copy the folder")
    if mark and scheme not in (DOCKER, FILE):
        raise InvalidMapping(f"{text!r}: write docker://<host>/<path>, file://<path> or oci:<folder>[:<name>]")
    if text.startswith("oci:") and not mark:
        return _layout(text)
    rest = rest if mark else text
    name, at, digest = rest.partition("@")
    head, slash, last = name.rpartition("/")
    last, colon, tag = last.partition(":")
    pattern = any(sign in tag for sign in "*?,")
    if colon and not pattern:
        _check_tag(text, tag)
    if at and pattern:
        raise InvalidMapping(f"{text!r} names a digest and several tags; write one of them")
    name = f"{head}{slash}{last}"
    found = RemoteReference.parse(f"localhost/{name}" if scheme == FILE and mark else name)
    place = Place(DOCKER, found.registry, found.path)
    if scheme == FILE and mark:
        place = Place(FILE, str(folder.resolve()), found.path)
    try:
        return replace(place, tag=tag, digest=Digest.parse(digest) if at else None)
    except InvalidDigest as error:
        raise InvalidMapping(f"{text!r}: {error}") from None


def _layout(text: str) -> Place:
    path, colon, tag = text.removeprefix("oci:").partition(":")
    if not path or (colon and not tag):
        raise InvalidMapping(f"{text!r}: write oci:<folder> or oci:<folder>:<name of the image>")
    if "@" in tag:
        raise InvalidMapping(f"{text!r}: images of a folder are named by their name; write oci:<folder>:<name>")
    return Place(OCI, str(Path(path).resolve()), "", tag)


def _check_tag(text: str, tag: str) -> None:
    try:
        parse_tag(tag)
    except InvalidTag as error:
        raise InvalidMapping(f"{text[:300]!r}: {error}") from None


def parse_mapping(text: str, source_folder: Path, target_folder: Path) -> Mapping:
    """``SRC=DST``."""
    left, equals, right = text.partition("=")
    if not equals or not left.strip() or not right.strip() or "=" in right:
        raise InvalidMapping(f"{text[:300]!r} is no mapping; write <source>=<target>")
    return paired(parse_place(left.strip(), source_folder), parse_place(right.strip(), target_folder))


def paired(source: Place, target: Place) -> Mapping:
    """A mapping whose target says all that there is to say. Raises :class:`InvalidMapping`."""
    if source.is_pattern and (target.tag or target.digest):
        raise InvalidMapping(f"{source} means several images, which cannot all be {target}; leave its tag out")
    if target.is_pattern:
        raise InvalidMapping(f"{target}: a target is one image, or a repository that images keep their tags in")
    if target.digest and target.digest != source.digest:
        raise InvalidMapping(f"{target} names a digest that {source} does not; leave it out")
    if source.kind != OCI and not source.tag and not source.digest:
        source = replace(source, tag="latest")
    if not source.is_pattern and not target.tag and not target.digest:
        target = replace(target, tag=source.tag if not source.digest else "", digest=source.digest)
    if target.kind == OCI and not target.tag and not source.is_pattern:
        raise InvalidMapping(f"{target}: an image in a layout has a name; write {target}:<name>")
    return Mapping(source, target)


def parse_mappings(lines: Iterable[str], source_folder: Path, target_folder: Path) -> list[Mapping]:
    """A file of mappings, one a line; ``#`` begins a comment. Raises :class:`InvalidMapping` with the line's number."""
    found = []
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        try:
            found.append(parse_mapping(text, source_folder, target_folder))
        except InvalidReference as error:
            raise InvalidMapping(f"line {number}: {error}") from None
    return found

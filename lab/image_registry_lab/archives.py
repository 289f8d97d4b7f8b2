"""Small images made of files of this machine: one layer, no base, no daemon, the same bytes each time.

They are archives as ``docker save`` writes them, which containerd, skopeo and crane read. What the lab itself runs in
Pods comes this way: the pause process, busybox, cluster DNS, the volume provisioner and the Ingress controller.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from image_registry_lab import programs
from image_registry_lab.places import SOURCES, Places
from image_registry_lab.report import LabError

PAUSE = "lab.local/pause:1"
BUSYBOX = "lab.local/bb:1"
COREDNS = f"lab.local/coredns:{programs.COREDNS}"
LOCAL_PATH = f"lab.local/local-path-provisioner:{programs.LOCAL_PATH}"
TRAEFIK = f"lab.local/traefik:{programs.TRAEFIK}"
HELLO = "lab.local/hello:1"

APPLETS = """
    cat chmod cp date dd df echo env false find grep head httpd id ip ls md5sum mkdir mv nc nslookup ps rm sh sha256sum
    sleep stat tail test touch true vi wc wget
"""
"""Names that busybox answers to."""

SEARCH_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
FORMAT = "1"
"""Raised when the same specification is to become other bytes."""


@dataclass(frozen=True, slots=True)
class Image:
    """A name with a tag, the files it holds (path in the image: path here), links and the command."""

    name: str
    files: tuple[tuple[str, Path], ...]
    entrypoint: tuple[str, ...]
    links: tuple[tuple[str, str], ...] = ()

    @property
    def file_name(self) -> str:
        """pause.tar for lab.local/pause:1."""
        return self.name.rpartition("/")[2].partition(":")[0] + ".tar"


def standard(places: Places) -> tuple[Image, ...]:
    """What every lab needs."""

    def program(name: str, file: str) -> Image:
        return Image(name, ((f"/{file}", Path(places.program(file))),), (f"/{file}",))

    return (
        Image(PAUSE, (("/pause", Path("/usr/bin/catatonit")),), ("/pause", "-P")),
        Image(
            BUSYBOX,
            (("/bin/busybox", Path("/usr/bin/busybox")),),
            ("/bin/busybox",),
            tuple((f"/bin/{applet}", "busybox") for applet in APPLETS.split()),
        ),
        program(COREDNS, "coredns"),
        program(LOCAL_PATH, "local-path-provisioner"),
        program(TRAEFIK, "traefik"),
    )


def hello() -> Image:
    """What the demo pushes: a web server with one page. No node has it, so whoever runs it has pulled it."""
    return Image(
        HELLO,
        (("/bin/busybox", Path("/usr/bin/busybox")), ("/www/index.html", SOURCES / "hello/index.html")),
        ("/bin/busybox", "httpd", "-f", "-p", "8080", "-h", "/www"),
    )


def ensure(image: Image, folder: Path, say: Callable[[str], None]) -> bool:
    """Write the archive unless one of the same specification is there; true if it was written."""
    target = folder / image.file_name
    stamp = folder / f".{image.file_name}.key"
    wanted = key(image)
    if target.exists() and stamp.exists() and stamp.read_text(encoding="ascii") == wanted:
        return False
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{image.file_name}.new"
    write(image, temporary)
    temporary.replace(target)
    stamp.write_text(wanted, encoding="ascii")
    say(f"image {image.name}: written ({target.stat().st_size / 2**20:.0f} MiB)")
    return True


def key(image: Image) -> str:
    """A digest of what decides the archive's bytes; files are known by size and time, not read."""
    parts = [FORMAT, image.name, repr(image.entrypoint), repr(image.links)]
    for target, source in image.files:
        try:
            stat = source.stat()
        except OSError as error:
            raise LabError(
                f"{image.name} needs {source}: {error.strerror}; `lab/lab build` makes what can be"
            ) from None
        parts.append(f"{target} {source} {stat.st_size} {stat.st_mtime_ns}")
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def write(image: Image, target: Path) -> None:
    """Write the archive. The layer passes through a temporary file: programs are large."""
    with tempfile.TemporaryFile(dir=target.parent) as layer:
        _write_layer(image, layer)
        layer.seek(0)
        diff_id = hashlib.file_digest(layer, "sha256").hexdigest()
        size = layer.tell()
        layer.seek(0)
        config = _config(image, diff_id)
        config_name = f"{hashlib.sha256(config).hexdigest()}.json"
        listing = json.dumps([{"Config": config_name, "RepoTags": [image.name], "Layers": ["layer.tar"]}]).encode()
        with tarfile.open(target, "w") as archive:
            _add(archive, config_name, config)
            entry = tarfile.TarInfo("layer.tar")
            entry.size = size
            archive.addfile(entry, layer)
            _add(archive, "manifest.json", listing)


def _config(image: Image, diff_id: str) -> bytes:
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
    content = {
        "architecture": machine,
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{diff_id}"]},
        "config": {"Entrypoint": list(image.entrypoint), "Env": [SEARCH_PATH]},
    }
    return json.dumps(content, sort_keys=True).encode()


def _write_layer(image: Image, layer: IO[bytes]) -> None:
    with tarfile.open(fileobj=layer, mode="w") as archive:
        _add(archive, "tmp", b"", 0o1777, tarfile.DIRTYPE)
        made = {"tmp"}
        for path, source in image.files:
            for parent in reversed(Path(path.lstrip("/")).parents[:-1]):
                if str(parent) not in made:
                    made.add(str(parent))
                    _add(archive, str(parent), b"", 0o755, tarfile.DIRTYPE)
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.size = source.stat().st_size
            entry.mode = 0o755 if os.access(source, os.X_OK) else 0o644
            with source.open("rb") as content:
                archive.addfile(entry, content)
        for path, existing in image.links:
            link = tarfile.TarInfo(path.lstrip("/"))
            link.type, link.linkname = tarfile.SYMTYPE, existing
            archive.addfile(link)


def _add(archive: tarfile.TarFile, name: str, data: bytes, mode: int = 0o644, kind: bytes = tarfile.REGTYPE) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.type = len(data), mode, kind
    archive.addfile(entry, io.BytesIO(data))

"""Measures how long it takes to copy images from one registry to another: ours, skopeo and crane, in turns.

Source and target are ``image-registry serve`` here. Every copy goes into a target that was started for it and
is empty; every tag must then have the digest of the source, anything else makes the figures invalid. ``ac`` also asks
for signatures, which the others do not.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import machine
from benchmarks.servers import ROOT, Server, Unavailable, ours
from image_registry.oci import media_types
from image_registry.oci.digest import Digest
from image_registry.oci.manifest import parse_manifest
from image_registry.remote.addresses import AddressRules
from image_registry.remote.asking import Access
from image_registry.remote.budget import Budget
from image_registry.remote.contents import InMemory
from image_registry.remote.reference import RemoteReference
from image_registry.remote.registry import Registries
from image_registry.remote.sources import SourceRules
from image_registry.remote.wire import Wire
from image_registry.remote.writing import Writing

KIB, MIB = 1 << 10, 1 << 20
ACCESS = Access(insecure=True)
OPEN = ("--auth", "none")


class Invalid(Exception):
    """A client failed, or left something out."""


@dataclass(frozen=True)
class Workload:
    """``repositories`` with ``tags`` images each; their layers are shared by all, but for one of its own."""

    name: str
    about: str
    repositories: int
    tags: int
    shared: int
    size: int
    own: int


WORKLOADS = (
    Workload(
        "many small images",
        "40 repositories, 3 tags each; 6 shared layers of 64 KiB, own 32 KiB",
        40,
        3,
        6,
        64 * KIB,
        32 * KIB,
    ),
    Workload(
        "few big layers",
        "4 repositories, 1 tag each; 1 shared layer and an own one of 64 MiB",
        4,
        1,
        1,
        64 * MIB,
        64 * MIB,
    ),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and print; 1 if a figure is invalid, 2 if nothing can be measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mirror", description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", choices=("ac", "skopeo", "crane"), action="append")
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of repositories")
    parser.add_argument("--folder", type=Path, help="where to work; default: the folder for temporary files")
    parser.add_argument("-o", "--output", choices=["text", "json"], default="text")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="image-registry-bench-", dir=options.folder) as name:
        try:
            figures = _measure(Path(name), options)
        except Unavailable as error:
            print(f"bench: {error}", file=sys.stderr)
            return 2
        except Invalid as error:
            print(f"bench: the figures are invalid: {error}", file=sys.stderr)
            return 1
    print(json.dumps(figures, indent=2) if options.output == "json" else _page(figures))
    return 0


def _measure(folder: Path, options: argparse.Namespace) -> dict[str, object]:
    clients = {name: CLIENTS[name] for name in options.only or CLIENTS}
    programs = {name: _program(name) for name in clients}
    (folder / "source").mkdir()
    results: dict[str, dict[str, list[float]]] = {}
    sizes: dict[str, int] = {}
    with ours(folder / "source", OPEN) as source:
        for workload in WORKLOADS:
            tags, sizes[workload.name] = _fill(source, workload, max(int(workload.repositories * options.scale), 1))
            seconds: dict[str, list[float]] = {name: [] for name in clients}
            for turn in range(options.repeats):
                for name in sorted(clients, reverse=turn % 2 == 1):
                    _progress(f"{workload.name}, round {turn + 1} of {options.repeats}: {name}")
                    seconds[name].append(
                        _once(folder / f"{name}-{workload.tags}-{turn}", programs[name], clients[name], source, tags)
                    )
            results[workload.name] = {name: sorted(round(value, 3) for value in seconds[name]) for name in clients}
    return {
        "machine": machine.description(),
        "workloads": [
            {
                "name": workload.name,
                "about": workload.about,
                "bytes": sizes[workload.name],
                "seconds": results[workload.name],
            }
            for workload in WORKLOADS
        ],
    }


def _once(folder: Path, program: str, client: Copy, source: Server, tags: dict[str, Digest]) -> float:
    """Seconds that one client takes to fill an empty registry."""
    folder.mkdir()
    with ours(folder, OPEN) as target:
        commands = client(program, _host(source), _host(target), sorted(tags), folder)
        environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
        os.sync()
        started = time.monotonic()
        for command in commands:
            done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
            if done.returncode:
                raise Invalid(f"{' '.join(command[:3])} failed: {(done.stderr or done.stdout)[-500:]}")
        elapsed = time.monotonic() - started
        _check(target, tags)
    shutil.rmtree(folder)
    return elapsed


def _client() -> tuple[Registries, Writing]:
    registries = Registries(Wire(AddressRules.of(["127.0.0.0/8"])), SourceRules(), Budget(1e6, 1_000_000))
    return registries, Writing(registries.questions)


def _fill(source: Server, workload: Workload, repositories: int) -> tuple[dict[str, Digest], int]:
    """Push the images; tags with what they mean, and the bytes of all distinct blobs."""
    writing, found, total = _client()[1], {}, 0
    shared = [_layer(workload.size) for _ in range(workload.shared)]
    total += sum(map(len, shared))
    for number in range(repositories):
        name = RemoteReference(_host(source), f"{workload.name.split()[0]}/r{number}")
        for blob in shared:
            writing.put_blob(name.at(Digest.of(blob)), InMemory(blob), ACCESS)
        for tag in range(workload.tags):
            own, config = _layer(workload.own), json.dumps({"os": "linux", "n": [number, tag]}).encode()
            for blob in (own, config):
                writing.put_blob(name.at(Digest.of(blob)), InMemory(blob), ACCESS)
                total += len(blob)
            document = {
                "schemaVersion": 2,
                "mediaType": media_types.OCI_MANIFEST,
                "config": {"mediaType": media_types.OCI_CONFIG, "digest": str(Digest.of(config)), "size": len(config)},
                "layers": [
                    {
                        "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                        "digest": str(Digest.of(blob)),
                        "size": len(blob),
                    }
                    for blob in (*shared, own)
                ],
            }
            manifest = parse_manifest(json.dumps(document).encode(), "")
            writing.put_manifest(name.at(f"v{tag}"), manifest, ACCESS)
            found[f"{name.path}:v{tag}"] = manifest.digest
    return found, total


def _layer(size: int) -> bytes:
    """Bytes that nobody compresses anew: some clients change what is not gzip."""
    return gzip.compress(os.urandom(size), 0)


def _check(target: Server, tags: dict[str, Digest]) -> None:
    writing = _client()[1]
    for name, digest in tags.items():
        path, _, tag = name.rpartition(":")
        there = writing.manifest_digest(RemoteReference(_host(target), path).at(tag), ACCESS)
        if there != digest:
            raise Invalid(f"{name} is {there} at the target, and {digest} at the source")


Copy = Callable[[str, str, str, list[str], Path], list[list[str]]]


def _ac(program: str, source: str, target: str, tags: list[str], folder: Path) -> list[list[str]]:
    lines = [f"{source}/{path}:*={target}/{path}\n" for path in _paths(tags)]
    (folder / "map").write_text("".join(lines), encoding="ascii")
    return [[program, "image", "mirror", "--insecure", "-o", "json", "-f", str(folder / "map")]]


def _skopeo(program: str, source: str, target: str, tags: list[str], folder: Path) -> list[list[str]]:
    images = "".join(f"    {path}: [{', '.join(_tags(tags, path))}]\n" for path in _paths(tags))
    (folder / "sync.yml").write_text(f"{source}:\n  tls-verify: false\n  images:\n{images}", encoding="ascii")
    namespace = tags[0].partition("/")[0]
    options = ["--insecure-policy", "sync", "--all", "--src", "yaml", "--dest", "docker", "--dest-tls-verify=false"]
    return [[program, *options, str(folder / "sync.yml"), f"{target}/{namespace}"]]


def _crane(program: str, source: str, target: str, tags: list[str], folder: Path) -> list[list[str]]:
    del folder
    return [[program, "copy", "--insecure", "--all-tags", f"{source}/{p}", f"{target}/{p}"] for p in _paths(tags)]


CLIENTS: dict[str, Copy] = {"ac": _ac, "skopeo": _skopeo, "crane": _crane}


def _paths(tags: list[str]) -> list[str]:
    return sorted({tag.rpartition(":")[0] for tag in tags})


def _tags(tags: list[str], path: str) -> list[str]:
    return [f'"{tag.rpartition(":")[2]}"' for tag in tags if tag.rpartition(":")[0] == path]


def _program(name: str) -> str:
    if name == "ac":
        return str(Path(sys.executable).with_name("ac"))
    if name == "skopeo":
        found = shutil.which("skopeo")
        if found is None:
            raise Unavailable("there is no skopeo: apt-get install skopeo, or measure with --only ac --only crane")
        return found
    built = subprocess.run([str(ROOT / "lab/lab"), "build", "crane"], capture_output=True, text=True, check=False)
    if built.returncode:
        raise Unavailable(f"crane cannot be compiled: {built.stderr[-500:]}")
    return str(Path(built.stdout.partition(": ")[0]) / "crane")


def _host(server: Server) -> str:
    return f"{server.address.host}:{server.address.port}"


def _page(figures: dict[str, object]) -> str:
    lines = [str(figures["machine"]), ""]
    lines += [
        "| workload | client | seconds: median (min to max) | MiB/s | times ours |",
        "| --- | --- | --- | --- | --- |",
    ]
    workloads = figures["workloads"]
    assert isinstance(workloads, list)  # noqa: S101 - for mypy
    for workload in workloads:
        seconds: dict[str, list[float]] = workload["seconds"]
        base = statistics.median(seconds["ac"]) if "ac" in seconds else 0.0
        for name, values in seconds.items():
            middle = statistics.median(values)
            speed = workload["bytes"] / MIB / middle
            ratio = f"{middle / base:.2f}" if base else "-"
            row = (workload["name"], name, f"{middle:.2f} ({values[0]:.2f} to {values[-1]:.2f})", f"{speed:.0f}", ratio)
            lines.append(f"| {' | '.join(row)} |")
    lines += [
        "",
        *(
            f"{workload['name']}: {workload['about']}, {workload['bytes'] / MIB:.0f} MiB in distinct blobs"
            for workload in workloads
        ),
    ]
    return "\n".join(lines)


def _progress(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())

"""Builds the collection's archive with the product's charts in it, so that it installs a registry without a checkout.

usage: python collections/build.py [FOLDER]

The archive lies in FOLDER (``build``) afterwards and its path is printed. It is the collection as `ansible-galaxy
collection build` makes it, from a copy that has the charts as Helm packages them: without their tests and the bundle.
"""

from __future__ import annotations

import fnmatch
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COLLECTION = ROOT / "collections/ansible_collections/alauda/registry"
CHARTS = ("image-registry", "cluster-image-registry-operator")
ANSIBLE_GALAXY = str(Path(sys.executable).with_name("ansible-galaxy"))


def package(chart: Path, target: Path) -> None:
    """Copy what ``.helmignore`` does not leave out."""
    lines = (chart / ".helmignore").read_text(encoding="utf-8").splitlines()
    left_out = [line.rstrip("/") for line in lines if line and not line.startswith("#")]

    def ignored(_folder: str, names: list[str]) -> set[str]:
        return {name for name in names if any(fnmatch.fnmatch(name, pattern) for pattern in left_out)}

    shutil.copytree(chart, target, ignore=ignored)


def build(folder: Path) -> Path:
    """The archive in a folder, which is made; one of that version is replaced. Raises CalledProcessError."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="image-registry-collection-") as scratch:
        copy, made = Path(scratch) / "collection", Path(scratch) / "made"
        shutil.copytree(COLLECTION, copy, ignore=shutil.ignore_patterns("__pycache__", "output", ".ansible"))
        for chart in CHARTS:
            package(ROOT / "charts" / chart, copy / "charts" / chart)
        command = [ANSIBLE_GALAXY, "collection", "build", str(copy), "--output-path", str(made)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - ours, and no shell
        (archive,) = made.glob("*.tar.gz")
        return Path(shutil.copy(archive, folder / archive.name))


if __name__ == "__main__":
    sys.stdout.write(f"{build(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / 'build')}\n")

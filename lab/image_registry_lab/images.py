"""Container images of the lab, made without any other image: Debian by debootstrap, the rest by Containerfiles.

Each image is keyed by everything that decides its content, so it is made once; a stopped build goes on where it was.
What a cluster must be told about them is in ``<cache>/images/*.name``, each named by the variable it is the value
of.
"""

from __future__ import annotations

import hashlib
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from image_registry_lab.places import REPOSITORY, Places
from image_registry_lab.process import run
from image_registry_lab.report import LabError

SUITE = "bookworm"
PYTHON = "3.11"
"""The Python of that Debian: wheels are chosen for it."""

POSTGRESQL = "15"
BASE_PACKAGES = ("ca-certificates", "python3")
POSTGRESQL_PACKAGES = ("ca-certificates", f"postgresql-{POSTGRESQL}")
LEGACY_PACKAGES = ("ca-certificates", "docker-registry", "python3")
"""CNCF distribution, and what runs the proxy in front of it."""
PIP = "26.3"
"""Runs from its wheel inside of the build, because the base image has none."""

APP_SOURCES = ("Containerfile", "README.md", "build.lock", "pyproject.toml", "requirements.lock", "src")
"""What of ``app/`` decides the content of the image."""


@dataclass(frozen=True, slots=True)
class Image:
    """``variable`` is what charts and playbooks are told; ``reference`` is the image; ``archive`` its file name."""

    variable: str
    reference: str
    archive: str


class Images:
    """Makes images into ``places.images``; work folders are kept in ``places.build`` for the next time."""

    def __init__(self, places: Places, say: Callable[[str], None]) -> None:
        self._places = places
        self._say = say

    def make_all(self) -> list[Image]:
        """Everything the registry needs in a cluster; returns what was made anew."""
        made = [self._app(), self._postgresql()]
        return [image for image in made if image is not None]

    def make_operator(self) -> list[Image]:
        """The operator's image, on top of the registry's; returns it if it was made anew."""
        app = (self._places.images / "IMAGE_REGISTRY_IMAGE.name").read_text(encoding="ascii").strip()
        containerfile, charts = REPOSITORY / "app/operator.Containerfile", REPOSITORY / "charts"
        helm = Path(self._places.program("helm"))
        content = digest([app, *_files([containerfile, charts / "image-registry", helm])])
        image = Image("OPERATOR_IMAGE", f"lab.local/cluster-image-registry-operator:{content[:12]}", "operator.tar")
        if self._is_there(image):
            return []
        folder = self._places.build / "helm"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy2(helm, folder / "helm")
        (folder / "Containerfile").write_text("FROM scratch\nCOPY helm /usr/bin/helm\n", encoding="ascii")
        self._build("lab.local/helm:1", folder / "Containerfile", folder, {})
        self._say(f"building {image.reference} from app/operator.Containerfile")
        self._build(image.reference, containerfile, charts, {"IMAGE": app, "HELM_IMAGE": "lab.local/helm:1"})
        return [self._publish(image)]

    def make_legacy_registry(self) -> list[Image]:
        """What the Pods of a legacy registry run; returns it if it was made anew."""
        key = self._base_key(LEGACY_PACKAGES)
        image = Image("LEGACY_REGISTRY_IMAGE", f"lab.local/legacy-registry:{key[:12]}", "legacy-registry.tar")
        if self._is_there(image):
            return []
        base = self._debian_image("debian-legacy-registry", LEGACY_PACKAGES)
        folder = self._places.build / "legacy-registry"
        folder.mkdir(parents=True, exist_ok=True)
        text = f'FROM {base}\nENTRYPOINT ["/usr/bin/docker-registry"]\n'
        (folder / "Containerfile").write_text(text, encoding="ascii")
        self._build(image.reference, folder / "Containerfile", folder, {})
        return [self._publish(image)]

    def _app(self) -> Image | None:
        base = self._base_key(BASE_PACKAGES)
        app = REPOSITORY / "app"
        content = digest([base, PIP, *_files(app / name for name in APP_SOURCES)])
        image = Image("IMAGE_REGISTRY_IMAGE", f"lab.local/image-registry:{content[:12]}", "image-registry.tar")
        if self._is_there(image):
            return None
        base_image = self._debian_image("python", BASE_PACKAGES)
        wheels = self._wheels(app)
        self._say(f"building {image.reference} from app/Containerfile")
        arguments = {
            "BASE_IMAGE": base_image,
            "PIP": f"python3 /wheels/{next(wheels.glob('pip-*.whl')).name}/pip",
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": "/wheels",
        }
        self._build(image.reference, app / "Containerfile", app, arguments, volume=f"{wheels}:/wheels:ro")
        return self._publish(image)

    def _postgresql(self) -> Image | None:
        key = self._base_key(POSTGRESQL_PACKAGES)
        image = Image("POSTGRESQL_IMAGE", f"lab.local/postgresql:{POSTGRESQL}-{key[:12]}", "postgresql.tar")
        if self._is_there(image):
            return None
        base = self._debian_image("debian-postgresql", POSTGRESQL_PACKAGES)
        folder = self._places.build / "postgresql"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "Containerfile").write_text(
            f"FROM {base}\nENV PATH=/usr/lib/postgresql/{POSTGRESQL}/bin:/usr/bin:/bin\nUSER 999:999\n",
            encoding="ascii",
        )
        self._say(f"building {image.reference}")
        self._build(image.reference, folder / "Containerfile", folder, {})
        return self._publish(image)

    def _is_there(self, image: Image) -> bool:
        named = self._places.images / f"{image.variable}.name"
        archive = self._places.images / image.archive
        return archive.exists() and named.exists() and named.read_text(encoding="ascii").strip() == image.reference

    def _publish(self, image: Image) -> Image:
        """Write the archive, then its name: whoever finds the name finds the image."""
        self._places.images.mkdir(parents=True, exist_ok=True)
        archive = self._places.images / image.archive
        temporary = archive.with_suffix(".new")
        temporary.unlink(missing_ok=True)
        self._buildah("push", "--quiet", image.reference, f"docker-archive:{temporary}:{image.reference}")
        (self._places.images / f"{image.variable}.name").unlink(missing_ok=True)
        temporary.replace(archive)
        (self._places.images / f"{image.variable}.name").write_text(f"{image.reference}\n", encoding="ascii")
        return image

    def _base_key(self, packages: Sequence[str]) -> str:
        return digest([SUITE, platform.machine(), *packages])

    def _debian_image(self, name: str, packages: Sequence[str]) -> str:
        """``lab.local/<name>:<key>`` in buildah's storage: Debian's smallest set and ``packages``."""
        reference = f"lab.local/{name}:{self._base_key(packages)[:12]}"
        if self._in_storage(reference):
            return reference
        folder = self._places.build / name
        layer = folder / "layer.tar"
        stamp = folder / "layer.key"
        if not (stamp.exists() and stamp.read_text(encoding="ascii") == self._base_key(packages)):
            self._debootstrap(folder / "tree", layer, packages)
            stamp.write_text(self._base_key(packages), encoding="ascii")
        (folder / "Containerfile").write_text("FROM scratch\nADD layer.tar /\n", encoding="ascii")
        self._build(reference, folder / "Containerfile", folder, {})
        return reference

    def _debootstrap(self, tree: Path, layer: Path, packages: Sequence[str]) -> None:
        self._say(f"Debian {SUITE} with {', '.join(packages)} by debootstrap (about a minute)")
        shutil.rmtree(tree, ignore_errors=True)
        tree.mkdir(parents=True)
        command = ["debootstrap", "--variant=minbase", f"--include={','.join(packages)}", SUITE, str(tree), _mirror()]
        run(command)
        for leftover in ("var/cache/apt/archives", "var/lib/apt/lists", "var/log", "var/lib/postgresql", "etc/apt"):
            shutil.rmtree(tree / leftover, ignore_errors=True)
        (tree / "etc/resolv.conf").unlink(missing_ok=True)
        (tree / "etc/hostname").unlink(missing_ok=True)
        temporary = layer.with_suffix(".new")
        run(["tar", "-C", str(tree), "-cf", str(temporary), "--exclude=./dev/*", "--exclude=./proc/*", "."])
        temporary.replace(layer)
        shutil.rmtree(tree, ignore_errors=True)

    def _wheels(self, app: Path) -> Path:
        """A folder with every wheel that the locks name, and pip itself, checked by hash."""
        locks = [app / "build.lock", app / "requirements.lock"]
        key = digest([PYTHON, platform.machine(), PIP, *_files(locks)])
        folder = self._places.build / "wheels"
        stamp = folder / ".key"
        if stamp.exists() and stamp.read_text(encoding="ascii") == key:
            return folder
        self._say("downloading the wheels that the lock files name")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        tools = self._tools()
        choice = ["--only-binary", ":all:", "--implementation", "cp", "--python-version", PYTHON, "--no-deps"]
        for libc in ("manylinux2014", "manylinux_2_28", "manylinux_2_34"):
            choice += ["--platform", f"{libc}_{platform.machine()}"]
        download = [str(tools / "bin/python"), "-m", "pip", "download", "--quiet", "--dest", str(folder)]
        for lock in locks:
            _download([*download, *choice, "--require-hashes", "-r", str(lock)])
        _download([*download, *choice, f"pip=={PIP}"])
        stamp.write_text(key, encoding="ascii")
        return folder

    def _tools(self) -> Path:
        """A private environment with pip: the machine's Python may have none."""
        folder = self._places.build / "tools"
        if not (folder / "bin/pip").exists():
            run([sys.executable, "-m", "venv", "--clear", str(folder)])
        return folder

    def _build(
        self, reference: str, containerfile: Path, context: Path, arguments: dict[str, str], volume: str = ""
    ) -> None:
        options = [option for name, value in arguments.items() for option in ("--build-arg", f"{name}={value}")]
        options += ["--volume", volume] if volume else []
        self._buildah(
            "build",
            "--quiet",
            "--layers=false",
            "--pull=never",
            "--isolation=oci",
            "--runtime=runc",
            "--network=none",
            # limits cannot be raised where the machine itself is a container
            "--ulimit=nofile=10000",
            "--ulimit=nproc=4096",
            "--timestamp=0",
            *options,
            "--tag",
            reference,
            "--file",
            str(containerfile),
            str(context),
        )

    def _in_storage(self, reference: str) -> bool:
        command = [*self._buildah_command(), "inspect", "--type", "image", reference]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def _buildah(self, *arguments: str) -> str:
        return run([*self._buildah_command(), *arguments])

    def _buildah_command(self) -> list[str]:
        storage = self._places.build / "storage"
        return [
            "buildah",
            "--root",
            str(storage / "root"),
            "--runroot",
            str(storage / "run"),
            "--storage-driver=overlay",
        ]


def digest(parts: Iterable[str]) -> str:
    """SHA-256 over texts that cannot run into each other."""
    total = hashlib.sha256()
    for part in parts:
        total.update(len(part).to_bytes(8, "big") + part.encode())
    return total.hexdigest()


def _files(paths: Iterable[Path]) -> list[str]:
    """Name and digest of every file, folders included with what they hold."""
    found: list[str] = []
    for path in paths:
        files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
        for file in files:
            if "__pycache__" not in file.parts and ".egg-info" not in str(file):
                found += [str(file.relative_to(path.parent)), hashlib.sha256(file.read_bytes()).hexdigest()]
    return found


def _mirror() -> str:
    """The archive that apt itself uses on this machine."""
    lines = run(["apt-get", "indextargets", "--format", "$(RELEASE) $(REPO_URI)"]).splitlines()
    for release, _, address in (line.partition(" ") for line in lines):
        if release == SUITE:
            return address
    raise LabError(f"apt has no source for Debian {SUITE}: run apt-get update, or add one to /etc/apt/sources.list.d")


def _download(command: Sequence[str]) -> None:
    """pip finds its index in the machine's own settings, so it gets the caller's environment."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"cannot download wheels:\n{done.stderr.strip()}")

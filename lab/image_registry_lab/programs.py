"""The lab's programs, compiled from pinned Go modules into a cache folder outside of the repository.

Each program is keyed by everything that decides its bytes (module files, our mains, flags, compiler), so a build is
done once, a stopped build goes on where it was, and a changed pin is noticed.
"""

from __future__ import annotations

import functools
import hashlib
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from image_registry_lab import places
from image_registry_lab.report import LabError

SOURCES = places.SOURCES / "go"
KUBERNETES = "1.37.1"
HELM = "3.22.0"
DISTRIBUTION = "3.1.2"
COREDNS = "1.15.0"
LOCAL_PATH = "0.0.30"
TRAEFIK = "3.6.12"
FLAGS = {"GOTOOLCHAIN": "local", "CGO_ENABLED": "0", "GOFLAGS": "-trimpath -buildvcs=false"}
KUBE_NAMES = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
    "etcd",
    "etcdctl",
)
"""One program answers to all of these names, so that it is linked once."""


class BuildFailed(LabError):
    """The compiler said no; the text holds its last lines."""


@dataclass(frozen=True, slots=True)
class Program:
    """What to compile: ``package`` inside of the module in ``go/<module>``, with linker values."""

    name: str
    module: str
    package: str
    values: tuple[tuple[str, str], ...] = ()
    names: tuple[str, ...] = ()
    on_demand: bool = False
    """Not of the cluster: compiled only when it is named, for tests of clients and for the benchmark."""


def programs() -> tuple[Program, ...]:
    """Every program of the lab; what is needed first comes first."""
    return (
        Program(
            "helm", "tools", "helm.sh/helm/v3/cmd/helm", (("helm.sh/helm/v3/internal/version.version", f"v{HELM}"),)
        ),
        Program("crane", "tools", "github.com/google/go-containerregistry/cmd/crane"),
        Program("versitygw", "stores", "github.com/versity/versitygw/cmd/versitygw", on_demand=True),
        Program("fake-gcs-server", "stores", "github.com/fsouza/fake-gcs-server", on_demand=True),
        Program("regctl", "clients", "github.com/regclient/regclient/cmd/regctl", on_demand=True),
        Program("oras-go", "clients", "./cmd/oras-go", on_demand=True),
        Program(
            "distribution",
            "distribution",
            "github.com/distribution/distribution/v3/cmd/registry",
            (("github.com/distribution/distribution/v3/version.version", f"v{DISTRIBUTION}"),),
            on_demand=True,
        ),
        Program("sample-apiserver", "tools", "k8s.io/sample-apiserver", on_demand=True),
        Program("kube", "tools", "./cmd/kube", _kubernetes_version(), KUBE_NAMES),
        Program("coredns", "tools", "./cmd/coredns"),
        Program("local-path-provisioner", "tools", "github.com/rancher/local-path-provisioner"),
        Program(
            "traefik",
            "ingress",
            "github.com/traefik/traefik/v3/cmd/traefik",
            (("github.com/traefik/traefik/v3/pkg/version.Version", TRAEFIK),),
        ),
    )


def build(program: Program, folder: Path, say: Callable[[str], None], place: str) -> bool:
    """Compile into ``folder`` unless it is there already; true if something was done. Raises :class:`BuildFailed`.

    ``place`` is the one among the programs that are compiled, as "2 of 6": whoever waits for minutes wants to know.
    """
    target, stamp = folder / program.name, folder / f".{program.name}.key"
    wanted = key(program, _compiler())
    if target.exists() and stamp.exists() and stamp.read_text(encoding="ascii") == wanted:
        return False
    folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    say(f"{program.name} ({place}): compiling ... (minutes the first time, seconds when the Go caches are warm)")
    temporary = folder / f".{program.name}.new"
    command = ["go", "build", "-ldflags", _linker(program), "-o", str(temporary), program.package]
    run_go(command, program.module, f"cannot compile {program.name}")
    temporary.replace(target)
    for name in program.names:
        link = folder / name
        link.unlink(missing_ok=True)
        link.symlink_to(program.name)
    stamp.write_text(wanted, encoding="ascii")
    say(f"{program.name}: compiled in {time.monotonic() - started:.0f} s")
    return True


def module_folder(path: str, module: str) -> Path:
    """Where the sources of the Go module ``path``, a need of ``go/<module>``, lie on this machine."""
    command = ["go", "list", "-m", "-f", "{{.Dir}}", path]
    found = run_go(command, module, f"cannot find the sources of {path}").strip()
    if not found:
        run_go(["go", "mod", "download", path], module, f"cannot download {path}")
        found = run_go(command, module, f"cannot find the sources of {path}").strip()
    return Path(found)


def run_go(command: list[str], module: str, failure: str) -> str:
    """What the go command prints, run in ``go/<module>``. Raises :class:`BuildFailed`."""
    run = subprocess.run(
        command, cwd=SOURCES / module, env={**os.environ, **FLAGS}, text=True, capture_output=True, check=False
    )
    if run.returncode:
        last = "\n".join(run.stderr.strip().splitlines()[-15:])
        raise BuildFailed(f"{failure} ({' '.join(command)}):\n{last}")
    return run.stdout


def key(program: Program, compiler: str) -> str:
    """A digest of everything that decides the bytes of a program."""
    digest = hashlib.sha256()
    for text in (program.package, _linker(program), compiler, repr(sorted(FLAGS.items()))):
        digest.update(text.encode() + b"\0")
    for file in sorted((SOURCES / program.module).rglob("*")):
        if file.is_file():
            digest.update(str(file.relative_to(SOURCES)).encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def _linker(program: Program) -> str:
    return " ".join(["-s", "-w", *(f"-X {name}={value}" for name, value in program.values)])


@functools.cache
def _compiler() -> str:
    try:
        return subprocess.run(["go", "version"], text=True, capture_output=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        raise BuildFailed(f"the Go compiler is needed and does not run: {error}; install Go 1.26") from None


def _kubernetes_version() -> tuple[tuple[str, str], ...]:
    """Unset, the programs would call themselves v0.0.0 and fail the version checks of charts."""
    minor = KUBERNETES.split(".")[1]
    values = {
        "gitVersion": f"v{KUBERNETES}",
        "gitMajor": "1",
        "gitMinor": minor,
        "gitCommit": "modules",
        "gitTreeState": "clean",
        "buildDate": "2026-01-01T00:00:00Z",
    }
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return tuple((f"{package}.{name}", value) for package in packages for name, value in values.items())

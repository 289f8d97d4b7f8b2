"""Real clients behind one interface, so that a promise is written once and every client holds us to it.

Each gets folders of its own for storage, credentials and configuration, and never sees the caller's.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol

from tests.clients.layout import Layout
from tests.serve.conftest import program

TIMEOUT = 120.0


class Refused(Exception):
    """A client ended with an error; the text is what it said."""


@dataclass(frozen=True, slots=True)
class Registry:
    """A registry that answers: where, trusted by which CA, and a user who may do everything."""

    address: str
    ca: Path
    user: str = ""
    password: str = field(default="", repr=False)


class Client(Protocol):
    """What a person does with an image."""

    def login(self, user: str, password: str) -> None: ...
    def push(self, image: Layout, reference: str) -> str: ...
    def pull(self, reference: str) -> str: ...


class Copier(Client, Protocol):
    """A client that sends what it got byte by byte, knows indexes, and deletes."""

    def delete(self, reference: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Program:
    """A client program with its own folders."""

    registry: Registry
    home: Path
    name: ClassVar[str] = ""
    cure: ClassVar[str] = ""
    """How to get the program, where that is not a package of the same name."""

    def environment(self) -> dict[str, str]:
        """Everything that the client may know."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "XDG_RUNTIME_DIR": str(self.home),
            "TMPDIR": str(self.home),
            "DOCKER_CONFIG": str(self.home),
            "REGISTRY_AUTH_FILE": str(self.home / "auth.json"),
            "SSL_CERT_FILE": str(self.registry.ca),
        }

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        """Run it; raises :class:`Refused`."""
        done = subprocess.run(
            [program(self.name, self.cure or f"apt-get install {self.name}"), *arguments],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            env=self.environment(),
            timeout=TIMEOUT,
            check=False,
        )
        if done.returncode:
            raise Refused(f"{self.name} {' '.join(arguments)}: {done.stderr}{done.stdout}")
        return done.stdout

    def at(self, reference: str) -> str:
        """The whole reference."""
        return f"{self.registry.address}/{reference}"

    @property
    def certificates(self) -> str:
        """Folder with the CA, as the containers tools want it."""
        folder = self.home / "certificates"
        folder.mkdir(exist_ok=True)
        shutil.copy(self.registry.ca, folder / "ca.crt")
        return str(folder)

    def login(self, user: str, password: str) -> None:
        """Keep credentials; the password is given on standard input."""
        options = ["--cert-dir", self.certificates, "-u", user, "--password-stdin"]
        self.run("login", *options, self.registry.address, stdin=password)


class Skopeo(Program):
    """Copies between places."""

    name = "skopeo"

    def push(self, image: Layout, reference: str) -> str:
        digest = self.home / "digest"
        options = ["--dest-cert-dir", self.certificates, "--digestfile", str(digest)]
        options += ["--all"] if image.platforms else []
        self.run("--insecure-policy", "copy", *options, f"oci:{image.folder}:v1", f"docker://{self.at(reference)}")
        return digest.read_text().strip()

    def pull(self, reference: str) -> str:
        digest = self.home / "digest"
        options = ["--all", "--src-cert-dir", self.certificates, "--digestfile", str(digest)]
        target = f"dir:{self.home / 'pulled'}"
        self.run("--insecure-policy", "copy", *options, f"docker://{self.at(reference)}", target)
        return digest.read_text().strip()

    def delete(self, reference: str) -> None:
        self.run("delete", "--cert-dir", self.certificates, f"docker://{self.at(reference)}")

    def copy(self, source: str, target: str) -> None:
        options = ["--all", "--src-cert-dir", self.certificates, "--dest-cert-dir", self.certificates]
        self.run("--insecure-policy", "copy", *options, *(f"docker://{self.at(name)}" for name in (source, target)))

    def tags(self, repository: str) -> list[str]:
        shown = self.run("list-tags", "--cert-dir", self.certificates, f"docker://{self.at(repository)}")
        found: list[str] = json.loads(shown)["Tags"]
        return found


class Crane(Program):
    """Google's client, in Go's own HTTP."""

    name = "crane"
    cure = "run `lab/lab build crane`"

    def login(self, user: str, password: str) -> None:
        self.run("auth", "login", self.registry.address, "-u", user, "--password-stdin", stdin=password)

    def push(self, image: Layout, reference: str) -> str:
        if image.platforms:
            # the layout's own index is one level above the image's: what is pushed is the inner one
            inner = self.home / "inner"
            shutil.copytree(image.folder, inner)
            (inner / "index.json").write_bytes(image.read(image.digest))
            pushed = self.run("push", "--index", str(inner), self.at(reference))
        else:
            pushed = self.run("push", str(image.folder), self.at(reference))
        return pushed.strip().rpartition("@")[2]

    def pull(self, reference: str) -> str:
        folder = self.home / "pulled"
        shutil.rmtree(folder, ignore_errors=True)
        self.run("pull", "--format", "oci", self.at(reference), str(folder))
        digest: str = json.loads((folder / "index.json").read_text())["manifests"][0]["digest"]
        return digest

    def copy(self, source: str, target: str) -> None:
        self.run("copy", self.at(source), self.at(target))

    def tags(self, repository: str) -> list[str]:
        return self.run("ls", self.at(repository)).split()

    def delete(self, reference: str) -> None:
        digest = self.run("digest", self.at(reference)).strip()
        self.run("delete", f"{self.at(reference).rpartition(':')[0]}@{digest}")


class _Storing(Program):
    """podman and buildah keep images in a store of their own."""

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        store = ("--root", str(self.home / "store"), "--runroot", str(self.home / "run"), "--storage-driver", "vfs")
        return Program.run(self, *store, *arguments, stdin=stdin)

    def push(self, image: Layout, reference: str) -> str:
        identifier = self.run("pull", "-q", f"oci:{image.folder}:v1").strip()
        digest = self.home / "digest"
        options = ["--cert-dir", self.certificates, "--digestfile", str(digest)]
        self.run("push", *options, identifier, f"docker://{self.at(reference)}")
        self.run("rmi", "-f", identifier)
        return digest.read_text().strip()

    def pull(self, reference: str) -> str:
        identifier = self.run("pull", "-q", "--cert-dir", self.certificates, self.at(reference)).strip()
        shown = self.run("images", "--digests", "--no-trunc", "--format", "{{.ID}} {{.Digest}}")
        self.run("rmi", "-f", identifier)
        found = [line.split()[1] for line in shown.splitlines() if identifier in line]
        assert found, shown
        return found[0]

    def copy(self, source: str, target: str) -> None:
        """Through its own store: layers are compressed anew, the configuration stays."""
        identifier = self.run("pull", "-q", "--cert-dir", self.certificates, self.at(source)).strip()
        self.run("push", "--cert-dir", self.certificates, identifier, f"docker://{self.at(target)}")
        self.run("rmi", "-f", identifier)

    def push_index(self, source: str, target: str) -> None:
        """Make a list of what the index ``source`` names, and push it with every image."""
        self.run("manifest", "create", "many")
        self.run("manifest", "add", "--all", "--cert-dir", self.certificates, "many", f"docker://{self.at(source)}")
        push = ("manifest", "push", "--all", "--cert-dir", self.certificates)
        self.run(*push, "many", f"docker://{self.at(target)}")


class Podman(_Storing):
    """The engine that people type."""

    name = "podman"

    def tags(self, repository: str) -> list[str]:
        shown = self.run("search", "--list-tags", "--limit", "1000", self.at(repository))
        return [line.split()[1] for line in shown.splitlines()[1:]]


class Buildah(_Storing):
    """The builder."""

    name = "buildah"


COPIERS: tuple[type[Skopeo | Crane], ...] = (Skopeo, Crane)
CLIENTS: tuple[type[Skopeo | Crane | Podman | Buildah], ...] = (*COPIERS, Podman, Buildah)

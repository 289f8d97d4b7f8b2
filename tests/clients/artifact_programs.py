"""Clients of the matrix that are no container tools: regctl, a client of ORAS' library, Helm, containerd's ``ctr``."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from tests.clients.layout import Layout
from tests.clients.programs import Program, Refused
from tests.serve.conftest import program


class Regctl(Program):
    """regclient's client, the strictest one about the protocol."""

    name = "regctl"
    cure = "run `lab/lab build regctl`"

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        return Program.run(self, *arguments, stdin=stdin)

    def login(self, user: str, password: str) -> None:
        # small pieces, so that a layer of some megabytes is sent in several
        options = ["--cacert", self.registry.ca.read_text(), "--blob-chunk", "1048576", "--blob-max", "2097152"]
        self.run("registry", "set", self.registry.address, "--skip-check", *options)
        self.run("registry", "login", self.registry.address, "-u", user, "--pass-stdin", stdin=password)

    def push(self, image: Layout, reference: str) -> str:
        self.run("image", "copy", f"ocidir://{image.folder}:v1", self.at(reference))
        return self.run("image", "digest", self.at(reference)).strip()

    def pull(self, reference: str) -> str:
        target = f"ocidir://{self.home / 'pulled'}:x"
        self.run("image", "copy", self.at(reference), target)
        return self.run("image", "digest", target).strip()

    def copy(self, source: str, target: str) -> None:
        self.run("image", "copy", "--referrers", self.at(source), self.at(target))

    def tags(self, repository: str) -> list[str]:
        return self.run("tag", "ls", self.at(repository)).split()

    def delete(self, reference: str) -> None:
        self.run("tag", "delete", self.at(reference))

    def attach(self, reference: str, kind: str, file: Path) -> str:
        put = ("artifact", "put", "--artifact-type", kind, "--subject", self.at(reference), "-f", str(file))
        return self.run(*put, "--format", "{{ .Manifest.GetDescriptor.Digest }}").strip()

    def referrers(self, reference: str, kind: str) -> list[str]:
        shown = ("--format", "{{ range .Descriptors }}{{ println .Digest }}{{ end }}")
        return self.run("artifact", "list", "--filter-artifact-type", kind, self.at(reference), *shown).split()

    def fetch_blob(self, repository: str, digest: str, target: Path) -> None:
        """Written by the shell: regctl prints bytes."""
        with target.open("wb") as output:
            done = subprocess.run(
                [program(self.name, self.cure), "blob", "get", self.at(repository), digest],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.PIPE,
                env=self.environment(),
                timeout=120,
                check=False,
            )
        if done.returncode:
            raise Refused(done.stderr.decode())


class OrasGo(Program):
    """ORAS' library under a small main of ours."""

    name = "oras-go"
    cure = "run `lab/lab build oras-go`"

    def login(self, user: str, password: str) -> None:
        known = base64.b64encode(f"{user}:{password}".encode()).decode()
        config = self.home / "config.json"
        config.write_text(json.dumps({"auths": {self.registry.address: {"auth": known}}}))

    def push(self, image: Layout, reference: str) -> str:
        return self.run("push", str(image.folder), "v1", self.at(reference)).strip()

    def pull(self, reference: str) -> str:
        return self.run("pull", self.at(reference), str(self.home / "pulled")).strip()

    def copy(self, source: str, target: str) -> None:
        self.run("copy", self.at(source), self.at(target))

    def tags(self, repository: str) -> list[str]:
        return self.run("tags", self.at(repository)).split()

    def delete(self, reference: str) -> None:
        self.run("delete", self.at(reference))

    def attach(self, reference: str, kind: str, file: Path) -> str:
        return self.run("attach", self.at(reference), kind, str(file)).strip()

    def referrers(self, reference: str, kind: str) -> list[str]:
        return self.run("discover", self.at(reference), kind).split()

    def fetch_rest(self, repository: str, digest: str, target: Path) -> int:
        """Bytes that were fetched to complete ``target``."""
        found: dict[str, int] = json.loads(self.run("resume", self.at(repository), digest, str(target)))
        return found["added"]


class Helm(Program):
    """Charts as OCI artifacts; the repository is <namespace>/<chart>."""

    name = "helm"
    cure = "run `lab/lab build helm`"

    def login(self, user: str, password: str) -> None:
        options = ["--ca-file", str(self.registry.ca), "-u", user, "--password-stdin"]
        self.run("registry", "login", *options, self.registry.address, stdin=password)

    def chart(self, name: str, version: str) -> Path:
        """A chart with nothing in it."""
        archive = self.home / f"{name}-{version}.tgz"
        text = f"apiVersion: v2\nname: {name}\nversion: {version}\n".encode()
        with tarfile.open(archive, "w:gz") as file:
            entry = tarfile.TarInfo(f"{name}/Chart.yaml")
            entry.size = len(text)
            file.addfile(entry, BytesIO(text))
        return archive

    def push_chart(self, repository: str, version: str) -> str:
        """The digest of the pushed chart."""
        namespace, _, name = repository.partition("/")
        options = ("--ca-file", str(self.registry.ca))
        return _digest(self._both("push", str(self.chart(name, version)), f"oci://{self.at(namespace)}", *options))

    def pull(self, reference: str) -> str:
        """``repository:version``, ``repository@digest``, or ``repository`` for the newest version."""
        repository, colon, version = reference.partition(":") if "@" not in reference else (reference, "", "")
        options = ["--ca-file", str(self.registry.ca), "-d", str(self.home)]
        options += ["--version", version] if colon else []
        return _digest(self._both("pull", f"oci://{self.at(repository)}", *options))

    def _both(self, *arguments: str) -> str:
        """What it prints: Helm tells digests on its error output."""
        done = subprocess.run(
            [program(self.name, self.cure), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=self.environment(),
            timeout=120,
            check=False,
        )
        if done.returncode:
            raise Refused(f"helm {' '.join(arguments)}: {done.stderr}")
        return done.stdout + done.stderr


def _digest(said: str) -> str:
    found = [line.split()[1] for line in said.splitlines() if line.startswith("Digest:")]
    assert found, said
    return found[0]


@dataclass(frozen=True, slots=True)
class Containerd(Program):
    """``ctr`` and a containerd of its own: the resolver, fetcher and pusher that kubelets use."""

    name = "ctr"
    cure = "apt-get install containerd"

    @contextmanager
    def daemon(self) -> Iterator[None]:
        """A containerd without anything that would need a cluster or the network."""
        config, log = self.home / "containerd.toml", self.home / "containerd.log"
        unneeded = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt", "io.containerd.internal.v1.restart"]
        owner = f"uid = {os.getuid()}\ngid = {os.getgid()}\n"
        config.write_text(
            f'version = 2\nroot = "{self.home / "root"}"\nstate = "{self.home / "state"}"\n'
            f"disabled_plugins = {json.dumps(unneeded)}\n"
            f'[grpc]\naddress = "{self.socket}"\n{owner}'
            f'[ttrpc]\naddress = "{self.socket}.ttrpc"\n{owner}'
        )
        command = [program("containerd", self.cure), "--config", str(config)]
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output, env=self.environment())
        try:
            self._wait(process, log)
            yield
        finally:
            process.terminate()
            process.wait(20)

    @property
    def socket(self) -> Path:
        return self.home / "c.sock"

    def login(self, user: str, password: str) -> None:
        """By a file: on the command line everybody could read the password."""
        known = base64.b64encode(f"{user}:{password}".encode()).decode()
        folder = self.home / "hosts" / self.registry.address
        folder.mkdir(parents=True, exist_ok=True)
        url = f"https://{self.registry.address}"
        (folder / "hosts.toml").write_text(
            f'server = "{url}"\n[host."{url}"]\nca = "{self.registry.ca}"\n'
            f'[host."{url}".header]\nAuthorization = ["Basic {known}"]\n'
        )

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        return Program.run(self, "-a", str(self.socket), "-n", "matrix", *arguments, stdin=stdin)

    def push(self, image: Layout, reference: str) -> str:
        archive = self.home / "image.tar"
        with tarfile.open(archive, "w") as file:
            for path in sorted(image.folder.rglob("*")):
                file.add(path, str(path.relative_to(image.folder)), recursive=False)
        platforms = ["--all-platforms"] if image.platforms else []
        name = "local.test/image"
        self.run("images", "import", "--no-unpack", *platforms, "--base-name", name, str(archive))
        self._send(f"{name}:v1", reference)
        return image.digest

    def pull(self, reference: str) -> str:
        self.run("content", "fetch", *self._hosts, "--all-platforms", self.at(reference))
        shown = self.run("images", "ls", f"name=={self.at(reference)}")
        return shown.splitlines()[1].split()[2]

    def copy(self, source: str, target: str) -> None:
        """Through its own store."""
        self.pull(source)
        self._send(self.at(source), target)

    def blobs(self) -> set[str]:
        """Digests of what its store holds."""
        return set(self.run("content", "ls", "-q").split())

    @property
    def _hosts(self) -> tuple[str, str]:
        return "--hosts-dir", str(self.home / "hosts")

    def _send(self, local: str, reference: str) -> None:
        self.run("images", "tag", "--force", local, self.at(reference))
        self.run("images", "push", *self._hosts, self.at(reference))

    def _wait(self, process: subprocess.Popen[bytes], log: Path) -> None:
        import time

        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            assert process.poll() is None, log.read_text()[-2000:]
            try:
                self.run("version")
            except Refused:
                time.sleep(0.05)
            else:
                return
        raise AssertionError(log.read_text()[-2000:])

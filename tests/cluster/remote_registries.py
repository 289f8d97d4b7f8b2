"""Other registries on the lab's bridge: what Pods of the cluster reach as they reach registries elsewhere, by TLS."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import bcrypt

from image_registry_lab.addresses import HOST
from tests.app.remote.conftest import Content, fill
from tests.clients.certificates import Certificates
from tests.serve.conftest import free_port, program, wait_for_port

_DISTRIBUTION = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {root}}}}}
http: {{addr: "{host}", tls: {{certificate: {certificate}, key: {key}}}}}
{auth}
"""


@dataclass
class RemoteRegistry:
    """A registry that can be stopped, changed and started again; ``user`` empty is open to everybody.

    ``kind`` is ``distribution`` (CNCF's, which asks for Basic) or ``own`` (ours, which asks for tokens).
    """

    folder: Path
    certificates: Certificates
    kind: str = "distribution"
    user: str = ""
    password: str = field(default="", repr=False)
    host: str = field(default_factory=lambda: f"{HOST}:{free_port()}")
    _process: subprocess.Popen[bytes] | None = None

    @property
    def root(self) -> Path:
        """Where its storage is, laid down as distribution does it."""
        return self.folder / "registry"

    def fill(self) -> Content:
        """New images under the tags of before."""
        return fill(self.root)

    def start(self) -> None:
        """Serve until :meth:`stop`."""
        self.folder.mkdir(exist_ok=True)
        log = self.folder / "log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(self._command(), stdout=output, stderr=output)
        wait_for_port(self.host, self._process, log)

    def stop(self) -> None:
        """From now on nobody is at home."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
            self._process = None

    def _command(self) -> list[str]:
        users = self.folder / "users"
        if self.user:
            hashed = bcrypt.hashpw(self.password.encode(), bcrypt.gensalt(4)).decode()
            users.write_text(f"{self.user}:{hashed}\n", encoding="utf-8")
        certificate, key = str(self.certificates.certificate), str(self.certificates.key)
        if self.kind == "own":
            served = [str(Path(sys.executable).parent / "image-registry"), "serve", "--root", str(self.root)]
            tls = ["--tls-cert", certificate, "--tls-key", key]
            return [*served, "--listen", self.host, *tls, "--auth", f"htpasswd:{users}" if self.user else "none"]
        config = self.folder / "config.yml"
        auth = f"auth: {{htpasswd: {{realm: lab, path: {users}}}}}" if self.user else ""
        text = _DISTRIBUTION.format(root=self.root, host=self.host, certificate=certificate, key=key, auth=auth)
        config.write_text(text, encoding="utf-8")
        return [program("distribution", "run `lab/lab build distribution`"), "serve", str(config)]

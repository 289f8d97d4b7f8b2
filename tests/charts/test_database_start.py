"""The start script of the bundled PostgreSQL, run for real: as its user, process 1 of namespaces of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

USER = "999"
INITDB = shutil.which("initdb") or next((str(p) for p in Path("/usr/lib/postgresql").glob("*/bin/initdb")), None)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make mount, network and process namespaces"),
    pytest.mark.skipif(INITDB is None, reason="needs PostgreSQL (Debian: postgresql)"),
]

# The folders of the Pod, mounted as the kubelet would; everything ends with the namespaces.
POD = """
set -e
ip link set lo up
for name in etc var; do
  mkdir -p "$POD/$name.upper" "$POD/$name.work"
  mount -t overlay overlay -o "lowerdir=/$name,upperdir=$POD/$name.upper,workdir=$POD/$name.work" "/$name"
done
mkdir -p /etc/image-registry/database /etc/image-registry/tls /etc/image-registry/start /var/lib/postgresql/data
mount --bind "$POD/secret" /etc/image-registry/database
mount --bind "$POD/tls" /etc/image-registry/tls
mount --bind "$POD/start" /etc/image-registry/start
mount --bind "$POD/start/passwd" /etc/passwd
mount --bind "$POD/data" /var/lib/postgresql/data
mount -t tmpfs -o mode=1777 none /tmp
mount -t proc proc /proc
mount -t tmpfs tmpfs /dev/shm
exec setpriv --reuid 999 --regid 999 --clear-groups --no-new-privs --bounding-set=-all env -i \
  PATH=/usr/local/bin:/usr/bin:/bin PGDATA=/var/lib/postgresql/data/pgdata /bin/sh /etc/image-registry/start/start.sh
"""


class DatabasePod:
    """One Pod at a time over one volume."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                ["unshare", "--mount", "--net", "--ipc", "--pid", "--fork", "sh", "-c", POD],
                env={"PATH": os.environ["PATH"], "POD": str(self.folder)},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def wait_ready(self) -> None:
        deadline = time.monotonic() + 60
        while self.inside("sh", "/etc/image-registry/start/ready.sh").returncode:
            assert self.process
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.1)

    def _first(self) -> str:
        assert self.process
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return children[0] if children else ""

    def enter(self, *command: str) -> list[str]:
        """The command line that runs a command in the Pod, as the Pod's user; empty before the Pod has a process."""
        first = self._first()
        identity = ["setpriv", "--reuid", USER, "--regid", USER, "--clear-groups"]
        return ["nsenter", "-t", first, "-m", "-n", "-p", *identity, *command] if first else []

    def inside(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        line = self.enter(*command) or ["false"]
        variables = {"PATH": os.environ["PATH"], "HOME": "/tmp", **environment}
        return subprocess.run(line, env=variables, capture_output=True, text=True, check=False)

    def query(self, sql: str, *, password: str, sslmode: str = "verify-full") -> subprocess.CompletedProcess[str]:
        address = (
            f"host=localhost user=registry dbname=images sslmode={sslmode} sslrootcert=/etc/image-registry/tls/tls.crt"
        )
        return self.inside("psql", address, "-Atc", sql, PGPASSWORD=password)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Signal process 1 of the Pod, as the kubelet does, and wait until the Pod is gone."""
        if self.process is None or self.process.poll() is not None:
            return
        os.kill(int(self._first()), how)
        self.process.wait(timeout=30)


@pytest.fixture
def pod(helm, chart, tmp_path) -> Iterator[DatabasePod]:
    tmp_path.chmod(0o755)
    for parent in list(tmp_path.parents)[:2]:
        parent.chmod(0o755)
    for name in ("secret", "tls", "start", "data"):
        (tmp_path / name).mkdir()
    manifests = yaml.safe_load_all(helm.template(chart / "ci" / "default-values.yaml"))
    (start,) = [m["data"] for m in manifests if m and m["metadata"]["name"] == "image-registry-db-start"]
    for name, text in start.items():
        (tmp_path / "start" / name).write_text(text)
    for name, text in {"username": "registry", "database": "images", "password": 'it\'s "odd"\n'}.items():
        (tmp_path / "secret" / name).write_text(text)
    request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", str(tmp_path / "tls" / "tls.key"), "-out", str(tmp_path / "tls" / "tls.crt")]
    subprocess.run(["openssl", *request.split(), *names, *files], check=True, capture_output=True)
    for secret in [*(tmp_path / "secret").iterdir(), *(tmp_path / "tls").iterdir()]:
        os.chown(secret, 0, int(USER))
        secret.chmod(0o440)
    os.chown(tmp_path / "data", int(USER), int(USER))
    made = DatabasePod(tmp_path)
    yield made
    made.stop(signal.SIGKILL)


def test_an_empty_volume_becomes_a_database_that_only_tls_and_the_password_open(pod):
    pod.start()
    pod.wait_ready()
    assert pod.query("SELECT current_user", password='it\'s "odd"').stdout == "registry\n"
    assert "no encryption" in pod.query("SELECT 1", password='it\'s "odd"', sslmode="disable").stderr
    assert "password authentication failed" in pod.query("SELECT 1", password="wrong").stderr
    superuser = "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
    assert pod.query(superuser, password='it\'s "odd"').stdout == "f\n"
    assert "odd" not in pod.log.read_text(), "the password is in no log"


def test_data_outlive_the_pod_and_the_secret_decides_the_password(pod):
    pod.start()
    pod.wait_ready()
    assert pod.query("CREATE TABLE kept AS SELECT 42 AS n", password='it\'s "odd"').returncode == 0
    pod.stop(signal.SIGKILL)
    (pod.folder / "secret" / "password").write_text("changed")
    pod.start()
    pod.wait_ready()
    assert pod.query("SELECT n FROM kept", password="changed").stdout == "42\n"
    assert "password authentication failed" in pod.query("SELECT 1", password='it\'s "odd"').stderr


@pytest.mark.parametrize("text", ["first\nsecond\n", "", "\n"], ids=["two lines", "empty", "empty line"])
def test_a_password_that_cannot_be_set_is_named_and_not_shown(pod, text):
    (pod.folder / "secret" / "password").write_text(text)
    pod.start()
    assert pod.process.wait(timeout=30) == 1
    said = pod.log.read_text()
    assert "the key password of the database's Secret must be one line" in said
    assert "first" not in said
    assert "second" not in said


def test_a_first_start_that_was_killed_is_begun_anew(pod):
    half = pod.folder / "data" / "pgdata.new"
    half.mkdir()
    (half / "PG_VERSION").write_text("15")
    os.chown(half, int(USER), int(USER))
    pod.start()
    pod.wait_ready()
    assert not half.exists()


def test_a_fast_end_does_not_wait_for_clients(pod):
    pod.start()
    pod.wait_ready()
    sleeping = pod.enter("psql", "--host=/tmp", "--username=postgres", "--command=SELECT pg_sleep(60)")
    client = subprocess.Popen(sleeping, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    started = time.monotonic()
    pod.stop()
    assert time.monotonic() - started < 10
    client.wait(timeout=10)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("PG_VERSION", "9", "the data are of PostgreSQL 9 but the image is"),
        ("something", "else", "is not empty but holds no PostgreSQL cluster"),
    ],
)
def test_a_volume_that_does_not_fit_is_left_alone_with_a_sentence(pod, name, content, sentence):
    folder = pod.folder / "data" / "pgdata"
    folder.mkdir()
    (folder / name).write_text(content)
    for path in (folder, folder / name):
        os.chown(path, int(USER), int(USER))
    pod.start()
    assert pod.process.wait(timeout=30) == 1
    assert sentence in pod.log.read_text()
    assert (folder / name).read_text() == content

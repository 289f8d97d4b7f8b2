"""What the product is made of, what it writes down, and what it lets itself be filled with."""

from __future__ import annotations

import ast
import json
import logging
import re
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from image_registry.image_api import deletion
from image_registry.imagestreams.errors import MetadataUnavailable
from image_registry.imagestreams.service import ImageStreams
from image_registry.metadata.database import Database
from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository
from image_registry.server.settings import Settings
from tests.app.distribution_api.conftest import Registry, basic, code
from tests.security import house
from tests.security.conftest import Guarded

ROOT = Path(__file__).resolve().parents[2]

RUNS_WHAT_IT_READS = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "jsonpickle", "joblib", "imp", "code"}


def test_nothing_that_is_read_can_run() -> None:
    """Row 15 (Quay 2026-04, PROJQUAY-11190): the state of a hash is kept by pickle, and whoever writes it runs code."""
    assert {name for _, name in house.imports() if name.partition(".")[0] in RUNS_WHAT_IT_READS} == set()
    called = {
        f"{file}: {name}"
        for file, name, call in house.calls()
        if name in {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "yaml.unsafe_load"}
        or any(keyword.arg == "shell" for keyword in call.keywords)
    }
    assert called == set()
    loaders = {call.args[1] for _, name, call in house.calls() if name == "yaml.load"}
    assert {ast.unparse(loader) for loader in loaders} <= {"_Loader"}
    assert issubclass(deletion._Loader, yaml.SafeLoader)


def test_nothing_that_is_pushed_is_unpacked() -> None:
    """Row 49 (generic): names inside of an archive lead out of the folder it is unpacked to."""
    serving = ("server/", "distribution_api/", "image_api/", "imagestreams/", "storage/", "metadata/", "auth/", "oci/")
    unpacking = {"tarfile", "zipfile", "gzip", "bz2", "lzma", "zlib", "zstandard", "shutil.unpack_archive"}
    found = {f"{file}: {name}" for file, name in house.imports() if file.startswith(serving) and name in unpacking}
    own = {"image_api/answers.py: gzip", "image_api/whole_lists.py: zlib"}  # which pack their own answers
    own |= {"imagestreams/records.py: gzip", "imagestreams/records.py: zlib"}  # which no client writes
    assert found <= own
    unpacked = {file for file, name, _ in house.calls() if "decompress" in name or name.endswith("extractall")}
    assert unpacked <= {"imagestreams/records.py", "kube/release_record.py"}  # what Helm has written of a release


def test_an_archive_with_names_that_lead_elsewhere_is_bytes_like_any_other(registry: Registry, tmp_path: Path) -> None:
    """Row 49 (generic): names inside of an archive lead out of the folder it is unpacked to."""
    import io
    import tarfile

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in ("../../escaped", "/escaped", "a/../../escaped"):
            archive.addfile(tarfile.TarInfo(name))
    digest = registry.upload("demo/app", buffer.getvalue())
    assert registry.client.get(f"/v2/demo/app/blobs/{digest}").data == buffer.getvalue()
    assert not list(tmp_path.rglob("escaped"))


@pytest.mark.slow
def test_no_secret_reaches_the_log(behind_a_socket: Guarded) -> None:
    """Row 26 (Quay PROJQUAY-11619): a password is in a log, a trace or an error."""
    canary = "canary" + secrets.token_hex(16)
    wrong = basic("mary", canary)["Authorization"]
    requests = [
        f"GET /v2/ HTTP/1.1\r\nHost: x\r\nAuthorization: {wrong}\r\nConnection: close\r\n\r\n",
        f"GET /v2/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {canary}\r\nConnection: close\r\n\r\n",
        f"GET /v2/ HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {canary}!!\r\nConnection: close\r\n\r\n",
        f"GET /v2/ HTTP/1.1\r\nHost: x\r\nAuthorization: {canary} {canary}\r\nConnection: close\r\n\r\n",
        f"GET /v2/token?password={canary}&token={canary} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        f"POST /v2/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        f"Connection: close\r\nContent-Length: {len(canary) + 38}\r\n\r\n"
        f"grant_type=password&username=a&password={canary}"[:4096],
        f"GET /v2/ HTTP/1.1\r\nHost: x\r\nCookie: session={canary}\r\nBroken\r\n\r\n",
        f"GET /v2/ HTTP/1.1\r\nHost: x\r\nAuthorization\x00: Basic {canary}\r\n\r\n",
        f"GET /v2/ HTTP/1.1\r\nHost: x\r\nAuthorization\r\n: Basic {canary}\r\n\r\n",
        f"GET /v2/ {canary} HTTP/1.1\r\nHost: x\r\n\r\n",
    ]
    for raw in requests:
        answer = behind_a_socket.send(raw.encode(), patience=3)
        if answer.startswith(b"HTTP/1.1 401"):
            assert canary.encode() not in answer, raw
    ours = behind_a_socket.headers["Authorization"]
    behind_a_socket.send(f"GET /v2/ HTTP/1.1\r\nHost: x\r\nAuthorization: {ours}\r\nConnection: close\r\n\r\n".encode())
    log = behind_a_socket.log.read_text(encoding="utf-8")
    assert '"/v2/"' in log
    for secret in (canary, wrong.partition(" ")[2], behind_a_socket.password, ours.partition(" ")[2]):
        assert secret not in log


def test_credentials_are_shown_by_no_value(caplog: pytest.LogCaptureFixture) -> None:
    """Row 26 (Quay PROJQUAY-11619): an object that holds a secret is formatted into a log."""
    from image_registry.auth.credentials import Basic, Bearer
    from image_registry.auth.identity import Identity
    from image_registry.auth.tokens import RegistryTokens, generate_key
    from image_registry.kube.endpoint import Endpoint

    issued = RegistryTokens([generate_key()]).issue(Identity("ann"), [])
    secret = "canary-secret"
    for value in (
        Basic("ann", secret),
        Bearer(secret),
        Endpoint(server="https://x", source="a test", token=secret, password=secret, key=secret.encode()),
        issued,
    ):
        logging.getLogger("test").warning("%s %r", value, value)
    assert secret not in caplog.text
    assert issued.token not in caplog.text


def test_no_secret_is_built_in() -> None:
    """Row 27 (Harbor CVE-2026-4404): a default password that nobody has to change."""
    values = yaml.safe_load((ROOT / "charts/image-registry/values.yaml").read_text(encoding="utf-8"))

    def walk(value: Any, path: str = "") -> list[str]:
        if isinstance(value, dict):
            return [found for key, inner in value.items() for found in walk(inner, f"{path}.{key}")]
        named = re.search(r"(password|passwd|secret|token|credential|accesskey)$", path.lower())
        return [path] if named and isinstance(value, str) and value else []

    assert walk(values) == []
    for file, tree in house.trees().items():
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Assign)
                and isinstance(node.value, ast.Constant)
                and isinstance(node.value.value, str)
            ):
                names = " ".join(ast.unparse(target).lower() for target in node.targets)
                assert not re.search(r"(^|_)(password|passwd|api_?key)$", names), f"{file}:{node.lineno}"


def test_nobody_gets_in_without_an_account(tmp_path: Path, build: Any) -> None:
    """Row 27 (Harbor CVE-2026-4404): an administrator whose password everybody knows."""
    from image_registry.auth.htpasswd import HtpasswdAuthenticator
    from image_registry.auth.local import AuthenticatedOnly
    from image_registry.auth.tokens import RegistryTokens, generate_key

    users = tmp_path / "users"
    users.write_text("", encoding="utf-8")
    who = HtpasswdAuthenticator(users)
    empty = build(authorizer=AuthenticatedOnly(who.knows), authenticator=who, tokens=RegistryTokens([generate_key()]))
    for user, password in (("admin", "admin"), ("admin", "Harbor12345"), ("admin", ""), ("root", "root"), ("", "")):
        assert empty.client.get("/v2/", headers=basic(user, password)).status_code == 401


def test_the_password_of_the_database_is_never_shown() -> None:
    """Row 37 (Harbor 2026-04): an address with its password is part of what is shown or logged."""
    secret = "canary-password"
    url = f"postgresql+psycopg://registry:{secret}@127.0.0.1:9/registry"
    assert secret not in json.dumps(Settings(database_url=url).redacted())
    streams = ImageStreams(Database(url), internal_hostname="x:5000")
    with pytest.raises(MetadataUnavailable) as failure:
        streams.tags(Repository.parse("demo/app"))
    shown = str(failure.value) + repr(failure.value) + str(failure.value.__cause__)
    assert secret not in shown


def test_a_user_who_was_removed_is_refused_with_the_tokens_of_before(tmp_path: Path, build: Any) -> None:
    """Row 11 (zot GHSA-c9p4-xwr9-rfhx): who was removed stays, because an earlier login is remembered."""
    import bcrypt

    from image_registry.auth.htpasswd import HtpasswdAuthenticator
    from image_registry.auth.local import AuthenticatedOnly
    from image_registry.auth.tokens import RegistryTokens, generate_key

    users = tmp_path / "users"
    hashed = bcrypt.hashpw(b"word", bcrypt.gensalt(4)).decode()
    users.write_text(f"ann:{hashed}\nben:{hashed}\n", encoding="utf-8")
    who = HtpasswdAuthenticator(users)
    registry = build(
        authorizer=AuthenticatedOnly(who.knows), authenticator=who, tokens=RegistryTokens([generate_key()])
    )
    asked = registry.client.get("/v2/token?scope=repository:team/app:pull", headers=basic("ann"))
    token = {"Authorization": f"Bearer {json.loads(asked.data)['token']}"}
    assert registry.client.get("/v2/team/app/tags/list", headers=token).status_code == 404
    users.write_text(f"ben:{hashed}\n", encoding="utf-8")
    assert registry.client.get("/v2/team/app/tags/list", headers=token).status_code == 403
    assert registry.client.get("/v2/team/app/tags/list", headers=basic("ann")).status_code == 401


def test_the_linter_that_looks_for_such_things_is_on() -> None:
    """Row 15 (Quay 2026-04, PROJQUAY-11190): a rule that nobody runs keeps nothing out."""
    done = subprocess.run(
        [Path(sys.executable).with_name("ruff"), "check", "--select", "S301,S302,S307,S602,S605", "--no-cache",
         "--ignore-noqa", str(house.SOURCE)],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_an_unfinished_upload_is_no_blob(registry: Registry) -> None:
    """Row 55 (generic): sessions that are never finished fill the disk, and what they hold can be read."""
    start = registry.client.post("/v2/demo/app/blobs/uploads/").headers["Location"]
    registry.client.patch(start, data=b"half")
    assert code(registry.client.get(f"/v2/demo/app/blobs/{Digest.of(b'half')}")) == "BLOB_UNKNOWN"

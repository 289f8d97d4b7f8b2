"""``ac adm verify-image-signature`` with a real GnuPG."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from image_registry.cli.verify_signature import claims
from image_registry.imagestreams.verified_signatures import ANNOTATION as VERIFIED
from tests.app.cli.served import Ac, Office
from tests.serve.conftest import program

NAME = "registry.example.com/team/app:v1"


class Signer:
    """A key of somebody, made for this test."""

    def __init__(self, home: Path, name: str) -> None:
        home.mkdir(mode=0o700)
        self.home, self.name = home, name
        self.gpg("--quick-generate-key", name, "ed25519", "sign", "never")
        self.public = home / "public.asc"
        self.public.write_bytes(self.gpg("--armor", "--export", name))

    def gpg(self, *arguments: str, data: bytes = b"") -> bytes:
        command = [program("gpg", "apt-get install gpg"), "--homedir", str(self.home), "--batch", "--passphrase", ""]
        done = subprocess.run([*command, *arguments], input=data, capture_output=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    def sign(self, digest: str, name: str = NAME) -> str:
        critical = {
            "type": "atomic container signature",
            "image": {"docker-manifest-digest": digest},
            "identity": {"docker-reference": name},
        }
        payload = json.dumps({"critical": critical, "optional": {}}).encode()
        return base64.b64encode(self.gpg("--local-user", self.name, "--sign", data=payload)).decode()

    def end(self) -> None:
        subprocess.run(["gpgconf", "--homedir", str(self.home), "--kill", "all"], check=False, timeout=20)


@pytest.fixture(scope="module")
def signers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Signer, Signer]]:
    folder = tmp_path_factory.mktemp("gpg")
    made = Signer(folder / "a", "ann"), Signer(folder / "b", "bob")
    yield made
    for signer in made:
        signer.end()


def keep(office: Office, digest: str, content: str, name: str = "one") -> None:
    body = {
        "apiVersion": "image.alauda.io/v1",
        "kind": "ImageSignature",
        "metadata": {"name": f"{digest}@{name}"},
        "type": "AtomicImageV1",
        "content": content,
    }
    office.api.write("POST", "imagesignatures", body, 201)


@pytest.fixture
def verify(ac: Ac, signers: tuple[Signer, Signer]) -> tuple[str, ...]:
    assert ac.home
    return ("adm", "verify-image-signature", f"--public-key={signers[0].public}", f"--expected-identity={NAME}")


PROGRAMS = {"PATH": "/usr/bin:/bin"}


def test_a_good_signature_is_told_and_can_be_noted(
    ac: Ac, office: Office, signers: tuple[Signer, Signer], verify: tuple[str, ...]
) -> None:
    digest = office.api.push("team/app", "one", "v1")
    keep(office, digest, signers[0].sign(digest))
    lines = ac.good(*verify, digest, **PROGRAMS).splitlines()
    assert lines[1].split()[:2] == ["one", "good"]
    assert lines[1].split()[3] == NAME
    ac.good(*verify, digest, "--save", **PROGRAMS)
    noted = json.loads(office.api.get(f"images/{digest}")["metadata"]["annotations"][VERIFIED])
    assert noted["one"]["identity"] == NAME
    (shown,) = office.api.get(f"images/{digest}")["signatures"]
    assert {item["type"]: item["status"] for item in shown["conditions"]} == {"Trusted": "True", "ForImage": "True"}
    assert {item["lastProbeTime"] for item in shown["conditions"]} == {noted["one"]["time"]}
    assert shown["imageIdentity"] == NAME
    assert shown["issuedTo"]["publicKeyID"] == noted["one"]["key"]
    ac.good("adm", "verify-image-signature", digest, "--remove-all", "--save")
    after = office.api.get(f"images/{digest}")
    assert VERIFIED not in after["metadata"]["annotations"]
    assert "conditions" not in after["signatures"][0]


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "[" * 5000, '{"one": 1}', '{"one": {}}', '{"one": {"identity": "a", "key": "b", "time": "now"}}',
     '{"other": {"identity": "a", "key": "b", "time": "2030-01-31T12:00:00Z"}}'],
)  # fmt: skip
def test_a_note_that_says_nothing_sensible_is_no_condition(office: Office, text: str) -> None:
    digest = office.api.push("team/app", "one", "v1")
    keep(office, digest, base64.b64encode(b"anything").decode())
    document = office.api.get(f"images/{digest}")
    document["metadata"]["annotations"][VERIFIED] = text
    office.api.write("PUT", f"images/{digest}", document)
    (shown,) = office.api.get(f"images/{digest}")["signatures"]
    assert not {"conditions", "imageIdentity", "issuedTo"} & shown.keys()


def test_everything_that_is_not_good_is_said(
    ac: Ac, office: Office, signers: tuple[Signer, Signer], verify: tuple[str, ...]
) -> None:
    digest = office.api.push("team/app", "one", "v1")
    other = office.api.push("team/app", "two", "v2")
    keep(office, digest, signers[1].sign(digest), "stranger")
    keep(office, digest, signers[0].sign(other), "elsewhere")
    keep(office, digest, signers[0].sign(digest, "other/name:v1"), "renamed")
    keep(office, digest, base64.b64encode(b"nothing").decode(), "rubbish")
    done = ac(*verify, digest, "-o", "json", **PROGRAMS)
    assert done.exit_code == 1
    problems = {item["name"]: item["problem"] for item in json.loads(done.stdout)["items"]}
    assert problems["stranger"] == "it is not by the key of --public-key"
    assert problems["elsewhere"] == f"it is about {other}"
    assert problems["renamed"] == f"it is for another name than {NAME}"
    assert problems["rubbish"]
    assert f"no signature of {digest} is good" in done.stderr


def test_what_is_missing_is_said(ac: Ac, office: Office, verify: tuple[str, ...]) -> None:
    digest = office.api.push("team/app", "one", "v1")
    assert "has no signature" in ac.bad(5, *verify, digest)
    assert "are needed" in ac.bad(2, "adm", "verify-image-signature", digest)
    assert "is not a digest" in ac.bad(2, *verify, "team/app:v1")
    assert "not found" in ac.bad(5, *verify, f"sha256:{'0' * 64}")
    keep(office, digest, base64.b64encode(b"nothing").decode())
    assert "gpgv is needed" in ac.bad(2, *verify, digest)


@pytest.mark.parametrize("payload", [b"", b"[]", b'{"critical": 1}', b'{"critical": {"type": "x"}}'])
def test_what_is_no_claim_is_not_believed(payload: bytes) -> None:
    assert claims(payload, "sha256:0", NAME)[1] == "what is signed is no claim about an image"

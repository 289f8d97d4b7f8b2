"""Readers are sent to CloudFront by an address that its public key believes, for one blob and for a while."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from image_registry.oci.digest import Digest
from image_registry.server.storage_settings import read_storage
from image_registry.storage import layout
from image_registry.storage.choice import S3, open_store
from image_registry.storage.cloudfront import InvalidKey, load

BLOB = Digest.parse("sha256:" + "ab" * 32)
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM, PLAIN = serialization.Encoding.PEM, serialization.NoEncryption()
Form = serialization.PrivateFormat


def written(folder: Path, form: Form = Form.PKCS8) -> Path:
    file = folder / "private.pem"
    file.write_bytes(KEY.private_bytes(PEM, form, PLAIN))
    return file


def given(file: Path, **more: str) -> S3:
    said = {
        "REGISTRY_STORAGE": "s3",
        "REGISTRY_STORAGE_S3_BUCKET": "images",
        "REGISTRY_STORAGE_S3_ROOTDIRECTORY": "acp/a registry",
        "REGISTRY_STORAGE_S3_CLOUDFRONTBASEURL": "https://d111111abcdef8.cloudfront.net/images/",
        "REGISTRY_STORAGE_S3_CLOUDFRONTKEYPAIRID": "K2JCJMDEHXQW5F",
        "REGISTRY_STORAGE_S3_CLOUDFRONTPRIVATEKEY": str(file),
    }
    found = read_storage({**said, **more})
    assert isinstance(found, S3)
    return found


def believed(address: str) -> tuple[str, int]:
    """What CloudFront does: the resource and the end, or :class:`InvalidSignature`."""
    resource, _, query = address.partition("?")
    said = {name: values[0] for name, values in parse_qs(query, strict_parsing=True).items()}
    assert set(said) == {"Expires", "Signature", "Key-Pair-Id"}
    ends = int(said["Expires"])
    statement = {"Resource": resource, "Condition": {"DateLessThan": {"AWS:EpochTime": ends}}}
    policy = json.dumps({"Statement": [statement]}, separators=(",", ":")).encode()
    signature = base64.b64decode(said["Signature"].translate(str.maketrans("-_~", "+=/")), validate=True)
    KEY.public_key().verify(signature, policy, padding.PKCS1v15(), hashes.SHA1())  # noqa: S303
    return resource, ends


@pytest.mark.parametrize("form", [Form.PKCS8, Form.TraditionalOpenSSL], ids=["PKCS 8", "PKCS 1"])
def test_the_public_key_believes_the_address_of_a_blob(tmp_path: Path, form: Form) -> None:
    store = open_store(given(written(tmp_path, form)))
    address = store.location(BLOB)
    assert address is not None
    resource, ends = believed(address)
    key = layout.blob_data(BLOB)
    assert resource == f"https://d111111abcdef8.cloudfront.net/images/acp/a%20registry/{key}"
    assert 1190 < ends - time.time() <= 1200
    assert parse_qs(urlsplit(address).query)["Key-Pair-Id"] == ["K2JCJMDEHXQW5F"]
    other = address.replace("ab" * 32, "cd" * 32)
    with pytest.raises(InvalidSignature):
        believed(other)
    with pytest.raises(InvalidSignature):
        believed(address.replace(f"Expires={ends}", f"Expires={ends + 60}"))


def test_how_long_is_said(tmp_path: Path) -> None:
    store = open_store(given(written(tmp_path), REGISTRY_STORAGE_S3_CLOUDFRONTDURATION="1h"))
    _, ends = believed(str(store.location(BLOB)))
    assert 3590 < ends - time.time() <= 3600


def test_whoever_wants_no_redirects_gets_none(tmp_path: Path) -> None:
    assert open_store(given(written(tmp_path), REGISTRY_STORAGE_REDIRECT_DISABLE="true")).location(BLOB) is None


def test_a_key_that_cannot_sign_for_cloudfront_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "private.pem"
    file.write_bytes(ec.generate_private_key(ec.SECP256R1()).private_bytes(PEM, Form.PKCS8, PLAIN))
    with pytest.raises(InvalidKey, match="is not an RSA key"):
        load(file)
    file.write_bytes(KEY.private_bytes(PEM, Form.PKCS8, serialization.BestAvailableEncryption(b"generated")))
    with pytest.raises(InvalidKey, match="without a password"):
        load(file)

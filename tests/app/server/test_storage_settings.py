"""The choice of storage: every mistake is one sentence that names the variable and the cure."""

from __future__ import annotations

from pathlib import Path

import pytest

from image_registry.proxies import Proxies, Proxy
from image_registry.server.refusals import InvalidSettings
from image_registry.server.settings import Settings
from image_registry.server.storage_settings import read_storage
from image_registry.storage.choice import GCS, S3, Azure, Filesystem, Swift

S3_BUCKET = {"REGISTRY_STORAGE": "s3", "REGISTRY_STORAGE_S3_BUCKET": "images"}


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """The folder of credentials as Kubernetes mounts a Secret, with what an earlier choice left in it."""
    folder = tmp_path / "credentials"
    folder.mkdir()
    for name, text in {
        "S3_ACCESSKEY": "who",
        "S3_SECRETKEY": "hidden-word\n",
        "SWIFT_USERNAME": "user",
        "SWIFT_PASSWORD": "word",
        "AZURE_ACCOUNTKEY": "key",
        "GCS_KEYFILE": "{}",
    }.items():
        (folder / f"REGISTRY_STORAGE_{name}").write_text(text, encoding="utf-8")
    return folder


def test_nothing_said_is_a_folder() -> None:
    assert read_storage({}) == Filesystem(rootdirectory=Path("/registry"))


def test_every_kind_is_read_with_its_credentials_from_files(secret: Path) -> None:
    credentials = {"REGISTRY_STORAGE_CREDENTIALS": str(secret)}
    s3 = read_storage(
        {
            **S3_BUCKET,
            **credentials,
            "REGISTRY_STORAGE_S3_REGIONENDPOINT": "https://store.example",
            "REGISTRY_STORAGE_S3_FORCEPATHSTYLE": "false",
            "REGISTRY_STORAGE_S3_CHUNKSIZE": "5242880",
            "REGISTRY_STORAGE_REDIRECT_DISABLE": "true",
        }
    )
    assert isinstance(s3, S3)
    assert (s3.accesskey, s3.secretkey) == ("who", "hidden-word")
    assert (s3.forcepathstyle, s3.chunksize, s3.redirect) == (False, 5 << 20, False)
    gcs = read_storage({"REGISTRY_STORAGE": "gcs", "REGISTRY_STORAGE_GCS_BUCKET": "images", **credentials})
    assert gcs == GCS(bucket="images", keyfile="{}")
    azure = {"REGISTRY_STORAGE_AZURE_ACCOUNTNAME": "account", "REGISTRY_STORAGE_AZURE_CONTAINER": "images"}
    found = read_storage({"REGISTRY_STORAGE": "azure", **azure, **credentials})
    assert found == Azure(accountname="account", container="images", accountkey="key")
    swift = {"REGISTRY_STORAGE_SWIFT_AUTHURL": "https://keys/v3", "REGISTRY_STORAGE_SWIFT_CONTAINER": "images"}
    assert isinstance(read_storage({"REGISTRY_STORAGE": "swift", **swift, **credentials}), Swift)


@pytest.mark.parametrize("kind", ["s3", "gcs"])
def test_an_object_store_is_asked_through_the_proxies_of_the_registry(kind: str) -> None:
    given = {"REGISTRY_STORAGE": kind, f"REGISTRY_STORAGE_{kind.upper()}_BUCKET": "images"}
    proxy = {"REGISTRY_PROXY_HTTPS": "http://user:hidden-word@proxy.test:3128", "REGISTRY_PROXY_NO_PROXY": "site.test"}
    storage = read_storage({**given, **proxy})
    assert isinstance(storage, S3 | GCS)
    assert storage.proxies == Proxies(None, Proxy.parse(proxy["REGISTRY_PROXY_HTTPS"]), ("site.test",))
    shown = Settings(database_url="sqlite://", storage=storage).redacted()
    assert "hidden-word" not in f"{storage!r} {storage} {shown}"


def test_a_secret_is_neither_shown_nor_logged(secret: Path) -> None:
    storage = read_storage({**S3_BUCKET, "REGISTRY_STORAGE_CREDENTIALS": str(secret)})
    shown = Settings(database_url="sqlite://", storage=storage).redacted()
    assert "hidden-word" not in f"{storage!r} {storage} {shown}"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"REGISTRY_STORAGE": "ftp"}, r"REGISTRY_STORAGE is 'ftp'; use one of filesystem, s3, gcs, azure, swift"),
        ({"REGISTRY_STORAGE": "s3"}, "needs REGISTRY_STORAGE_S3_BUCKET: set it"),
        ({"REGISTRY_STORAGE_S3_BUCKET": "images"}, "exactly one storage type .* set REGISTRY_STORAGE to s3"),
        (
            {**S3_BUCKET, "REGISTRY_STORAGE_GCS_BUCKET": "b"},
            "exactly one storage type .* unset REGISTRY_STORAGE_GCS_BUCK",
        ),
        ({**S3_BUCKET, "REGISTRY_STORAGE_S3_BUCKETS": "b"}, "did you mean REGISTRY_STORAGE_S3_BUCKET?"),
        ({**S3_BUCKET, "REGISTRY_STORAGE_S3_SECRETKEY": "x"}, "in the environment.*REGISTRY_STORAGE_CREDENTIALS"),
        ({**S3_BUCKET, "REGISTRY_STORAGE_S3_ENCRYPT": "yes"}, "REGISTRY_STORAGE_S3_ENCRYPT is 'yes'; use true, false"),
        ({**S3_BUCKET, "REGISTRY_STORAGE_S3_CHUNKSIZE": "10M"}, "CHUNKSIZE is '10M'; use a whole number"),
        ({**S3_BUCKET, "REGISTRY_STORAGE_S3_CHUNKSIZE": "10"}, "use 5242880 to 5368709120 bytes"),
        ({**S3_BUCKET, "REGISTRY_STORAGE_S3_KEYID": "k"}, "REGISTRY_STORAGE_S3_ENCRYPT is not true"),
        ({**S3_BUCKET, "REGISTRY_STORAGE_S3_REGIONENDPOINT": "minio:9000"}, r"write it as https://HOST\[:PORT\]"),
        ({**S3_BUCKET, "REGISTRY_STORAGE_CREDENTIALS": "/no/such"}, "/no/such, which is no folder"),
        (
            {
                **S3_BUCKET,
                "REGISTRY_STORAGE_S3_SKIPVERIFY": "true",
                "REGISTRY_STORAGE_S3_TRUSTEDCA": "/ca.crt",
            },
            "unset one of them",
        ),
        (
            {
                "REGISTRY_STORAGE": "swift",
                "REGISTRY_STORAGE_SWIFT_AUTHURL": "http://a",
                "REGISTRY_STORAGE_SWIFT_CONTAINER": "c",
            },
            "REGISTRY_STORAGE_SWIFT_USERNAME and REGISTRY_STORAGE_SWIFT_PASSWORD",
        ),
    ],
)
def test_a_contradiction_is_refused_with_the_variable_and_the_cure(given: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidSettings, match=said) as refused:
        read_storage(given)
    assert "\n" not in str(refused.value)


CLOUDFRONT = {
    **S3_BUCKET,
    "REGISTRY_STORAGE_S3_CLOUDFRONTBASEURL": "https://d1.cloudfront.net",
    "REGISTRY_STORAGE_S3_CLOUDFRONTKEYPAIRID": "K1",
}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "needs REGISTRY_STORAGE_S3_CLOUDFRONTPRIVATEKEY too"),
        ({"PRIVATEKEY": "/no/such"}, "PRIVATEKEY is /no/such, which cannot be read: No such file"),
        ({"PRIVATEKEY": "key"}, "which is no private key in PEM without a password: put the private key"),
        ({"PRIVATEKEY": "key", "BASEURL": "d1.cloudfront.net"}, r"write it as https://HOST\[/PATH\]"),
        ({"PRIVATEKEY": "key", "DURATION": "soon"}, "DURATION is 'soon'; use a duration such as 20m or 1h"),
        ({"PRIVATEKEY": "key", "DURATION": "0s"}, "DURATION is '0s'; use a duration such as 20m or 1h"),
    ],
)
def test_a_distribution_that_nobody_can_sign_for_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("key").write_text("no key", encoding="ascii")
    more = {f"REGISTRY_STORAGE_S3_CLOUDFRONT{name}": value for name, value in given.items()}
    with pytest.raises(InvalidSettings, match=said) as refused:
        read_storage({**CLOUDFRONT, **more})
    assert "no key" not in str(refused.value)


def test_one_key_of_two_is_refused(secret: Path) -> None:
    (secret / "REGISTRY_STORAGE_S3_SECRETKEY").unlink()
    with pytest.raises(InvalidSettings, match="belong together"):
        read_storage({**S3_BUCKET, "REGISTRY_STORAGE_CREDENTIALS": str(secret)})

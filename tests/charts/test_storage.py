"""What the chart says of a storage is what the data plane reads: the rendered variables, through its own settings."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from image_registry.server.storage_settings import read_storage
from image_registry.storage.choice import CHUNK, GCS, S3, Azure, Filesystem, Swift

SECRET = "image-registry-private-configuration-user"


@pytest.fixture
def read(render, tmp_path):
    """The storage of the data plane, with the Secret mounted, and its Pod."""
    for name in ("S3_ACCESSKEY", "S3_SECRETKEY", "AZURE_ACCOUNTKEY", "SWIFT_USERNAME", "SWIFT_PASSWORD", "GCS_KEYFILE"):
        (tmp_path / f"REGISTRY_STORAGE_{name}").write_text("generated", encoding="utf-8")

    def reading(mode="default", **storage):
        values = {"config": {"storage": {"pvc": None, **storage}}} if storage else None
        release = render(mode, values=values)
        pod = release.named("Deployment", "image-registry")["spec"]["template"]["spec"]
        variables = {entry["name"]: entry["value"] for entry in pod["containers"][0]["env"] if "value" in entry}
        mounts = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
        if "REGISTRY_STORAGE_CREDENTIALS" in variables:
            assert variables["REGISTRY_STORAGE_CREDENTIALS"] == mounts["storage-credentials"]
            variables["REGISTRY_STORAGE_CREDENTIALS"] = str(tmp_path)
        if key := variables.get("REGISTRY_STORAGE_S3_CLOUDFRONTPRIVATEKEY"):
            folder, _, name = key.rpartition("/")
            assert folder == mounts["cloudfront"]
            pair = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            form = serialization.PrivateFormat.PKCS8
            written = pair.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
            (tmp_path / name).write_bytes(written)
            variables["REGISTRY_STORAGE_S3_CLOUDFRONTPRIVATEKEY"] = str(tmp_path / name)
        return read_storage(variables), pod

    return reading


def test_a_claim_and_a_folder_of_the_pod_are_told_apart(read):
    assert read()[0] == Filesystem()
    assert read("emptydir")[0] == Filesystem(lasting=False)


def test_every_field_of_s3_arrives(read):
    found, pod = read("s3")
    assert found == S3(
        bucket="images",
        region="eu-central-1",
        regionendpoint="https://s3.store.example.com",
        forcepathstyle=False,
        trustedca=found.trustedca,
        encrypt=True,
        keyid="alias/images",
        chunksize=16 << 20,
        rootdirectory="acp/registry",
        accesskey="generated",
        secretkey="generated",
    )
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounts = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    assert str(found.trustedca) == f"{mounts['storage-ca']}/ca-bundle.crt"
    assert volumes["storage-ca"]["configMap"]["name"] == "store-ca"
    assert volumes["storage-credentials"]["secret"]["secretName"] == SECRET
    assert "storage" not in volumes


def test_a_distribution_of_cloudfront_arrives_with_its_key_alone(read):
    front = {
        "baseURL": "https://d1.cloudfront.net",
        "keypairID": "K1",
        "privateKey": {"name": "pair", "key": "private.pem"},
    }
    found, pod = read(s3={"bucket": "images", "cloudFront": front})
    assert (found.cloudfrontbaseurl, found.cloudfrontkeypairid, found.cloudfrontduration) == (
        "https://d1.cloudfront.net",
        "K1",
        "20m",
    )
    (volume,) = [volume for volume in pod["volumes"] if volume["name"] == "cloudfront"]
    assert volume["secret"] == {
        "secretName": "pair",
        "defaultMode": 0o440,
        "items": [{"key": "private.pem", "path": "private-key.pem"}],
    }
    assert read(s3={"bucket": "images", "cloudFront": {**front, "duration": "1h"}})[0].cloudfrontduration == "1h"


def test_a_distribution_without_its_key_is_refused(refusal):
    front = {"baseURL": "https://d1.cloudfront.net", "keypairID": "K1"}
    said = refusal(config={"storage": {"pvc": None, "s3": {"bucket": "images", "cloudFront": front}}})
    assert "privateKey" in said


def test_the_other_stores_arrive(read):
    assert read("gcs")[0] == GCS(bucket="images", keyfile="generated")
    azure = Azure(
        accountname="images",
        container="registry",
        realm="core.usgovcloudapi.net",
        accountkey="generated",
        redirect=False,
    )
    assert read("azure")[0] == azure
    swift, _ = read("swift")
    assert isinstance(swift, Swift)
    assert (swift.tenant, swift.domain, swift.region) == ("registry", "Default", "one")


def test_stores_of_ibm_and_alibaba_are_reached_by_their_s3_interfaces(read):
    ibm, _ = read(ibmcos={"bucket": "images", "location": "eu-de"})
    assert isinstance(ibm, S3)
    assert ibm.regionendpoint == "https://s3.eu-de.cloud-object-storage.appdomain.cloud"
    oss, _ = read(oss={"bucket": "images", "region": "cn-beijing"})
    assert isinstance(oss, S3)
    assert (oss.regionendpoint, oss.forcepathstyle) == ("https://oss-cn-beijing-internal.aliyuncs.com", False)
    public = {"endpointAccessibility": "Public", "encryption": {"method": "KMS", "kms": {"keyID": "k"}}}
    oss, _ = read(oss={"bucket": "images", "region": "cn-beijing", **public})
    assert (oss.regionendpoint, oss.encrypt, oss.keyid) == ("https://oss-cn-beijing.aliyuncs.com", True, "k")


def test_what_is_not_said_has_the_default_of_the_server(read):
    found, _ = read(s3={"bucket": "images"})
    assert found == S3(bucket="images", accesskey="generated", secretkey="generated")
    assert found.chunksize == CHUNK


@pytest.mark.parametrize("mode", ["s3", "gcs", "azure", "swift"])
def test_credentials_are_in_no_variable_and_only_in_the_data_plane(render, mode):
    release = render(mode)
    for owner, pod in release.pods().items():
        volumes = [volume for volume in pod["spec"]["volumes"] if volume.get("secret", {}).get("secretName") == SECRET]
        assert len(volumes) == (1 if owner == "Deployment/image-registry" else 0), owner
        for container in pod["spec"]["containers"]:
            for entry in container.get("env", []):
                assert entry.get("valueFrom", {}).get("secretKeyRef", {}).get("name") != SECRET


def test_a_store_that_is_no_volume_takes_any_number_of_pods(render):
    release = render("s3")
    assert release.named("Deployment", "image-registry")["spec"]["replicas"] == 3
    assert "image-registry-storage" not in release.names("PersistentVolumeClaim")

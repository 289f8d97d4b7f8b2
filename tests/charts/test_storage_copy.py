"""The Job that copies a storage reaches it as the data plane does: its variables are those that the chart renders."""

from __future__ import annotations

import pytest

from image_registry.relocating import cluster_job, settings
from image_registry.relocating.cluster_job import Order

FOLDER, CA = "/etc/image-registry/storage", "/etc/image-registry/storage-ca/ca-bundle.crt"
STORES = {
    "s3": {
        "bucket": "images",
        "region": "eu-central-1",
        "regionEndpoint": "https://s3.store.example.com",
        "virtualHostedStyle": True,
        "trustedCA": {"name": "store-ca"},
        "encrypt": True,
        "keyID": "alias/images",
        "chunkSizeMiB": 16,
        "rootDirectory": "acp/registry",
    },
    "gcs": {"bucket": "images", "keyID": "key"},
    "azure": {"accountName": "images", "container": "registry", "cloudName": "AzureChinaCloud"},
    "swift": {
        "authURL": "https://keystone.example.com/v3",
        "authVersion": "3",
        "container": "images",
        "tenant": "registry",
        "domain": "Default",
        "regionName": "one",
        "trustedCA": {"name": "store-ca"},
    },
    "ibmcos": {"bucket": "images", "location": "eu-de"},
    "oss": {"bucket": "images", "region": "cn-beijing", "encryption": {"method": "KMS", "kms": {"keyID": "key"}}},
}
OF_READERS = "REGISTRY_STORAGE_REDIRECT_DISABLE"


def variables(release):
    pod = release.named("Deployment", "image-registry")["spec"]["template"]["spec"]
    return {e["name"]: e["value"] for e in pod["containers"][0]["env"] if e["name"].startswith("REGISTRY_STORAGE")}


@pytest.mark.parametrize("kind", STORES)
def test_a_target_is_described_as_the_chart_would(render, kind):
    store = STORES[kind]
    release = render("default", values={"config": {"storage": {"pvc": None, kind: store}}})
    ca = CA if "trustedCA" in store else ""
    rendered = {name: value for name, value in variables(release).items() if name != OF_READERS}
    assert settings.variables({kind: store}, credentials=FOLDER, ca=ca) == rendered


def test_the_job_is_a_pod_of_the_registry_that_cannot_write_to_the_source(render):
    proxies = {"config": {"proxy": {"https": "http://proxy.example.com:3128"}}}
    deployment = render("default", values=proxies).named("Deployment", "image-registry")
    credentials = {"REGISTRY_STORAGE_S3_SECRETKEY": "confidential"}
    order = Order(storage={"s3": STORES["s3"]}, credentials=credentials, ca="PEM", name="claim a", confirm=True)
    made = cluster_job.job(order, deployment, source_on_one_node=True)
    pod, registry = made["spec"]["template"]["spec"], deployment["spec"]["template"]["spec"]
    mounts = {mount["name"]: mount for mount in pod["containers"][0]["volumeMounts"]}
    assert mounts["storage"] == {"name": "storage", "mountPath": "/registry", "readOnly": True}
    assert pod["securityContext"] == registry["securityContext"]
    assert pod["containers"][0]["image"] == registry["containers"][0]["image"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["serviceAccountName"] == registry["serviceAccountName"]
    told = {entry["name"] for entry in pod["containers"][0]["env"]}
    assert told == {"REGISTRY_STORAGE", "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", "REGISTRY_PROXY_HTTPS"}
    (term,) = pod["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert term["labelSelector"] == deployment["spec"]["selector"]
    selector = deployment["spec"]["selector"]["matchLabels"]
    labels = made["spec"]["template"]["metadata"]["labels"]
    assert any(labels.get(key) != value for key, value in selector.items()), "no Service sends clients to it"
    assert "confidential" not in str(made) + str(order)
    assert cluster_job.secret(order, "x")["stringData"]["REGISTRY_STORAGE_S3_SECRETKEY"] == "confidential"


def test_the_job_needs_no_key_that_is_for_readers(render):
    front = {"baseURL": "https://a.example.com", "keypairID": "K", "privateKey": {"name": "key", "key": "private.pem"}}
    store = {**STORES["s3"], "cloudFront": front}
    deployment = render("default", values={"config": {"storage": {"pvc": None, "s3": store}}}).named(
        "Deployment", "image-registry"
    )
    made = cluster_job.job(Order(storage={"pvc": {"claim": "new"}}, name="a"), deployment, source_on_one_node=False)
    told = {entry["name"] for entry in made["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert "REGISTRY_STORAGE_S3_BUCKET" in told
    assert not any("CLOUDFRONT" in name for name in told)


@pytest.mark.parametrize("storage", [{}, {"pvc": {}, "s3": {"bucket": "x"}}, {"emptyDir": {}}])
def test_a_target_that_cannot_be_one_is_refused(storage):
    with pytest.raises(settings.NoStorage):
        settings.chosen(storage)

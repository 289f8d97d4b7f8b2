"""Config as a real kube-apiserver takes it: defaults are filled in, contradictions end in one sentence."""

from __future__ import annotations

from typing import Any

import pytest

from image_registry.kube.errors import KubeError
from tests.operator.conftest import CRD, ApiServer

PVC = {"pvc": {}}
RWX = {"pvc": {"accessMode": "ReadWriteMany"}}
S3 = {"s3": {"bucket": "images"}}
STRICT = {"dryRun": "All", "fieldValidation": "Strict"}


def config(name: str = "cluster", /, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "imageregistry.operator.alauda.io/v1",
        "kind": "Config",
        "metadata": {"name": name},
        "spec": spec,
    }


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"managementState": "Removed"},
        {"managementState": "Managed", "storage": PVC},
        {"managementState": "Managed", "storage": {"emptyDir": {}, "pvc": None}},
        {"replicas": 3, "rolloutStrategy": "RollingUpdate", "storage": RWX},
        {"replicas": 2, "storage": S3},
        {"storage": {"gcs": {"bucket": "images"}}},
        {"storage": {"azure": {"accountName": "account", "container": "images"}}},
        {"storage": {"swift": {"authURL": "https://keys.example.com", "container": "images", "authVersion": "3"}}},
        {"storage": {"ibmcos": {"bucket": "images", "location": "eu-de"}}},
        {"storage": {"oss": {"bucket": "images", "region": "cn-1", "encryption": {"method": "AES256"}}}},
        {"metadata": {"postgresql": {"secretName": "db"}}},
        {"metadata": {"postgresql": {"managed": {"emptyDir": {}}}}},
        {"resources": {"requests": {"cpu": 1, "memory": "1Gi"}}},
        {"tolerations": [{"operator": "Exists"}], "affinity": {"nodeAffinity": {}}, "nodeSelector": {"a": "b"}},
        {"defaultRoute": True, "routeDefaults": {"domain": "apps.example.com"}},
        {"routes": [{"name": "a", "hostname": "a.example.com"}, {"name": "b", "hostname": "b.example.com"}]},
        {"imports": {"mirrors": [{"source": "docker.io", "mirrors": ["m.example.com"], "pull": "digest-only"}]}},
        {"routeDefaults": {"gateway": {"name": "edge", "namespace": "gateways", "sectionName": "https"}}},
        {"certificates": {"issuerRef": {"name": "internal", "kind": "ClusterIssuer"}}},
        {"additionalTrustedCA": {"name": "further"}},
        {"requests": {"read": {"maxRunning": 10, "maxWaitInQueue": "1m30s"}}},
    ],
    ids=str,
)
def test_what_the_documentation_allows_is_taken(apiserver: ApiServer, configs: str, spec: dict[str, Any]) -> None:
    apiserver.client.create(configs, config(**spec), query=STRICT)


@pytest.mark.parity(16)
@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ({"managementState": "Managed"}, "a Managed registry needs a storage: set spec.storage.pvc"),
        ({"managementState": "managed"}, 'Unsupported value: "managed"'),
        ({"storage": {**PVC, **S3}}, "exactly one storage type can be configured"),
        ({"storage": {"emptyDir": {}, "gcs": {"bucket": "images"}}}, "exactly one storage type can be configured"),
        ({"replicas": 2, "storage": PVC}, "set spec.replicas to 1, or use a StorageClass with"),
        ({"replicas": 2, "storage": {"pvc": {"accessMode": "ReadWriteOncePod"}}}, "set spec.replicas to 1"),
        ({"replicas": 2, "storage": {"emptyDir": {}}}, "spec.storage.emptyDir belongs to one Pod"),
        ({"rolloutStrategy": "RollingUpdate", "storage": PVC}, "the old Pod holds the storage"),
        ({"rolloutStrategy": "RollingUpdate", "storage": {"emptyDir": {}}}, "the old Pod holds the storage"),
        ({"rolloutStrategy": "Rolling"}, 'Unsupported value: "Rolling"'),
        ({"replicas": -1}, "should be greater than or equal to 0"),
        ({"replica": 1}, 'unknown field "spec.replica"'),
        ({"storage": {"s4": {}}}, 'unknown field "spec.storage.s4"'),
        ({"storage": {"s3": {"region": "here"}}}, "spec.storage.s3.bucket: Required value"),
        ({"storage": {"s3": {"bucket": "images", "regionEndpoint": "s3.example"}}}, "regionEndpoint"),
        ({"storage": {"s3": {"bucket": "images", "keyID": "k"}}}, "keyID names a key but encrypt is not true"),
        (
            {"storage": {"s3": {"bucket": "images", "skipVerify": True, "trustedCA": {"name": "ca"}}}},
            "skipVerify makes trustedCA useless",
        ),
        (
            {"storage": {"oss": {"bucket": "images", "region": "r", "encryption": {"method": "KMS"}}}},
            "encryption.method is KMS but no key is named",
        ),
        (
            {"metadata": {"postgresql": {"managed": {}, "secretName": "db"}}},
            "exactly one of managed and secretName can be set",
        ),
        ({"defaultRoute": True}, "set spec.routeDefaults.domain to the domain of the cluster's Ingress"),
        (
            {
                "defaultRoute": True,
                "routeDefaults": {"domain": "example.com"},
                "routes": [{"name": "default-route", "hostname": "a.example.com"}],
            },
            "default-route, which is taken while spec.defaultRoute is true",
        ),
        (
            {"routes": [{"name": "a", "hostname": "a.example.com"}, {"name": "a", "hostname": "b.example.com"}]},
            "spec.routes[1]: Duplicate value",
        ),
        (
            {"routes": [{"name": "a", "hostname": "a.example.com"}, {"name": "b", "hostname": "a.example.com"}]},
            "spec.routes has a host twice",
        ),
        ({"routes": [{"name": "a", "hostname": "https://a.example.com"}]}, "spec.routes[0].hostname"),
        (
            {"routes": [{"name": "a", "hostname": "a.example.com", "gateway": {"name": "Edge Gate"}}]},
            "spec.routes[0].gateway.name",
        ),
        ({"certificates": {"issuerRef": {"name": "ca", "kind": ""}}}, "spec.certificates.issuerRef.kind"),
        ({"additionalTrustedCA": {"name": "further CAs"}}, "spec.additionalTrustedCA.name"),
        ({"routeDefaults": {"domain": "-"}}, "spec.routeDefaults.domain"),
        ({"requests": {"read": {"maxWaitInQueue": "ten seconds"}}}, "spec.requests.read.maxWaitInQueue"),
        ({"resources": {"requests": {"cpu": "a lot"}}}, "spec.resources.requests.cpu"),
        ({"imports": {"internalNetworks": ["the office"]}}, "spec.imports.internalNetworks[0]"),
    ],
    ids=str,
)
def test_a_contradiction_is_refused_with_its_cure(
    apiserver: ApiServer, configs: str, spec: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(KubeError) as caught:
        apiserver.client.create(configs, config(**spec), query=STRICT)
    assert sentence in str(caught.value)


def test_the_only_config_is_named_cluster(apiserver: ApiServer, configs: str) -> None:
    with pytest.raises(KubeError, match="the only Config is named cluster"):
        apiserver.client.create(configs, config("second"), query=STRICT)


def test_a_specification_without_anything_gets_defaults_but_no_state_and_no_storage(
    apiserver: ApiServer, configs: str
) -> None:
    spec = apiserver.client.create(configs, config(), query=STRICT)["spec"]
    assert spec["replicas"] == 1
    assert spec["readOnly"] is False
    assert spec["logLevel"] == "Normal"
    assert spec["resources"] == {"requests": {"cpu": "100m", "memory": "256Mi"}}
    assert not {"managementState", "storage", "metadata", "rolloutStrategy"} & set(spec)


def test_a_claim_gets_the_defaults_of_the_chart(apiserver: ApiServer, configs: str) -> None:
    spec = apiserver.client.create(configs, config(storage=PVC), query=STRICT)["spec"]
    assert spec["storage"] == {"pvc": {"size": "100Gi", "accessMode": "ReadWriteOnce"}}


def test_the_definition_outlives_the_chart() -> None:
    assert "helm.sh/resource-policy: keep" in CRD.read_text(encoding="utf-8")

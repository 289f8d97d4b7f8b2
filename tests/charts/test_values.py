"""Values: typos are refused by the schema, contradictions by one sentence that names the cure."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib

import jsonschema
import pytest
import yaml

EMPTY_DIR = {"pvc": None, "emptyDir": {}}


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"replicaCount": 2}, "replicaCount"),
        ({"config": {"replica": 2}}, "replica"),
        ({"config": {"replicas": "2"}}, "replicas"),
        ({"config": {"replicas": -1}}, "replicas"),
        ({"config": {"logLevel": "debug"}}, "logLevel"),
        ({"config": {"managementState": "managed"}}, "managementState"),
        ({"config": {"rolloutStrategy": "Rolling"}}, "rolloutStrategy"),
        ({"config": {"storage": {"pvc": {"accessMode": "RWX"}}}}, "accessMode"),
        ({"config": {"storage": {"pvc": {"size": "ten"}}}}, "size"),
        ({"config": {"storage": {"pvc": {"claimName": "x"}}}}, "claimName"),
        ({"config": {"storage": {"s4": {}}}}, "s4"),
        ({"config": {"storage": {"s3": {"bucket": "images", "accessKey": "x"}}}}, "accessKey"),
        ({"config": {"storage": {"s3": {"region": "here"}}}}, "bucket"),
        ({"config": {"storage": {"s3": {"bucket": "images", "regionEndpoint": "s3.example"}}}}, "regionEndpoint"),
        ({"config": {"storage": {"s3": {"bucket": "images", "chunkSizeMiB": 4}}}}, "chunkSizeMiB"),
        ({"config": {"storage": {"gcs": {"bucket": "gs://images"}}}}, "bucket"),
        ({"config": {"storage": {"azure": {"accountName": "a", "container": "Images"}}}}, "container"),
        ({"config": {"storage": {"swift": {"container": "images"}}}}, "authURL"),
        ({"config": {"metadata": {"postgres": {}}}}, "postgres"),
        ({"config": {"imports": {"blocked": []}}}, "blocked"),
        ({"config": {"imports": {"internalNetworks": ["the office"]}}}, "internalNetworks"),
        ({"config": {"imports": {"mirrors": [{"mirrors": ["a.example"]}]}}}, "source"),
        ({"config": {"routes": [{"name": "a"}]}}, "hostname"),
        ({"config": {"routes": [{"name": "a", "hostname": "https://a.example.com"}]}}, "hostname"),
        ({"config": {"resources": {"request": {}}}}, "request"),
        ({"image": {"pullpolicy": "Always"}}, "pullpolicy"),
        ({"image": {"digest": "sha256:abc"}}, "digest"),
        ({"image": {"tag": "a:b"}}, "tag"),
        ({"postgresql": {"image": {"tag": ""}}}, "tag"),
        ({"bootstrap": {"schedule": "daily"}}, "schedule"),
        ({"apiServer": {"replicas": 0}}, "replicas"),
        ({"nodeCA": {"enable": True}}, "enable"),
        ({"networkPolicy": {"enabled": "yes"}}, "enabled"),
        ({"global": {"imagePullSecrets": ["mirror"]}}, "imagePullSecrets"),
        ({"config": {"proxy": {"https": "proxy.example.com:3128"}}}, "proxy"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_typo_is_refused_by_name(refusal, values, word):
    said = refusal(**values)
    assert "values don't meet the specifications of the schema" in said
    assert word in said


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"replicas": 2}, "config.replicas is 2 but config.storage.pvc.accessMode is ReadWriteOnce"),
        (
            {"replicas": 2, "storage": {"pvc": {"accessMode": "ReadWriteOncePod"}}},
            "config.storage.pvc.accessMode is ReadWriteOncePod",
        ),
        ({"replicas": 2, "storage": EMPTY_DIR}, "config.replicas is 2 but config.storage.emptyDir belongs to one Pod"),
        ({"rolloutStrategy": "RollingUpdate"}, "config.rolloutStrategy is RollingUpdate"),
        ({"rolloutStrategy": "RollingUpdate", "storage": EMPTY_DIR}, "config.rolloutStrategy is RollingUpdate"),
        ({"storage": {"emptyDir": {}}}, "config.storage has both pvc and emptyDir"),
        ({"storage": {"pvc": None}}, "config.storage names no storage"),
        ({"storage": {"s3": {"bucket": "images"}}}, "config.storage has both pvc and s3, and exactly one storage type"),
        (
            {"storage": {"pvc": None, "gcs": {"bucket": "one"}, "s3": {"bucket": "two"}}},
            "config.storage has both s3 and gcs, and exactly one storage type can be configured",
        ),
        (
            {"storage": {"pvc": None, "s3": {"bucket": "images", "keyID": "k"}}},
            "config.storage.s3.keyID names a key but config.storage.s3.encrypt is not true",
        ),
        (
            {"storage": {"pvc": None, "s3": {"bucket": "images", "skipVerify": True, "trustedCA": {"name": "ca"}}}},
            "config.storage.s3.skipVerify makes config.storage.s3.trustedCA useless",
        ),
        (
            {"storage": {"pvc": None, "oss": {"bucket": "images", "region": "r", "encryption": {"method": "KMS"}}}},
            "config.storage.oss.encryption.method is KMS but no key is named",
        ),
        ({"metadata": {"postgresql": {"managed": None}}}, "config.metadata.postgresql names no database"),
        (
            {"metadata": {"postgresql": {"secretName": "db"}}},
            "config.metadata.postgresql has both managed and secretName",
        ),
        ({"defaultRoute": True}, "config.defaultRoute is true but the host would have no domain"),
        ({"managementState": "Unmanaged"}, "config.managementState is Unmanaged"),
        (
            {"routes": [{"name": "a", "hostname": "a.example.com"}, {"name": "a", "hostname": "b.example.com"}]},
            "config.routes has the name a twice",
        ),
        (
            {
                "defaultRoute": True,
                "routeDefaults": {"domain": "example.com"},
                "routes": [{"name": "default-route", "hostname": "b.example.com"}],
            },
            "config.routes has the name default-route twice",
        ),
    ],
    ids=lambda value: "".join(value.split(" ")[:1]) if isinstance(value, str) else "",
)
def test_a_contradiction_ends_in_one_sentence_that_names_the_cure(refusal, config, sentence):
    said = refusal(config=config)
    assert sentence in said
    cure = said.split(sentence, 1)[1]
    assert re.search(r": (set|use|keep|with Helm|each route)", cure), cure
    assert len([line for line in said.splitlines() if sentence in line]) == 1


def test_the_namespace_of_the_platforms_own_registry_is_refused(refusal):
    assert "install with --namespace image-registry-system" in refusal(namespace="kube-system")


def test_common_labels_can_not_break_selectors(refusal):
    assert "commonLabels sets app.kubernetes.io/name" in refusal(commonLabels={"app.kubernetes.io/name": "mine"})


def test_a_drain_that_would_outlive_its_pod_is_refused(refusal):
    said = refusal(apiServer={"preStopSeconds": 60})
    assert "apiServer.preStopSeconds is 60 but apiServer.terminationGracePeriodSeconds is 60" in said


def test_the_connections_of_both_servers_fit_into_the_database(chart):
    """Also during a rollout, and with those that PostgreSQL keeps for administrators."""
    from image_registry.metadata.database import POOL_SIZE

    values = yaml.safe_load((chart / "values.yaml").read_text())
    servers = (
        (values["config"]["replicas"], values["registry"]),
        (values["apiServer"]["replicas"], values["apiServer"]),
    )
    wanted = sum((replicas + 1) * server["workers"] * 2 * POOL_SIZE for replicas, server in servers)
    assert wanted + 10 <= values["postgresql"]["maxConnections"]
    assert 2 * POOL_SIZE == 16, "as values.yaml says"


def test_the_configuration_part_of_the_schema_stands_alone(chart):
    """The CRD of the operator and the Ansible role reuse ``#/definitions/config``: it refers to definitions only."""
    schema = json.loads((chart / "values.schema.json").read_text())
    assert schema["properties"]["config"] == {"$ref": "#/definitions/config"}
    alone = {"$ref": "#/definitions/config", "definitions": schema["definitions"]}
    jsonschema.Draft7Validator.check_schema(alone)
    validator = jsonschema.Draft7Validator(alone)
    validator.validate(yaml.safe_load((chart / "values.yaml").read_text())["config"])
    with pytest.raises(jsonschema.ValidationError):
        validator.validate({"replicas": 1, "storag": {}})
    with pytest.raises(jsonschema.ValidationError, match="routeDefaults"):
        validator.validate({"defaultRoute": True})


def closed(schema, path, definitions):
    """Paths of objects of ours that would let a typo through."""
    for name, part in schema.get("properties", {}).items():
        yield from closed(part, f"{path}.{name}", definitions)
    if "properties" in schema and schema.get("additionalProperties") is not False:
        yield path


def test_every_level_of_ours_refuses_unknown_names(chart):
    schema = json.loads((chart / "values.schema.json").read_text())
    open_levels = set(closed(schema, "values", schema["definitions"]))
    for name, definition in schema["definitions"].items():
        open_levels |= set(closed(definition, name, schema["definitions"]))
    assert open_levels == {"values.global"}, "global belongs to parent charts as well"


def test_the_schema_knows_every_value_and_no_other(chart):
    schema = json.loads((chart / "values.schema.json").read_text())

    def names(part, path=""):
        part = schema["definitions"][part["$ref"].rsplit("/", 1)[1]] if "$ref" in part else part
        for choice in part.get("anyOf", []) + part.get("allOf", []):
            yield from names(choice, path)
        for name, child in part.get("properties", {}).items():
            yield f"{path}{name}"
            yield from names(child, f"{path}{name}.")

    def given(values, path=""):
        for name, value in values.items():
            yield f"{path}{name}"
            if isinstance(value, dict):
                yield from given(value, f"{path}{name}.")

    known = set(names(schema))
    values = set(given(yaml.safe_load((chart / "values.yaml").read_text())))
    free = {f"{p}{s}" for p in known for s in (".cpu", ".memory", ".kubernetes.io/os")}
    assert values - known - free == set()
    optional = {name for name in known - values if name.rsplit(".", 1)[-1] not in {"limits", "claims"}}
    # object stores are null until they are chosen; what they have is documented as a whole
    stores = tuple(f"config.storage.{kind}." for kind in ("s3", "gcs", "azure", "swift", "ibmcos", "oss"))
    assert {name for name in optional if not name.startswith(stores)} == set()
    assert {name for name in optional if name.rpartition(".")[2] not in (chart / "values.yaml").read_text()} == set()


def test_the_readme_lists_every_value_with_its_default(chart):
    done = subprocess.run(
        [sys.executable, str(chart.parent / "document_values.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_chart_installs_the_version_of_the_application(chart):
    application = tomllib.loads((chart.parents[1] / "app" / "pyproject.toml").read_text())["project"]["version"]
    assert yaml.safe_load((chart / "Chart.yaml").read_text())["appVersion"] == application

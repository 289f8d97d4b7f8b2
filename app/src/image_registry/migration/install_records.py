"""What says that the plugin was installed, and with which settings: ClusterPluginInstance, AppRelease, ModuleInfo.

Settings are free-form. Only those that are documented are taken along with their values; of others only the names,
because nobody knows whether they are secrets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from image_registry.migration.facts import ObjectName, Record, Setting
from image_registry.migration.generations import GATEWAY_PLUGIN, GENERATIONS
from image_registry.migration.reading import Reader, at, name_of, objects, text

CLUSTER_API = "cluster.alauda.io/v1alpha1"
RELEASE_API = "operator.alauda.io/v1alpha1"
RELEASES = "app releases"
"""What is not read, where they may not be listed."""
MODULE_NAME, CLUSTER_NAME = "cpaas.io/module-name", "cpaas.io/cluster-name"

DOCUMENTED = re.compile(
    r"access\.(enabled|address)|fake\.replicas|infra\.enabled|"
    r"global\.(expose|isIPv6|replicas|oidc\.ldapID|resources\.(requests|limits)\.(cpu|memory))|"
    r"ingress\.(enabled|ingressClassName|insecure|hosts\[\d+\]\.(name|tlsCert)|annotations\..+)|"
    r"persistence\.(type|accessMode|size|storageClass|path|nodes(\[\d+\])?|volumeName)|"
    r"registryLimitConfig\.(enabled|configMapName)|"
    r"s3storage\.(enabled|bucket|region|regionEndpoint|secretName|env\.REGISTRY_STORAGE_S3_SKIPVERIFY)|"
    r"service\.(type|nodePort)"
)


def read_records(reader: Reader, namespace: str) -> dict[str, list[Record]]:
    """Of the workload cluster, by generation."""
    found: dict[str, list[Record]] = {known.name: [] for known in GENERATIONS}
    what = "install records"
    for known in GENERATIONS:
        name = ObjectName("ClusterPluginInstance", known.name, "", CLUSTER_API)
        document = reader.get(what, name, "clusterplugininstances")
        if document is not None:
            found[known.name].append(_record(document, name, "workload", at(document, "spec", "config")))
    for document in reader.list(RELEASES, RELEASE_API, "appreleases", namespace):
        for chart in objects(at(document, "spec", "source", "charts")):
            named = {text(chart.get("name")).rpartition("/")[2], text(chart.get("releaseName"))}
            for generation in named & set(found):
                name = name_of(document, "AppRelease", RELEASE_API)
                record = _record(document, name, "workload", at(document, "spec", "values"))
                version = text(chart.get("targetRevision"))
                found[generation].append(Record(name, "workload", version, record.settings, record.undocumented))
    return found


def read_modules(reader: Reader, cluster: str) -> dict[str, list[Record]]:
    """Of the global cluster: the ModuleInfo objects of one workload cluster, by generation."""
    found: dict[str, list[Record]] = {known.name: [] for known in GENERATIONS}
    for document in reader.list("module infos", CLUSTER_API, "moduleinfoes"):
        labels = at(document, "metadata", "labels") or {}
        generation = text(labels.get(MODULE_NAME))
        if generation in found and text(labels.get(CLUSTER_NAME)) == cluster:
            name = name_of(document, "ModuleInfo", CLUSTER_API)
            found[generation].append(_record(document, name, "global", at(document, "spec", "config")))
    return found


def read_gateway_records(reader: Reader, beyond: Reader | None, namespace: str, cluster: str) -> Iterator[Record]:
    """Those of the gateway's plugin, in both clusters, by what its names begin with."""
    for document in reader.list("install records of the gateway", CLUSTER_API, "clusterplugininstances"):
        name = name_of(document, "ClusterPluginInstance", CLUSTER_API)
        if text(at(document, "spec", "pluginName") or name.name).startswith(GATEWAY_PLUGIN):
            yield _record(document, name, "workload", at(document, "spec", "config"))
    for document in reader.list(RELEASES, RELEASE_API, "appreleases", namespace):
        charts = objects(at(document, "spec", "source", "charts"))
        if any(text(chart.get("releaseName")).startswith(GATEWAY_PLUGIN) for chart in charts):
            yield _record(
                document, name_of(document, "AppRelease", RELEASE_API), "workload", at(document, "spec", "values")
            )
    for document in beyond.list("module infos", CLUSTER_API, "moduleinfoes") if beyond else ():
        labels = at(document, "metadata", "labels") or {}
        if text(labels.get(MODULE_NAME)).startswith(GATEWAY_PLUGIN) and text(labels.get(CLUSTER_NAME)) == cluster:
            yield _record(
                document, name_of(document, "ModuleInfo", CLUSTER_API), "global", at(document, "spec", "config")
            )


def settings_of(records: list[Record]) -> dict[str, Setting]:
    """One value for each name: what the global cluster says counts, because it is written over the others."""
    found: dict[str, Setting] = {}
    order = {"ModuleInfo": 0, "AppRelease": 2}
    for record in sorted(records, key=lambda record: order.get(record.object.kind, 1)):
        for setting in record.settings:
            found.setdefault(setting.name, setting)
    return found


def _record(document: dict[str, Any], name: ObjectName, cluster: str, config: Any) -> Record:
    settings, strange = [], []
    for key, value in _flat(config, ""):
        if DOCUMENTED.fullmatch(key):
            settings.append(Setting(key, value, str(name)))
        else:
            strange.append(key)
    version = text(at(document, "spec", "version"))
    return Record(name, cluster, version, tuple(sorted(settings, key=lambda setting: setting.name)), tuple(strange))


def _flat(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Values with dotted names; annotations have dots of their own and stay one name."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _flat(inner, f"{path}[{index}]")
    elif path and value is not None:
        yield path, text(value)

"""The objects of a legacy registry, as plain documents in the order in which they can be made."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

from image_registry_lab.legacy.proxy import source
from image_registry_lab.legacy.variants import HOST, NAMESPACE, TEAMS, Variant

Document = dict[str, Any]
CONTROLLER = "sa-imagepullsecret-controller"
GATEWAY = "registry-gateway"
RBAC = "rbac.authorization.k8s.io"
_CRDS = (
    ("cluster.alauda.io", "v1alpha1", "ClusterPluginInstance", "clusterplugininstances", "Cluster"),
    ("cluster.alauda.io", "v1alpha1", "ModuleInfo", "moduleinfoes", "Cluster"),
    ("operator.alauda.io", "v1alpha1", "AppRelease", "appreleases", "Namespaced"),
    ("operator.alauda.io", "v1alpha1", "ResourcePatch", "resourcepatches", "Cluster"),
    ("builds.example.com", "v1", "Build", "builds", "Namespaced"),
)


def objects(variant: Variant) -> list[Document]:
    """All of them."""
    found: list[Document] = [*definitions(), *_namespaces()]
    found += [_service(variant), *_storage(variant), *_roles(variant), *_pull_secrets(variant), _controller(variant)]
    if not variant.partial:
        found += [*_records(variant), _config(variant), *_proxy(), _deployment(variant), _direct(variant)]
    found += [*_exposure(variant), *_policies(variant)]
    if variant.gateway:
        found += list(_gateway(variant))
    return found


def rendered(variant: Variant) -> list[Document]:
    """Those of them that the chart of the release makes, and that come back when the platform applies it again."""
    made = {("Deployment", variant.name), ("Deployment", CONTROLLER), ("Ingress", variant.name)}
    made |= {("Service", variant.name), ("ConfigMap", f"{variant.name}-config")}
    marked = _release_marks(variant.name).items()

    def ours(document: Document) -> bool:
        metadata = document["metadata"]
        return (document["kind"], metadata["name"]) in made or marked <= (metadata.get("labels") or {}).items()

    return [document for document in objects(variant) if ours(document)]


def definitions() -> Iterator[Document]:
    """The platform's kinds, with any content."""
    for group, version, kind, plural, scope in _CRDS:
        schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        yield {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{plural}.{group}"},
            "spec": {
                "group": group,
                "scope": scope,
                "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
                "versions": [{"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
            },
        }


def _namespaces() -> Iterator[Document]:
    for name in (NAMESPACE, *TEAMS):
        yield _object("v1", "Namespace", name)


def _settings(variant: Variant) -> Document:
    """``spec.config`` of the install record."""
    persistence: Document = {"type": "StorageClass", "accessMode": variant.access_mode, "size": 10}
    persistence["storageClass"] = variant.storage_class
    if variant.storage == "local":
        persistence = {"type": "LocalVolume", "path": variant.local_path, "nodes": ["n1"], "size": 10}
    settings: Document = {
        "global": {"expose": False, "isIPv6": False, "replicas": 1, "oidc": {"ldapID": "ldap-test"}},
        "ingress": {
            "enabled": True,
            "hosts": [{"name": HOST, "tlsCert": f"{NAMESPACE}/registry-ssl"}],
            "ingressClassName": "traefik",
            "annotations": {"nginx.ingress.kubernetes.io/upstream-hash-by": "$remote_addr"},
        },
        "persistence": persistence,
        "registryLimitConfig": {"enabled": True, "configMapName": "image-registry-limit-config"},
        "service": {"type": "ClusterIP", "nodePort": ""},
        "s3storage": {"enabled": False},
        "licenseKey": "nobody documents this",
    }
    if not variant.tls:
        del settings["ingress"]["hosts"][0]["tlsCert"]
    if variant.storage == "s3":
        settings["s3storage"] = {
            "enabled": True,
            "bucket": variant.bucket,
            "region": "us-east-1",
            "regionEndpoint": variant.endpoint,
            "secretName": "registry-s3-secret",
            "env": {"REGISTRY_STORAGE_S3_SKIPVERIFY": "true"},
        }
    return settings


def _records(variant: Variant) -> Iterator[Document]:
    again = {"interval-sync": "true"} if variant.synced else None
    yield from _plugin(variant, variant.name, "business-5f3a", _settings(variant), again)


def _plugin(
    variant: Variant, name: str, module: str, settings: Document, again: dict[str, str] | None = None
) -> Iterator[Document]:
    """What the platform writes of a plugin that was installed."""
    spec = {"pluginName": name, "config": settings, "version": "v4.2.0"}
    labels = {"create-by": "cluster-transformer", "manage-delete-by": "cluster-transformer"}
    yield _object("cluster.alauda.io/v1alpha1", "ClusterPluginInstance", name, spec=spec, labels=labels)
    charts = [{"name": f"acp/{name}", "releaseName": name, "targetRevision": "v4.2.0"}]
    release = {"source": {"charts": charts}}
    yield _object(
        "operator.alauda.io/v1alpha1", "AppRelease", name, NAMESPACE, spec=release, labels=labels, annotations=again
    )
    if variant.module_info:
        marks = {
            "cpaas.io/module-name": name,
            "cpaas.io/cluster-name": "business",
            "cpaas.io/module-type": "plugin",
        }
        yield _object("cluster.alauda.io/v1alpha1", "ModuleInfo", module, spec=spec, labels=marks)


def _config(variant: Variant) -> Document:
    storage: Document = {"delete": {"enabled": True}, "filesystem": {"rootdirectory": "/var/lib/registry"}}
    if variant.storage == "s3":
        bucket = {"bucket": variant.bucket, "region": "us-east-1", "regionendpoint": f"https://{variant.endpoint}"}
        storage = {"delete": {"enabled": True}, "s3": {**bucket, "skipverify": True}, "redirect": {"disable": True}}
    content = {
        "version": 0.1,
        "log": {"level": "info", "accesslog": {"disabled": True}},
        "storage": storage,
        "http": {"addr": ":5000", "secret": "not-a-secret-of-anybody"},
    }
    return _object(
        "v1", "ConfigMap", f"{variant.name}-config", NAMESPACE, data={"config.yml": json.dumps(content, indent=1)}
    )


def _storage(variant: Variant) -> Iterator[Document]:
    if variant.storage == "pvc":
        spec: Document = {"accessModes": [variant.access_mode], "resources": {"requests": {"storage": "10Gi"}}}
        spec["storageClassName"] = variant.storage_class
        yield _object("v1", "PersistentVolumeClaim", variant.name, NAMESPACE, spec=spec)
    if variant.storage == "s3":
        keys = {"access-key-id": _encoded("legacy-access"), "secret-access-key": _encoded("legacy-secret-key")}
        yield _object("v1", "Secret", "registry-s3-secret", NAMESPACE, data=keys, type="Opaque")


def _deployment(variant: Variant) -> Document:
    environment: list[Document] = []
    mounts = [{"name": "config", "mountPath": "/etc/docker/registry"}]
    volumes: list[Document] = [{"name": "config", "configMap": {"name": f"{variant.name}-config"}}]
    if variant.storage == "pvc":
        volumes.append({"name": "data", "persistentVolumeClaim": {"claimName": variant.name}})
    if variant.storage == "local":
        volumes.append({"name": "data", "hostPath": {"path": variant.local_path, "type": "DirectoryOrCreate"}})
    if variant.storage == "s3":
        for name, key in (("ACCESSKEY", "access-key-id"), ("SECRETKEY", "secret-access-key")):
            reference = {"secretKeyRef": {"name": "registry-s3-secret", "key": key}}
            environment.append({"name": f"REGISTRY_STORAGE_S3_{name}", "valueFrom": reference})
    else:
        mounts.append({"name": "data", "mountPath": "/var/lib/registry"})
    registry = {
        "name": "registry",
        "image": variant.registry_image,
        "imagePullPolicy": "IfNotPresent",
        "args": ["serve", "/etc/docker/registry/config.yml"],
        "env": environment,
        "ports": [{"containerPort": 5000}],
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}},
        "volumeMounts": mounts,
    }
    proxy = _proxying(variant, "proxy", "--upstream=http://127.0.0.1:5000", "--insecure-listen-address=:8080")
    volumes.append({"name": "proxy", "configMap": {"name": "registry-proxy-program"}})
    pod: Document = {"serviceAccountName": "registry-proxy", "containers": [registry, proxy], "volumes": volumes}
    if variant.storage == "local":
        pod["nodeSelector"] = {"kubernetes.io/hostname": "n1"}
    return _workload(variant.name, NAMESPACE, pod, {"app": variant.name}, _release_marks(variant.name))


def _proxying(variant: Variant, name: str, upstream: str, address: str, *more: str) -> Document:
    """A container of the program that stands before a registry."""
    port = int(address.rpartition(":")[2])
    return {
        "name": name,
        "image": variant.proxy_image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "/proxy/proxy.py"],
        "args": [upstream, address, *more],
        "ports": [{"containerPort": port}],
        "readinessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 1},
        "volumeMounts": [{"name": "proxy", "mountPath": "/proxy"}],
    }


def _proxy() -> Iterator[Document]:
    yield _object("v1", "ConfigMap", "registry-proxy-program", NAMESPACE, data={"proxy.py": source()})
    yield _object("v1", "ServiceAccount", "registry-proxy", NAMESPACE)
    rules = [
        {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]},
        {"apiGroups": ["authorization.k8s.io"], "resources": ["subjectaccessreviews"], "verbs": ["create"]},
        {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"]},
    ]
    yield _object(f"{RBAC}/v1", "ClusterRole", "registry-proxy", rules=rules)
    yield _binding(
        "ClusterRoleBinding", "registry-proxy", "", "registry-proxy", [_account("registry-proxy", NAMESPACE)]
    )


def _service(variant: Variant) -> Document:
    return _service_of(variant.name, variant.name, 80, 8080)


def _direct(variant: Variant) -> Document:
    return _service_of(f"{variant.name}-direct", variant.name, 5000, 5000)


def _exposure(variant: Variant) -> Iterator[Document]:
    backend = "registry-gateway-service" if variant.gateway else variant.name
    port = 5000 if variant.gateway else 80
    path = {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": backend, "port": {"number": port}}}}
    spec: Document = {"ingressClassName": "traefik", "rules": [{"host": HOST, "http": {"paths": [path]}}]}
    if variant.tls:
        spec["tls"] = [{"hosts": [HOST], "secretName": "registry-ssl"}]
        data = {"tls.crt": _encoded("certificate"), "tls.key": _encoded("key")}
        yield _object("v1", "Secret", "registry-ssl", NAMESPACE, data=data, type="kubernetes.io/tls")
    yield _object(
        "networking.k8s.io/v1", "Ingress", variant.name, NAMESPACE, spec=spec,
        annotations={"nginx.ingress.kubernetes.io/upstream-hash-by": "$remote_addr"},
    )  # fmt: skip


def _roles(variant: Variant) -> Iterator[Document]:
    marks = _release_marks(variant.name)
    for name, verbs in (
        ("system:image-puller", ["get"]),
        ("system:image-pusher", ["get", "create", "update", "patch"]),
    ):
        rules = [{"apiGroups": ["registry.alauda.io"], "resources": ["images"], "verbs": verbs}]
        yield _object(f"{RBAC}/v1", "ClusterRole", name, rules=rules, labels=marks)
    custom = [{"apiGroups": ["registry.alauda.io"], "resources": ["images"], "verbs": ["delete", "get"]}]
    yield _object(f"{RBAC}/v1", "Role", "image-cleaner", TEAMS[0], rules=custom)
    for team in TEAMS:
        yield _object("v1", "ServiceAccount", "builder", team)
        puller = _binding(
            "RoleBinding",
            "default-sa-image-puller-rolebinding",
            team,
            "system:image-puller",
            [_account("default", team)],
        )
        puller["metadata"]["labels"] = {"managed-by": CONTROLLER}
        yield puller
        yield _binding("RoleBinding", "builder-pushes", team, "system:image-pusher", [_account("builder", team)])
    across = [_account("default", TEAMS[1])]
    yield _binding("RoleBinding", "team-b-pulls", TEAMS[0], "system:image-puller", across)


def _pull_secrets(variant: Variant) -> Iterator[Document]:
    """What the controller has made lately, and one that somebody made by hand."""
    for team in TEAMS:
        logins = {host: {"auth": _encoded("<token>:short-lived")} for host in (variant.service_host, HOST)}
        name = f"dockercfg-{team}-x7k2p"
        yield _object(
            "v1", "Secret", name, team, type="kubernetes.io/dockercfg",
            labels={"alauda.io/managed-by": CONTROLLER},
            annotations={"alauda.io/generated": "true", "alauda.io/expiry": "2030-01-01T00:00:00Z"},
            data={".dockercfg": _encoded(json.dumps(logins))},
        )  # fmt: skip
        yield _object("v1", "ServiceAccount", "default", team, imagePullSecrets=[{"name": name}])
    auths = {"auths": {HOST: {"auth": _encoded("robot:by-hand")}, "quay.io": {"auth": _encoded("robot:other")}}}
    data = {".dockerconfigjson": _encoded(json.dumps(auths))}
    yield _object("v1", "Secret", "by-hand", TEAMS[1], type="kubernetes.io/dockerconfigjson", data=data)


def _controller(variant: Variant) -> Document:
    container = {"name": "controller", "image": variant.idle_image, "imagePullPolicy": "IfNotPresent"}
    if variant.idle_image.startswith("lab.local/"):
        container["command"] = ["/bin/busybox", "sleep", "100000"]  # type: ignore[assignment]
    return _workload(CONTROLLER, NAMESPACE, {"containers": [container]}, {"app": CONTROLLER}, {})


def _policies(variant: Variant) -> Iterator[Document]:
    rules = """\
- path: "^team-a/.*"
  limit: {max_image_size: 2GB, tag_count_limit: 50}
- path: ".*/tmp-.*"
  limit: {max_image_size: 100MB, tag_count_limit: 5}
"""
    data = {"max_image_size": "1GB", "tag_count_limit": "1000", "rules": rules}
    name = "registry-gateway-config" if variant.gateway else "image-registry-limit-config"
    yield _object("v1", "ConfigMap", name, NAMESPACE, data=data)
    command = [
        "ac",
        "adm",
        "prune",
        "images",
        "--keep-tag-revisions=5",
        "--keep-younger-than=168h",
        "--whitelist=^team-b/keep",
        "--confirm",
    ]
    container = {"name": "prune", "image": variant.idle_image, "args": command}
    pod = {"restartPolicy": "Never", "containers": [container]}
    spec = {"schedule": "0 2 * * *", "jobTemplate": {"spec": {"template": {"spec": pod}}}}
    marks = {"cpaas.io/cleanup": "ac-images-pruner"}
    yield _object("batch/v1", "CronJob", "ac-prune-images-cronjob", NAMESPACE, spec=spec, labels=marks)


def _gateway(variant: Variant) -> Iterator[Document]:
    """A plugin of its own that forwards to the registry, which asks for rights."""
    yield from _plugin(variant, GATEWAY, "business-77c1", {"namespace": NAMESPACE, "registryURL": variant.service_host})
    container = _proxying(
        variant, "gateway", f"--upstream=http://{variant.service_host}", "--insecure-listen-address=:5000", "--forward"
    )
    volume = {"name": "proxy", "configMap": {"name": "registry-proxy-program"}}
    pod = {"containers": [container], "volumes": [volume]}
    yield _workload("registry-gateway-gateway", NAMESPACE, pod, {"app": GATEWAY}, _release_marks(GATEWAY))
    yield _service_of("registry-gateway-service", GATEWAY, 5000, 5000)
    target = {"apiVersion": "v1", "kind": "ConfigMap", "name": "registry-gateway-config", "namespace": NAMESPACE}
    kept = {"release": variant.name, "target": target, "jsonPatch": {"operations": []}}
    yield _object("operator.alauda.io/v1alpha1", "ResourcePatch", "registry-gateway-limits", spec=kept)
    marks = {"velero.io/plugin-config": "", "alauda.io/change-registry": "RestoreItemAction"}
    pair = {"old": "registry.before.test", "new": variant.service_host}
    yield _object("v1", "ConfigMap", "change-registry-config", NAMESPACE, data=pair, labels=marks)


def workloads(variant: Variant, host: str = "", repository: str = "app", digest: str = "") -> Iterator[Document]:
    """What uses images in ``team-a``: by tag, by digest, on a schedule, in a custom resource, kept by Helm."""
    host = host or variant.service_host
    team = TEAMS[0]
    pod = {"containers": [{"name": "web", "image": f"{host}/{team}/{repository}:v1", "imagePullPolicy": "Always"}]}
    yield _workload("web", team, pod, {"app": "web"}, {})
    pinned = f"{host}/{team}/{repository}@{digest}" if digest else f"{host}/{team}/{repository}:v2"
    helm = {"containers": [{"name": "api", "image": pinned}], "imagePullSecrets": [{"name": "by-hand"}]}
    kept = _workload("api", team, helm, {"app": "api"}, {})
    kept["metadata"]["annotations"] = {"meta.helm.sh/release-name": "api", "meta.helm.sh/release-namespace": team}
    yield kept
    job = {"restartPolicy": "Never", "containers": [{"name": "report", "image": f"{HOST}/{team}/tools/report:1"}]}
    cron = {"schedule": "0 3 1 1 *", "jobTemplate": {"spec": {"template": {"spec": job}}}}
    yield _object("batch/v1", "CronJob", "report", team, spec=cron)
    build = {"output": {"image": f"{host}/{team}/{repository}:built"}}
    yield _object("builds.example.com/v1", "Build", "app", team, spec=build)
    elsewhere = {"containers": [{"name": "db", "image": "quay.io/team-a/db:1"}]}
    yield _object("v1", "Pod", "elsewhere", TEAMS[1], spec=elsewhere)


def _release_marks(name: str) -> dict[str, str]:
    return {"helm.sh/chart-name": name, "helm.sh/release-name": name, "helm.sh/release-namespace": NAMESPACE}


def _object(
    api_version: str,
    kind: str,
    name: str,
    namespace: str = "",
    *,
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    **members: Any,
) -> Document:
    metadata: Document = {"name": name}
    for key, value in (("namespace", namespace), ("labels", labels), ("annotations", annotations)):
        if value:
            metadata[key] = value
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **members}


def _workload(name: str, namespace: str, pod: Document, labels: dict[str, str], marks: dict[str, str]) -> Document:
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    return _object("apps/v1", "Deployment", name, namespace, labels={**labels, **marks}, spec=spec)


def _service_of(name: str, app: str, port: int, target: int) -> Document:
    ports = [{"name": "http", "port": port, "targetPort": target}]
    return _object("v1", "Service", name, NAMESPACE, spec={"selector": {"app": app}, "ports": ports})


def _binding(kind: str, name: str, namespace: str, role: str, subjects: list[Document]) -> Document:
    reference = {"apiGroup": RBAC, "kind": "ClusterRole", "name": role}
    return _object(f"{RBAC}/v1", kind, name, namespace, roleRef=reference, subjects=subjects)


def _account(name: str, namespace: str) -> Document:
    return {"kind": "ServiceAccount", "name": name, "namespace": namespace}


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()

"""Who may pull and push: roles and bindings, pull Secrets and who uses them. Of Secrets only hosts are read."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from image_registry.migration.facts import (
    BindingFact,
    ControllerFact,
    ObjectName,
    PullSecretFact,
    RoleFact,
    RuleFact,
)
from image_registry.migration.generations import (
    CONTROLLER,
    MANAGED_BY,
    RIGHTS_GROUP,
    RIGHTS_RESOURCE,
    ROLES,
)
from image_registry.migration.legacy_rights import writes
from image_registry.migration.reading import Reader, at, name_of, objects, text, texts, whole, words
from image_registry.pruning.references import Hosts

RBAC = "rbac.authorization.k8s.io/v1"
OURS = (
    *ROLES,
    "system:image-deleter",
    "system:image-pruner",
    "system:image-signature-writer",
    "system:image-registry-catalog-reader",
    "system:image-registry-metrics-reader",
)
"""ClusterRoles that an installation of this registry makes."""

_SCHEME = re.compile(r"^https?://")
_TYPES = {"kubernetes.io/dockercfg": ".dockercfg", "kubernetes.io/dockerconfigjson": ".dockerconfigjson"}


def read_controller(reader: Reader, namespace: str) -> ControllerFact | None:
    """What makes pull Secrets for the ServiceAccount ``default`` of every namespace."""
    name = ObjectName("Deployment", CONTROLLER, namespace, "apps/v1")
    document = reader.get("pull secret controller", name, "deployments")
    if document is None:
        return None
    return ControllerFact(
        name,
        whole(at(document, "spec", "replicas")),
        whole(at(document, "status", "readyReplicas")),
        owner_of(document),
    )


def owner_of(document: Mapping[str, Any]) -> str:
    """The release that an object belongs to, as ``<namespace>/<name>``; empty for none."""
    annotations, labels = (words(at(document, "metadata", member)) for member in ("annotations", "labels"))
    release = annotations.get("meta.helm.sh/release-name") or labels.get("helm.sh/release-name", "")
    where = annotations.get("meta.helm.sh/release-namespace") or labels.get("helm.sh/release-namespace", "")
    return f"{where}/{release}" if release else ""


def read_pull_secrets(
    reader: Reader, hosts: Hosts, used: Mapping[tuple[str, str], Iterable[str]]
) -> tuple[PullSecretFact, ...]:
    """Secrets with a login for a legacy host; ``used`` says who names a Secret, by namespace and name."""
    owners = defaultdict(set, {key: set(value) for key, value in used.items()})
    for account in reader.list("service accounts", "v1", "serviceaccounts"):
        name = name_of(account, "ServiceAccount")
        for entry in objects(account.get("imagePullSecrets")):
            owners[name.namespace, text(entry.get("name"))].add(str(name))
    found = []
    for kind, key in _TYPES.items():
        for document in reader.list("pull secrets", "v1", "secrets", selectors={"fieldSelector": f"type={kind}"}):
            fact = _pull_secret(document, kind, key, hosts, owners)
            if fact is not None:
                found.append(fact)
    return tuple(sorted(found, key=lambda fact: fact.object))


def _pull_secret(
    document: Mapping[str, Any], kind: str, key: str, hosts: Hosts, owners: Mapping[tuple[str, str], set[str]]
) -> PullSecretFact | None:
    if document.get("type") not in (kind, None):
        return None
    name = name_of(document, "Secret")
    named = _hosts_in(text(at(document, "data", key)))
    ours = tuple(host for host in named if hosts.is_ours(f"{host}/x/y"))
    managed = words(at(document, "metadata", "labels")).get(MANAGED_BY) == CONTROLLER
    if not ours and not managed:
        return None
    expires = words(at(document, "metadata", "annotations")).get("alauda.io/expiry", "")
    used = tuple(sorted(owners.get((name.namespace, name.name), ())))
    return PullSecretFact(name, kind, ours, len(named) - len(ours), managed, expires, used)


def _hosts_in(encoded: str) -> tuple[str, ...]:
    """The keys of a login file; what it says of them never leaves this function."""
    try:
        document = json.loads(base64.b64decode(encoded, validate=True))
    except (binascii.Error, ValueError, RecursionError):
        return ()
    if isinstance(document, dict) and isinstance(document.get("auths"), dict):
        document = document["auths"]
    if not isinstance(document, dict):
        return ()
    return tuple(sorted(_SCHEME.sub("", str(key)).partition("/")[0] for key in document))


def read_roles(reader: Reader) -> tuple[RoleFact, ...]:
    """Roles about the images of the legacy registry, and those that have a name of ours."""
    found = [
        fact
        for kind, resource in (("ClusterRole", "clusterroles"), ("Role", "roles"))
        for document in reader.list("roles", RBAC, resource)
        if (fact := role_fact(document, kind)) is not None
    ]
    return tuple(sorted(found, key=lambda fact: fact.object))


def may_write(role: RoleFact) -> bool:
    """Whether it gives a right that a freeze takes; a role for everything is one of administrators."""
    return any(writes(rule.verbs) and not rule.wildcard for rule in role.rules)


def role_fact(document: Mapping[str, Any], kind: str) -> RoleFact | None:
    """What a role says of images; ``None`` for one that is about none of the legacy registry and not ours."""
    name = name_of(document, kind, RBAC)
    rules, foreign = [], 0
    for rule in objects(document.get("rules")):
        groups, resources = texts(rule.get("apiGroups")), texts(rule.get("resources"))
        verbs, names = tuple(sorted(texts(rule.get("verbs")))), texts(rule.get("resourceNames"))
        if RIGHTS_GROUP in groups and (RIGHTS_RESOURCE in resources or "*" in resources):
            rules.append(RuleFact(verbs, names))
        elif "*" in groups and ("*" in resources or RIGHTS_RESOURCE in resources):
            rules.append(RuleFact(verbs, names, wildcard=True))
        elif groups != ("image.alauda.io",):
            foreign += 1
    ours = kind == "ClusterRole" and name.name in OURS
    if not ours and (not rules or all(rule.wildcard for rule in rules)):
        return None  # a role for everything is one for images of any registry
    labels = words(at(document, "metadata", "labels"))
    kept = {key: value for key, value in labels.items() if "managed-by" in key or key.startswith("helm.sh/")}
    return RoleFact(name, tuple(rules), foreign, owner_of(document), kept)


def read_bindings(reader: Reader, roles: Iterable[RoleFact]) -> tuple[BindingFact, ...]:
    """Bindings of the roles that are about images."""
    wanted = {(role.object.kind, role.object.name) for role in roles} | {("ClusterRole", name) for name in ROLES}
    found = []
    for kind, resource in (("ClusterRoleBinding", "clusterrolebindings"), ("RoleBinding", "rolebindings")):
        for document in reader.list("bindings", RBAC, resource):
            reference = text(at(document, "roleRef", "kind")), text(at(document, "roleRef", "name"))
            if reference in wanted:
                labels = words(at(document, "metadata", "labels"))
                found.append(
                    BindingFact(
                        name_of(document, kind, RBAC),
                        " ".join(reference),
                        tuple(_subject(subject) for subject in objects(document.get("subjects"))),
                        CONTROLLER in (labels.get("managed-by"), labels.get(MANAGED_BY)),
                    )
                )
    return tuple(sorted(found, key=lambda fact: fact.object))


def _subject(subject: Mapping[str, Any]) -> str:
    namespace = text(subject.get("namespace"))
    return f"{text(subject.get('kind'))} {namespace + '/' if namespace else ''}{text(subject.get('name'))}"

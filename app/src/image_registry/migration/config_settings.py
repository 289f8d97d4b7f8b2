"""This registry's values where the operator reads them: ``Config/cluster`` and ``ImagePruner/cluster``.

A change is there when the operator has said so of this very version of the object. Which roles another release owns is
told to the operator by its own chart, so one that it was not told of is refused with the command that tells it. That a
role is its own now it sees by the role itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.release_marks import owned_by
from image_registry.kube.release_record import RELEASE
from image_registry.migration.access_facts import RBAC
from image_registry.migration.actions import StepFailed
from image_registry.migration.cluster_objects import ClusterObjects, Document, as_saved, restorable
from image_registry.migration.facts import ObjectName
from image_registry.migration.helm_settings import HelmSettings
from image_registry.migration.spelling import OPERATOR, Said, Spelling, command_line
from image_registry.migration.target_facts import CONFIG_API

CONFIG = ObjectName("Config", "cluster", "", CONFIG_API)
PRUNER = ObjectName("ImagePruner", "cluster", "", CONFIG_API)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigSettings:
    """Of an operator that is installed."""

    client: ClusterClient
    namespace: str
    owner: HelmSettings
    """Knows how an object is handed to the release, which the operator makes by Helm as well."""
    timeout: float = 900.0
    spelling: Spelling = command_line
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = field(default=time.monotonic)

    @property
    def keeper(self) -> str:
        return "operator"

    @staticmethod
    def serves(client: ClusterClient) -> bool:
        """Whether the cluster has an operator to speak to."""
        return client.find(f"/apis/{CONFIG_API}") is not None

    def current(self) -> Mapping[str, Any] | None:
        found = ClusterObjects(self.client)
        config, pruner = found.find(CONFIG), found.find(PRUNER)
        if config is None or not config.get("spec") or self._never_managed(config):
            return None
        values: dict[str, Any] = {"config": config["spec"], "clusterRoles": {"leave": self._left()}}
        return values | ({"imagePruner": pruner.get("spec") or {}} if pruner is not None else {})

    def write(self, values: Mapping[str, Any], tell: Callable[[str], None]) -> None:
        if by_hand := self.by_hand(values):
            raise StepFailed(f"{by_hand}, and run again")
        self._set(CONFIG, values.get("config") or {})
        if "imagePruner" in values:
            self._set(PRUNER, values["imagePruner"])
        if "clusterRoles" in values:
            leave = set(values["clusterRoles"].get("leave") or ())
            self._wait_until(tell, lambda config: self._still_left(config, leave))
        self._wait(tell)

    def resting(self) -> Mapping[str, Any]:
        """An operator may be there before its registry, told to wait: that is somebody's wish and no part of ours."""
        found = ClusterObjects(self.client)
        objects = ((name, found.find(name)) for name in (PRUNER, CONFIG))
        return {str(name): restorable(document) for name, document in objects if document is not None}

    def remove(self, tell: Callable[[str], None], resting: Mapping[str, Any]) -> None:
        """Not by ``Removed``, for which the operator deletes a storage that it has made."""
        found = ClusterObjects(self.client)
        config = found.find(CONFIG)
        if config is None:
            return
        spec = config.get("spec") or {}
        if spec.get("managementState") != "Unmanaged":  # else an earlier call was interrupted behind this
            secrets = {**(spec.get("imagePullSecret") or {}), "managementState": "Removed"}
            self._set(CONFIG, {**spec, "imagePullSecret": secrets})
            self._wait_until(tell, _secrets_left)
            self._set(CONFIG, {**spec, "imagePullSecret": secrets, "managementState": "Unmanaged"})
        self._wait(tell)
        self.owner.remove(tell, {})
        for name in (PRUNER, CONFIG):  # in this order: by Config the next call sees that this one was interrupted
            if str(name) in resting:
                self._rest(name, resting[str(name)])
            else:
                found.remove(name)

    def unusable(self) -> str:
        if not self.serves(self.client):
            return "the cluster has no operator (no Config): install it (playbooks/install.yml), or name a chart"
        name = ObjectName("Deployment", OPERATOR, self.namespace, "apps/v1")
        deployment = ClusterObjects(self.client).find(name)
        if deployment is not None and not (deployment.get("status") or {}).get("readyReplicas"):
            return f"no Pod of the operator is ready: look at {name}"
        return ""

    def below(self) -> Mapping[str, Any]:
        return {}

    def by_hand(self, values: Mapping[str, Any]) -> str:
        leave = sorted((values.get("clusterRoles") or {}).get("leave") or ())
        if set(leave) <= set(self._left()):
            return ""
        return f"the operator would make ClusterRoles that another release owns: {self._telling(leave)}"

    def _telling(self, leave: list[str]) -> str:
        """How whoever installed the operator tells it. OLM leaves its ConfigMap to people."""
        found = ClusterObjects(self.client).find(ObjectName("ConfigMap", OPERATOR, self.namespace))
        if ((found or {}).get("metadata", {}).get("labels") or {}).get("app.kubernetes.io/managed-by") == "Helm":
            return self.spelling(Said.DO_LEAVE_ROLES, ",".join(leave))
        values = "clusterRoles: {leave: [" + ", ".join(leave) + "]}"
        again = f"`kubectl rollout restart -n {self.namespace} deployment {OPERATOR}`"
        if found is None:
            made = f"`kubectl create configmap -n {self.namespace} {OPERATOR} --from-literal='operand.yaml={values}'`"
            return f"{made} and {again} (for an operator of Helm, `operand.clusterRoles.leave` of its chart)"
        return f"write `{values}` into operand.yaml of ConfigMap {self.namespace}/{OPERATOR}, and {again}"

    def take_over(self, objects: Iterable[ObjectName]) -> None:
        self.owner.take_over(objects)

    def _set(self, name: ObjectName, spec: Mapping[str, Any]) -> None:
        found = ClusterObjects(self.client)
        if found.find(name) is None:
            found.create(name, {"metadata": {"name": name.name}, "spec": dict(spec)})
        else:
            found.change(name, lambda current: {**current, "spec": dict(spec)})

    def _rest(self, name: ObjectName, document: Document) -> None:
        found = ClusterObjects(self.client)
        if found.find(name) is None:
            found.create(name, document)
        else:
            found.change(name, lambda current: as_saved(current, document))

    def _wait(self, tell: Callable[[str], None]) -> None:
        self._wait_until(tell, _unsettled)

    def _wait_until(self, tell: Callable[[str], None], why: Callable[[Document | None], str]) -> None:
        deadline, last = self.clock() + self.timeout, ""
        while True:
            said = why(ClusterObjects(self.client).find(CONFIG))
            if not said:
                return
            if said != last:
                tell(f"  the operator: {said}")
                last = said
            if self.clock() > deadline:
                raise StepFailed(f"the operator did not come to an end within {self.timeout:.0f} s: {said}")
            self.sleep(1)

    def _never_managed(self, config: Document) -> bool:
        """An operator was installed for a registry that is yet to come: a rollback takes that one away as a whole."""
        spec = config["spec"]
        if (spec.get("imagePullSecret") or {}).get("managementState") == "Removed":
            return False  # `remove` was interrupted, and has still to take this away
        return spec.get("managementState") == "Unmanaged" and self.owner.current() is None

    def _left(self) -> list[str]:
        """What the operator was told that others own, and they still do."""
        name = ObjectName("ConfigMap", OPERATOR, self.namespace)
        found = ClusterObjects(self.client)
        text = ((found.find(name) or {}).get("data") or {}).get("operand.yaml", "")
        told = ((yaml.safe_load(text) or {}).get("clusterRoles") or {}).get("leave") or ()
        roles = {role: found.find(ObjectName("ClusterRole", role, "", RBAC)) for role in told}
        return [name for name, role in roles.items() if role is None or not owned_by(role, RELEASE, self.namespace)]

    def _still_left(self, config: Document | None, leave: set[str]) -> str:
        """Why the release does not have each role that it shall; one that nobody looks after is as it was made."""
        if ((config or {}).get("spec") or {}).get("managementState") == "Unmanaged":
            return ""
        known = (self.owner.current() or {}).get("clusterRoles") or {}
        more = sorted(set(known.get("leave") or ()) - leave)
        told = self._telling(sorted(leave))
        found = ClusterObjects(self.client)
        left = set(self._left()).intersection(more)
        if lost := [name for name in sorted(left) if found.find(ObjectName("ClusterRole", name, "", RBAC)) is None]:
            raise StepFailed(
                f"ClusterRole {' and '.join(lost)} does not exist, so the operator, which was told to leave it to "
                f"another release, never makes it: {told}, and run again"
            )
        return f"it has not made {', '.join(more)} its own yet; if it never does: {told}" if more else ""


def looked_after(client: ClusterClient, namespace: str) -> str:
    """What there is of an operator, which would write again what Helm writes beside it; empty for nothing.

    A ``Config`` that is ``Unmanaged`` is nobody's wish. Raises KubeError and ClusterUnreachable.
    """
    config = client.find(object_path(CONFIG_API, "configs", CONFIG.name))
    if config is not None:
        state = (config.get("spec") or {}).get("managementState") or "unset, which counts as Removed"
        if state != "Unmanaged":
            return f"managementState of Config/cluster is {state}"
    if client.find(object_path("apps/v1", "deployments", OPERATOR, namespace=namespace)) is not None:
        return f"there is the Deployment {namespace}/{OPERATOR}"
    return ""


def _conditions(config: Document) -> dict[str, Document]:
    return {entry["type"]: entry for entry in (config.get("status") or {}).get("conditions") or ()}


def _secrets_left(config: Document | None) -> str:
    """Why there may be pull Secrets of the operator; empty if there are none, or nobody makes any."""
    if config is None:
        return ""
    found = _conditions(config).get("PullSecretsReady")
    if found is None or found.get("reason") == "PermissionDenied":
        return ""
    if found.get("observedGeneration", 0) < config["metadata"]["generation"]:
        return "it has not seen the change yet"
    gone = found.get("reason") == "Removed" and str(found.get("message", "")).startswith("nothing")
    return "" if gone else str(found.get("message") or "pull Secrets are left")


def _unsettled(config: Document | None) -> str:
    """Why the operator has not come to an end; empty if it has."""
    if config is None:
        return "Config/cluster is not there"
    conditions = _conditions(config)
    progressing, degraded = conditions.get("Progressing"), conditions.get("Degraded")
    if progressing is None or progressing.get("observedGeneration", 0) < config["metadata"]["generation"]:
        return "it has not seen the change yet"
    if progressing["status"] != "False":
        return str(progressing.get("message", "it is at work"))
    if degraded is not None and degraded["status"] == "True":
        return str(degraded.get("message", "it is degraded"))
    available = conditions.get("Available")
    managed = (config.get("spec") or {}).get("managementState") == "Managed"
    if managed and available is not None and available["status"] != "True":
        return str(available.get("message", "it is not available"))
    return ""

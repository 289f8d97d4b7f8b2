# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Secrets and ConfigMaps that people give to the registry: credentials, certificates, authorities.

Private to this collection. Values of Secrets are compared and shown as digests.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from ansible_collections.alauda.registry.plugins.module_utils import _object_plan, _objects

Document = dict[str, Any]
SEEN = "inputs.registry.alauda.io"
"""Prefix of the annotations by which Pods differ when what they read differs."""

PENDING = f"{SEEN}/restart-pending"
"""Marks an object whose readers may not have been told of it yet; it is taken away when they have. A run that ends in
between is taken up by the next one, for which the object itself is as it shall be."""

MANAGED_BY = "app.kubernetes.io/managed-by"
OURS = ("image-registry-bootstrap", "cluster-image-registry-operator", "Helm")
"""Who makes objects that nobody else may write."""


@dataclass(frozen=True)
class Asked:
    """What the object shall hold."""

    kind: str
    name: str
    namespace: str
    type: str
    data: dict[str, str]
    exact: bool = False
    restarts: bool = False
    """Whether somebody begins anew with what changes."""

    @property
    def path(self) -> str:
        """Where it is."""
        resource = "secrets" if self.kind == "Secret" else "configmaps"
        return f"{_objects.collection('v1', resource, self.namespace)}/{self.name}"


def refusal(current: Document | None) -> str | None:
    """Why an object may not be written; None if it may."""
    metadata = (current or {}).get("metadata") or {}
    maker = (metadata.get("labels") or {}).get(MANAGED_BY)
    if maker in OURS:
        return (
            f"{metadata.get('name')} is made and kept by {maker}: nothing was changed. Use another name, and name that "
            "in the configuration"
        )
    return None


def wish(current: Document | None, *, asked: Asked | None) -> Document | None:
    """The object as it shall be; None for no object."""
    if asked is None:
        return None
    encoded = {key: _encoded(text) if asked.kind == "Secret" else text for key, text in asked.data.items()}
    if current is not None:
        kept = {} if asked.exact else current.get("data") or {}
        wanted = {**current, "apiVersion": "v1", "kind": asked.kind, "data": {**kept, **encoded}}
        news = asked.restarts and wanted["data"] != (current.get("data") or {})
        return _marked(wanted) if news else wanted
    document: Document = {
        "apiVersion": "v1",
        "kind": asked.kind,
        "metadata": {"name": asked.name, "namespace": asked.namespace},
        "data": encoded,
    }
    document |= {"type": asked.type} if asked.kind == "Secret" else {}
    return _marked(document) if asked.restarts else document


def pending(document: Document | None) -> bool:
    """Whether an earlier run wrote the object and ended before all its readers were told."""
    return PENDING in (((document or {}).get("metadata") or {}).get("annotations") or {})


def settled(current: Document | None) -> Document | None:
    """The object without the mark."""
    return current and _unmarked(current)


def shown(document: Document) -> Document:
    """What is compared and shown."""
    found = _object_plan.content(_unmarked(document))
    if document.get("kind") != "Secret":
        return found
    data = {key: _short(str(text)) for key, text in (document.get("data") or {}).items()}
    return {**found, "data": data}


def digest(document: Document | None) -> str:
    """Of everything that an object holds."""
    return _short(json.dumps(document.get("data") or {}, sort_keys=True)) if document else ""


def deployment(namespace: str, name: str) -> str:
    """Where a Deployment is."""
    return f"{_objects.collection('apps/v1', 'deployments', namespace)}/{name}"


def restarted(current: Document | None, *, name: str, digest: str, anew: bool) -> Document | None:
    """A Deployment whose Pods know the digest of an object that they read; one that was never told is left alone
    unless the object is ``anew``."""
    if current is None:
        return None
    key = f"{SEEN}/{name}"[:316]
    template = current["spec"]["template"]
    notes = (template.get("metadata") or {}).get("annotations") or {}
    if notes.get(key) == digest or (key not in notes and not anew):
        return current
    metadata = {**(template.get("metadata") or {}), "annotations": {**notes, key: digest}}
    return {**current, "spec": {**current["spec"], "template": {**template, "metadata": metadata}}}


def template(document: Document) -> Document:
    """Annotations of the Pods: all that is changed of a Deployment."""
    return {"annotations": (document["spec"]["template"].get("metadata") or {}).get("annotations") or {}}


def _marked(document: Document) -> Document:
    metadata = document["metadata"]
    notes = {**(metadata.get("annotations") or {}), PENDING: "true"}
    return {**document, "metadata": {**metadata, "annotations": notes}}


def _unmarked(document: Document) -> Document:
    metadata = dict(document["metadata"])
    notes = {key: text for key, text in (metadata.pop("annotations", None) or {}).items() if key != PENDING}
    return {**document, "metadata": {**metadata, "annotations": notes} if notes else metadata}


def _short(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()

# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The operator's objects, Config and ImagePruner: where each is, what it shall be, and which change would lose images.

Private to this collection. Options that are not given are not touched; what excludes another (two kinds of storage)
takes its place.
"""

from __future__ import annotations

import copy
import traceback
from dataclasses import dataclass
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.alauda.registry.plugins.module_utils import _arguments, _library, _object_plan
from ansible_collections.alauda.registry.plugins.module_utils._cluster import Cluster, ClusterError
from ansible_collections.alauda.registry.plugins.module_utils._object_plan import Change, Document

IMPORT_ERROR: str | None = None
try:
    from image_registry.operator import config_values
except ImportError:
    IMPORT_ERROR = traceback.format_exc()

VERSION = "imageregistry.operator.alauda.io/v1"
ROOT = f"/apis/{VERSION}"
NAME = "cluster"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
EXCLUSIVE = (
    ("storage", ("pvc", "emptyDir", "s3", "gcs", "azure", "swift", "ibmcos", "oss")),
    ("metadata.postgresql", ("managed", "secretName")),
)
"""Places of which one member excludes the others."""


@dataclass(frozen=True)
class Kind:
    """One of the two."""

    name: str
    plural: str

    @property
    def collection(self) -> str:
        """The path of the definition's objects."""
        return f"{ROOT}/{self.plural}"

    @property
    def path(self) -> str:
        """The path of the only object."""
        return f"{self.collection}/{NAME}"


CONFIG = Kind("Config", "configs")
PRUNER = Kind("ImagePruner", "imagepruners")


@dataclass(frozen=True)
class Asked:
    """``spec`` over what is there, or with ``exact`` instead of it; ``removed`` are dotted names of fields."""

    spec: Document
    removed: tuple[str, ...] = ()
    exact: bool = False


def arguments(spec: dict[str, Any]) -> dict[str, Any]:
    """What a module that writes one of the two takes; ``spec`` are the options of its kind."""
    return {
        **_arguments.installation_arguments(),
        **_arguments.waiting_arguments(),
        "spec": {"type": "dict", "options": spec},
        "exact": {"type": "bool", "default": False},
        "remove": {"type": "list", "elements": "str", "default": []},
    }


def need_package(module: AnsibleModule) -> None:
    """Name the Python package that is missing."""
    if IMPORT_ERROR:
        module.fail_json(msg=_library.missing(), exception=IMPORT_ERROR)


def opened(module: AnsibleModule) -> tuple[Cluster, Asked]:
    """The cluster, known to answer, and what the module was asked for; fails with one sentence if it cannot be done."""
    need_package(module)
    cluster = _arguments.connect(module)
    asked = module.params
    return cluster, Asked(given(asked["spec"] or {}), tuple(asked["remove"]), asked["exact"])


def given(value: Any) -> Any:
    """Without options that were not given, which Ansible has as None at every level."""
    if isinstance(value, dict):
        return {key: given(member) for key, member in value.items() if member is not None}
    if isinstance(value, list):
        return [given(member) for member in value]
    return value


def wish(kind: Kind, asked: Asked, current: Document | None) -> Document:
    """The object as it shall be."""
    document = current or {"apiVersion": VERSION, "kind": kind.name, "metadata": {"name": NAME}, "spec": {}}
    spec: Document = {} if asked.exact else document.get("spec") or {}
    spec = _object_plan.combined(spec, _excluding(spec, asked.spec))
    for name in asked.removed:
        _remove(spec, name.split("."))
    return {**document, "spec": spec}


def shown(document: Document) -> Document:
    """What of an object is compared and shown."""
    found = _object_plan.content(document)
    metadata = dict(found["metadata"])
    notes = {key: value for key, value in (metadata.pop("annotations", None) or {}).items() if key != LAST_APPLIED}
    return {**found, "metadata": {**metadata, **({"annotations": notes} if notes else {})}}


def settle(cluster: Cluster, kind: Kind, asked: Asked, *, check: bool) -> Change:
    """Plan, and unless it is only checked, write. Raises ClusterError."""
    if not served(cluster, kind):
        if not check:
            raise ClusterError(
                f"the cluster does not know the kind {kind.name}: its definition comes with the operator, so install "
                "that first (role install, registry_install_method: operator)"
            )
        after = wish(kind, asked, None)
        return Change(kind.path, None, after, {}, shown(after))
    return _object_plan.settle(cluster, kind.path, lambda current: wish(kind, asked, current), check=check, view=shown)


def served(cluster: Cluster, kind: Kind) -> bool:
    """Whether the API server knows the kind."""
    return cluster.find(kind.collection) is not None


def place(spec: Document) -> str:
    """Where the bytes lie, in words; empty without a storage."""
    return config_values.place_of(spec) if config_values.storage_of(spec) else ""


def moves_away(current: Document | None, after: Document) -> tuple[str, str] | None:
    """Old and new place of the images, if the storage that a registry has run with is another one afterwards."""
    used = place({"storage": ((current or {}).get("status") or {}).get("storage") or {}})
    wanted = place(after.get("spec") or {})
    return (used, wanted) if used and wanted and used != wanted else None


def loses(current: Document | None, after: Document) -> list[str]:
    """Claims that the operator would delete if the object were ``after``."""
    spec = after.get("spec") or {}
    if config_values.state_of(spec) != config_values.REMOVED or not config_values.own_claims(spec):
        return []
    before = (current or {}).get("spec") or {}
    if config_values.state_of(before) == config_values.REMOVED and config_values.own_claims(before):
        return []  # so it was before
    owned = ((current or {}).get("status") or {}).get("ownedClaims")
    return list(owned) if owned is not None else list(config_values.own_claims(spec))


def _excluding(current: Document, asked: Document) -> Document:
    """What is asked, and None for what it takes the place of."""
    found = copy.deepcopy(asked)
    for where, members in EXCLUSIVE:
        before, over = _at(current, where.split(".")), _at(found, where.split("."))
        chosen = [member for member in members if member in over]
        if chosen:
            over.update({member: None for member in members if member in before and member not in chosen})
    return found


def _at(node: Document, parts: list[str]) -> Document:
    for part in parts:
        below = node.get(part)
        if not isinstance(below, dict):
            return {}
        node = below
    return node


def _remove(node: Document, parts: list[str]) -> None:
    *above, last = parts
    _at(node, above).pop(last, None)

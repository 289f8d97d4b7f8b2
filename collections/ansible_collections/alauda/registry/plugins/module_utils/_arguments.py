# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Arguments that the modules share, and the checks that come before any work.

Private to this collection.
"""

from __future__ import annotations

import json
import os
import tempfile
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.alauda.registry.plugins.module_utils import _cluster, _objects
from ansible_collections.alauda.registry.plugins.module_utils._helm import Helm

NAMESPACE = "image-registry-system"
RELEASE = "image-registry"


def cluster_arguments() -> dict[str, Any]:
    """Which cluster, where in it, and the program that knows its releases."""
    return {
        "kubeconfig": {"type": "path", "required": True},
        "context": {"type": "str"},
        "namespace": {"type": "str", "default": NAMESPACE},
        "release_name": {"type": "str", "default": RELEASE},
        "helm_binary": {"type": "str", "default": "helm"},
    }


def place_arguments() -> dict[str, Any]:
    """Which cluster alone, for modules about images: their namespace is that of a team."""
    return {"kubeconfig": {"type": "path", "required": True}, "context": {"type": "str"}}


def registry_arguments() -> dict[str, Any]:
    """How registries are reached: as whom, and whom to trust."""
    return {
        "auth_file": {"type": "path"},
        "ca_path": {"type": "path"},
        "validate_certs": {"type": "bool", "default": True},
    }


def chart_arguments() -> dict[str, Any]:
    """Which chart, with which values."""
    return {
        "chart_ref": {"type": "str", "required": True},
        "chart_version": {"type": "str"},
        "values": {"type": "dict", "default": {}},
    }


def installation_arguments() -> dict[str, Any]:
    """Which cluster and where in it, for modules that need no Helm."""
    return {name: option for name, option in cluster_arguments().items() if name != "helm_binary"}


def waiting_arguments() -> dict[str, Any]:
    """Whether and how long to wait for the operator."""
    return {
        "wait": {"type": "bool", "default": True},
        "timeout": {"type": "int", "default": 600},
        "patience": {"type": "int", "default": 60},
    }


def need_libraries(module: AnsibleModule) -> None:
    """Name the Python package that is missing, instead of failing somewhere in the middle."""
    if missing := _cluster.missing_library():
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=missing)
    if _objects.yaml is None:
        module.fail_json(msg=missing_required_lib("PyYAML"))


def connect(module: AnsibleModule) -> _cluster.Cluster:
    """The named cluster, known to answer; fails with one sentence if not."""
    need_libraries(module)
    try:
        cluster = _cluster.Cluster(module.params["kubeconfig"], module.params["context"])
        cluster.get("/version")
    except _cluster.ClusterError as error:
        module.fail_json(msg=str(error))
    return cluster


def helm(module: AnsibleModule) -> Helm:
    """Helm for the module's namespace and release."""
    asked = module.params
    return Helm(asked["helm_binary"], asked["kubeconfig"], asked["context"], asked["namespace"], asked["release_name"])


def values_file(module: AnsibleModule) -> str:
    """The values as a file that only this user can read, gone with the module: values may hold secrets."""
    handle, path = tempfile.mkstemp(prefix="values-", suffix=".json", dir=module.tmpdir)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        json.dump(module.params["values"], stream)
    module.add_cleanup_file(path)
    return path

#!/usr/bin/python
# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: what there is of a legacy registry."""

from __future__ import annotations

DOCUMENTATION = r"""
module: legacy_registry_info
short_description: Find the legacy registries of a cluster, and everything that hangs on them
version_added: 2.0.0
description:
  - Reads the registries of the platform's first generations with storage, exposure, rights, limits, jobs and every
    object that
    names or runs an image of theirs. Each fact says where it comes from.
  - What may not be read is part of the result, with the right that is missing; nothing else stops.
  - It can write what it found, and a report of it for people. Nothing else is written, and nothing in a cluster.
  - What lies in a registry is found by M(alauda.registry.legacy_registry_survey). Values of Secrets are never returned.
extends_documentation_fragment:
  - alauda.registry._cluster.attributes
  - alauda.registry._cluster.action_group
options:
  kubeconfig:
    description:
      - Path of the kubeconfig of the cluster, on the machine where the module runs.
      - Nothing else is looked at.
    type: path
    required: true
  context:
    description: Context of the kubeconfig; its current context if not given.
    type: str
  namespace:
    description: Namespace of this registry.
    type: str
    default: image-registry-system
  legacy_namespace:
    description: Namespace of the legacy registry. V(kube-system) holds one of the platform's own and is refused.
    type: str
    default: cpaas-system
  global_kubeconfig:
    description: Path of the kubeconfig of the global cluster, if that may be asked.
    type: path
  cluster:
    description: Name of the cluster in the global one; needed with O(global_kubeconfig).
    type: str
    default: ""
  image_fields:
    description: Where objects of custom resources name images, as C(<group>/<version>/<resource>=<path>).
    type: list
    elements: str
    default: []
  registry_hosts:
    description: Further names of the legacy registry.
    type: list
    elements: str
    default: []
  dest:
    description:
      - File to write RV(inventory) to, as JSON. Where it has the same one already, taken at another time, both files
        are left alone.
    type: path
  html:
    description: File to write the report for people to, beside O(dest).
    type: path
attributes:
  check_mode:
    support: full
    details:
      - Files are not written, and RV(ignore:changed) tells whether they would be.
  diff_mode:
    support: N/A
requirements:
  - alauda-image-registry
notes:
  - The module speaks to the Kubernetes API from where it runs; let it run on the machine that starts Ansible
    (C(connection=local)).
author:
  - Alauda Container Platform (@alauda)
seealso:
  - module: alauda.registry.legacy_registry_survey
  - module: alauda.registry.legacy_migration_plan
"""

EXAMPLES = r"""
- name: See what there is
  alauda.registry.legacy_registry_info:
    kubeconfig: /etc/kubernetes/admin.conf
  register: legacy
"""

RETURN = r"""
inventory:
  description: Everything that was found, as C(ac adm migrate discover -o json) prints it.
  returned: always
  type: dict
  sample: {version: 1, namespace: cpaas-system, installations: [{name: image-registry, versions: 4.2 and 4.3}]}
found:
  description: Names of the legacy registries.
  returned: always
  type: list
  elements: str
  sample: [image-registry]
unread:
  description: What could not be read, why, and the right that would help.
  returned: always
  type: list
  elements: dict
  sample: [{what: pull secrets, why: "secrets is forbidden", right: list secrets}]
lines:
  description: What was said while it ran, with the seconds since its start.
  returned: success
  type: list
  elements: str
  sample: ["   0 s: looking at workloads"]
"""

import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.alauda.registry.plugins.module_utils import _migration
from ansible_collections.alauda.registry.plugins.module_utils._progress import Progress


def _kept(module: AnsibleModule, found: dict[str, Any]) -> bool:
    """Write the files that were asked for; whether one of them is, or would be, another one."""
    dest, page = module.params["dest"], module.params["html"]
    if not dest or (_migration.keeps(dest, found) and (not page or os.path.exists(page))):
        return False
    if not module.check_mode:
        if page:
            _migration.write(module, page, _migration.inventory_page(found))
        _migration.write(module, dest, _migration.as_json(found))
    return True


def main() -> None:
    """Ask, and return what was told."""
    module = AnsibleModule(
        argument_spec={
            "kubeconfig": {"type": "path", "required": True},
            "context": {"type": "str"},
            "namespace": {"type": "str", "default": "image-registry-system"},
            "legacy_namespace": {"type": "str", "default": "cpaas-system"},
            "global_kubeconfig": {"type": "path"},
            "cluster": {"type": "str", "default": ""},
            "image_fields": {"type": "list", "elements": "str", "default": []},
            "registry_hosts": {"type": "list", "elements": "str", "default": []},
            "dest": {"type": "path"},
            "html": {"type": "path"},
        },
        required_by={"html": "dest"},
        supports_check_mode=True,
    )
    _migration.need_package(module)
    tell = Progress()
    try:
        found = _migration.inventory(module.params, tell)
    except _migration.MigrationError as error:
        module.fail_json(msg=str(error))
    changed = _kept(module, found)
    module.exit_json(
        changed=changed,
        inventory=found,
        found=[entry["name"] for entry in found.get("installations", [])],
        unread=found.get("unread", []),
        lines=tell.lines,
    )


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: the object Config, by which the operator knows what the registry shall be."""

from __future__ import annotations

DOCUMENTATION = r"""
module: registry_config
short_description: Say what the image registry shall be, and wait until the operator has made it so
version_added: 2.0.0
description:
  - Writes C(Config/cluster), which the operator follows. Options of O(spec) that are not given stay as they are; a kind
    of storage or of database that is given takes the place of the other.
  - The plan comes from the API server (a dry run), so check mode shows defaults and refuses what would be refused.
  - While it waits it looks at the operator's conditions and at Pods, claims and events, so a failure names what is
    not ready and why.
  - A change that would leave images behind, or delete them, is refused unless it is allowed by name.
extends_documentation_fragment:
  - alauda.registry._cluster
  - alauda.registry._cluster.wait
  - alauda.registry._cluster.package
  - alauda.registry._cluster.attributes
  - alauda.registry._cluster.action_group
  - alauda.registry._cluster.migration
  - alauda.registry._config_options.config
options:
  state:
    description:
      - Whether the object shall exist.
      - Without it the registry runs on as it is, and nobody looks after it. To take the registry away and keep its
        images, set C(spec.managementState) to V(Removed).
    type: str
    choices: [present, absent]
    default: present
  exact:
    description: Let fields that O(spec) does not name go back to their defaults.
    type: bool
    default: false
  remove:
    description: Fields that shall not be there, dotted, as in V(storage.s3.trustedCA).
    type: list
    elements: str
    default: []
  storage_change:
    description:
      - What to do when the images would lie elsewhere afterwards. The operator moves nothing.
      - V(allow) it when they were copied, or need not come along.
    type: str
    choices: [refuse, allow]
    default: refuse
  confirm:
    description:
      - The name of the namespace, as the confirmation that images shall be lost for good.
      - Needed for V(Removed) with a storage that is V(Managed), by which the operator deletes its claims.
    type: str
    default: ""
attributes:
  check_mode:
    support: full
    details:
      - Before the operator is installed nobody can be asked; then the object is shown without defaults.
  diff_mode:
    support: full
author:
  - Alauda Container Platform (@alauda)
seealso:
  - module: alauda.registry.registry_info
  - module: alauda.registry.image_pruner
  - module: alauda.registry.registry_route
"""

EXAMPLES = r"""
- name: Run a registry with three Pods on a shared file system
  alauda.registry.registry_config:
    kubeconfig: /etc/kubernetes/admin.conf
    spec:
      managementState: Managed
      replicas: 3
      storage:
        pvc:
          accessMode: ReadWriteMany
          storageClassName: shared

- name: Refuse pushes for a while
  alauda.registry.registry_config:
    kubeconfig: /etc/kubernetes/admin.conf
    spec:
      readOnly: true

- name: Take the registry away and keep its images
  alauda.registry.registry_config:
    kubeconfig: /etc/kubernetes/admin.conf
    spec:
      managementState: Removed
"""

RETURN = r"""
config:
  description: The object afterwards; in check mode as it would be. Empty if there is none.
  returned: always
  type: dict
  sample: {spec: {managementState: Managed, replicas: 3}}
conditions:
  description: What the operator says of it.
  returned: always
  type: list
  elements: dict
  sample: [{type: Available, status: "True", reason: Ready}]
findings:
  description: What was not ready and why, in the form of M(alauda.registry.registry_preflight).
  returned: on failure
  type: list
  elements: dict
progress:
  description: What happened, in order, with the seconds since the start.
  returned: always
  type: list
  elements: str
"""

from functools import partial
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.alauda.registry.plugins.module_utils import (
    _conditions,
    _config_options,
    _object_plan,
    _operator_objects,
    _under_migration,
)
from ansible_collections.alauda.registry.plugins.module_utils._cluster import Cluster, ClusterError
from ansible_collections.alauda.registry.plugins.module_utils._findings import Finding, report
from ansible_collections.alauda.registry.plugins.module_utils._operator_objects import CONFIG, Asked
from ansible_collections.alauda.registry.plugins.module_utils._progress import Progress
from ansible_collections.alauda.registry.plugins.module_utils._readiness import look, problems


def main() -> None:
    """Plan, refuse what loses images, write, wait."""
    module = AnsibleModule(
        argument_spec={
            **_operator_objects.arguments(_config_options.CONFIG),
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "storage_change": {"type": "str", "choices": ["refuse", "allow"], "default": "refuse"},
            "confirm": {"type": "str", "default": ""},
            **_under_migration.arguments(),
        },
        supports_check_mode=True,
    )
    cluster, asked = _operator_objects.opened(module)
    _under_migration.refuse(module, cluster)
    progress = Progress()
    try:
        if module.params["state"] == "absent":
            change = _object_plan.settle(
                cluster, CONFIG.path, lambda _current: None, check=module.check_mode, view=_operator_objects.shown
            )
        else:
            _refuse_losses(module, cluster, asked)
            change = _operator_objects.settle(cluster, CONFIG, asked, check=module.check_mode)
        document = change.after or {}
        if document and module.params["wait"] and not module.check_mode:
            document = _wait(module, cluster, progress)
    except ClusterError as error:
        module.fail_json(msg=str(error), findings=[], progress=progress.lines, config={}, conditions=[])
    module.exit_json(
        changed=change.changed,
        diff=_object_plan.diff([change]),
        progress=progress.lines,
        **_result(document),
    )


def _refuse_losses(module: AnsibleModule, cluster: Cluster, asked: Asked) -> None:
    current = cluster.find(CONFIG.path)
    after = _operator_objects.wish(CONFIG, asked, current)
    moved = _operator_objects.moves_away(current, after)
    if moved and module.params["storage_change"] == "refuse":
        module.fail_json(
            msg=f"the images lie in {moved[0]}, and the registry would look for them in {moved[1]}, where nobody has "
            "put them: nothing was changed. Copy them first (role storage), or set storage_change to allow if they are "
            "there or need not come along",
            progress=[],
            findings=[],
            **_result(current or {}),
        )
    lost = _operator_objects.loses(current, after)
    if lost and module.params["confirm"] != module.params["namespace"]:
        module.fail_json(
            msg=f"the operator would delete the claims {', '.join(lost)} and every image with them, because "
            "spec.storage.managementState is Managed: nothing was changed. Set it to Unmanaged to keep them, or "
            f"confirm: {module.params['namespace']} to lose them for good",
            progress=[],
            findings=[],
            **_result(current or {}),
        )


def _wait(module: AnsibleModule, cluster: Cluster, progress: Progress) -> dict[str, Any]:
    waited = _conditions.wait(
        cluster,
        CONFIG.path,
        _conditions.config,
        progress,
        timeout=module.params["timeout"],
        patience=module.params["patience"],
        look=partial(_pods, cluster, module.params["namespace"], module.params["release_name"]),
    )
    if waited.failure:
        heading = f"the registry is not what Config says: {waited.failure}"
        module.fail_json(
            msg=report(waited.findings, f"{heading}\nWhat stands in the way:") if waited.findings else heading,
            findings=[finding.as_dict() for finding in waited.findings],
            progress=progress.lines,
            **_result(waited.document),
        )
    return waited.document


def _pods(cluster: Cluster, namespace: str, release: str) -> list[Finding]:
    return problems(look(cluster, namespace, release))


def _result(document: dict[str, Any]) -> dict[str, Any]:
    return {"config": document, "conditions": list(_conditions.conditions(document).values())}


if __name__ == "__main__":
    main()

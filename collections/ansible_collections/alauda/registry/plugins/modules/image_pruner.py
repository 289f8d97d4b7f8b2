#!/usr/bin/python
# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: the object ImagePruner, by which the operator knows when images are pruned."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_pruner
short_description: Say when images that nothing uses go, and what stays
version_added: 2.0.0
description:
  - Writes C(ImagePruner/cluster), from which the operator makes the CronJob C(image-pruner), and waits until it has.
  - Options of O(spec) that are not given stay as they are. The plan comes from the API server (a dry run).
  - The operator makes the object again while there is a registry, so it can not be taken away; C(suspend) ends pruning.
extends_documentation_fragment:
  - alauda.registry._cluster
  - alauda.registry._cluster.wait
  - alauda.registry._cluster.package
  - alauda.registry._cluster.attributes
  - alauda.registry._cluster.action_group
  - alauda.registry._cluster.migration
  - alauda.registry._config_options.imagepruner
options:
  exact:
    description: Let fields that O(spec) does not name go back to their defaults.
    type: bool
    default: false
  remove:
    description: Fields that shall not be there, dotted, as in V(keepYoungerThanDuration).
    type: list
    elements: str
    default: []
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
  - module: alauda.registry.image_pruner_info
  - module: alauda.registry.registry_config
"""

EXAMPLES = r"""
- name: Prune every Sunday, and keep what is younger than thirty days
  alauda.registry.image_pruner:
    kubeconfig: /etc/kubernetes/admin.conf
    spec:
      schedule: "0 3 * * 0"
      keepYoungerThanDuration: 30d

- name: Prune nothing for now
  alauda.registry.image_pruner:
    kubeconfig: /etc/kubernetes/admin.conf
    spec:
      suspend: true
"""

RETURN = r"""
pruner:
  description: The object afterwards; in check mode as it would be.
  returned: always
  type: dict
  sample: {spec: {schedule: 0 3 * * 0, suspend: false}}
conditions:
  description: What the operator says of it.
  returned: always
  type: list
  elements: dict
  sample: [{type: Scheduled, status: "True", reason: Scheduled}]
progress:
  description: What happened, in order, with the seconds since the start.
  returned: always
  type: list
  elements: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.alauda.registry.plugins.module_utils import (
    _conditions,
    _config_options,
    _object_plan,
    _operator_objects,
    _under_migration,
)
from ansible_collections.alauda.registry.plugins.module_utils._cluster import ClusterError
from ansible_collections.alauda.registry.plugins.module_utils._operator_objects import PRUNER
from ansible_collections.alauda.registry.plugins.module_utils._progress import Progress


def main() -> None:
    """Plan, write, wait."""
    module = AnsibleModule(
        argument_spec={**_operator_objects.arguments(_config_options.IMAGEPRUNER), **_under_migration.arguments()},
        supports_check_mode=True,
    )
    cluster, asked = _operator_objects.opened(module)
    _under_migration.refuse(module, cluster)
    progress = Progress()
    failure = ""
    try:
        change = _operator_objects.settle(cluster, PRUNER, asked, check=module.check_mode)
        document = change.after or {}
        if module.params["wait"] and not module.check_mode:
            waited = _conditions.wait(
                cluster,
                PRUNER.path,
                _conditions.pruner,
                progress,
                timeout=module.params["timeout"],
                patience=module.params["patience"],
            )
            document, failure = waited.document, waited.failure
    except ClusterError as error:
        module.fail_json(msg=str(error), progress=progress.lines, pruner={}, conditions=[])
    found: dict[str, Any] = {
        "pruner": document,
        "conditions": list(_conditions.conditions(document).values()),
        "progress": progress.lines,
    }
    if failure:
        module.fail_json(msg=f"the schedule is not what ImagePruner says: {failure}", **found)
    module.exit_json(changed=change.changed, diff=_object_plan.diff([change]), **found)


if __name__ == "__main__":
    main()

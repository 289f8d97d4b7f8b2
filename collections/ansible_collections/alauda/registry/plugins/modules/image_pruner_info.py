#!/usr/bin/python
# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: how the scheduled pruning is."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_pruner_info
short_description: How the scheduled pruning is, and what its last run did
version_added: 2.0.0
description:
  - Reads C(ImagePruner/cluster) with what the operator says of it.
  - Nothing is written.
extends_documentation_fragment:
  - alauda.registry._cluster
  - alauda.registry._cluster.attributes
  - alauda.registry._cluster.action_group
attributes:
  diff_mode:
    support: N/A
author:
  - Alauda Container Platform (@alauda)
seealso:
  - module: alauda.registry.image_pruner
"""

EXAMPLES = r"""
- name: Read how the last run ended
  alauda.registry.image_pruner_info:
    kubeconfig: /etc/kubernetes/admin.conf
  register: pruning

- name: Show what it gave back
  ansible.builtin.debug:
    msg: "{{ pruning.last_run.freedBytes | default(0) }} bytes"
"""

RETURN = r"""
exists:
  description: Whether there is such an object; without the operator there is none.
  returned: always
  type: bool
spec:
  description: What it asks for.
  returned: always
  type: dict
  sample: {schedule: 0 0 * * *, suspend: false}
schedule:
  description: The schedule that is in force; empty while nothing is scheduled.
  returned: always
  type: str
  sample: 0 0 * * *
last_run:
  description: The run that began last, with C(state), times, C(message) and C(freedBytes); empty if there was none.
  returned: always
  type: dict
  sample: {state: Complete, freedBytes: 4096}
last_success:
  description: When a run last ended well; empty if none has.
  returned: always
  type: str
  sample: "2026-11-21T00:00:12Z"
conditions:
  description: What the operator says of it.
  returned: always
  type: list
  elements: dict
  sample: [{type: Scheduled, status: "True", reason: Scheduled}]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.alauda.registry.plugins.module_utils import _arguments, _conditions
from ansible_collections.alauda.registry.plugins.module_utils._cluster import ClusterError
from ansible_collections.alauda.registry.plugins.module_utils._operator_objects import PRUNER


def main() -> None:
    """Read and return."""
    module = AnsibleModule(argument_spec=_arguments.installation_arguments(), supports_check_mode=True)
    cluster = _arguments.connect(module)
    try:
        document = cluster.find(PRUNER.path)
    except ClusterError as error:
        module.fail_json(msg=str(error))
    status = (document or {}).get("status") or {}
    module.exit_json(
        changed=False,
        exists=document is not None,
        spec=(document or {}).get("spec") or {},
        schedule=str(status.get("schedule") or ""),
        last_run=status.get("lastRun") or {},
        last_success=str(status.get("lastSuccessfulTime") or ""),
        conditions=list(_conditions.conditions(document or {}).values()),
    )


if __name__ == "__main__":
    main()

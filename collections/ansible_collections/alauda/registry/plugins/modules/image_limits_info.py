#!/usr/bin/python
# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: what a namespace may have of images."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_limits_info
short_description: What a namespace may have of images, and what it has
version_added: 2.0.0
description:
  - Reads every LimitRange and ResourceQuota of a namespace that says something of images; of several the smallest
    counts.
  - Nothing is written.
extends_documentation_fragment:
  - alauda.registry._images
  - alauda.registry._cluster.attributes
  - alauda.registry._cluster.action_group
options:
  namespace:
    description: The namespace.
    type: str
    required: true
attributes:
  diff_mode:
    support: N/A
author:
  - Alauda Container Platform (@alauda)
seealso:
  - module: alauda.registry.image_limits
"""

EXAMPLES = r"""
- name: Read what the team may have
  alauda.registry.image_limits_info:
    kubeconfig: /etc/kubernetes/admin.conf
    namespace: team
  register: limits

- name: Show what is nearly used up
  ansible.builtin.debug:
    msg: "{{ item.limit }}: {{ item.used }} of {{ item.value }}"
  loop: "{{ limits.of_all }}"
"""

RETURN = r"""
of_one:
  description: Limits of one image and of one stream, with the option of M(alauda.registry.image_limits) that sets each.
  returned: success
  type: list
  elements: dict
  sample: [{limit_range: images, limit: image_size, value: 2Gi}]
of_all:
  description: Limits of the whole namespace, with what is used as the registry last said it; empty while nobody did.
  returned: success
  type: list
  elements: dict
  sample: [{resource_quota: images, limit: storage, value: 50Gi, used: "8123456789"}]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.alauda.registry.plugins.module_utils import _arguments, _limits
from ansible_collections.alauda.registry.plugins.module_utils._cluster import ClusterError
from ansible_collections.alauda.registry.plugins.module_utils._objects import collection


def main() -> None:
    """Read and return."""
    module = AnsibleModule(
        argument_spec={**_arguments.place_arguments(), "namespace": {"type": "str", "required": True}},
        supports_check_mode=True,
    )
    namespace = module.params["namespace"]
    cluster = _arguments.connect(module)
    try:
        ranges = cluster.items(collection("v1", "limitranges", namespace))
        quotas = cluster.items(collection("v1", "resourcequotas", namespace))
    except ClusterError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, of_one=_limits.of_one(ranges), of_all=_limits.of_all(quotas))


if __name__ == "__main__":
    main()

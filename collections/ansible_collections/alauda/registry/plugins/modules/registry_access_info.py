#!/usr/bin/python
# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: who may do what with images."""

from __future__ import annotations

DOCUMENTATION = r"""
module: registry_access_info
short_description: Who pulls, pushes, deletes, looks at or prunes images
version_added: 2.0.0
description:
  - Reads the bindings of the registry's roles in a namespace, and those that count in every namespace.
  - Rights by other roles (C(cluster-admin), C(admin), roles of your own) are not among them.
  - Nothing is written.
extends_documentation_fragment:
  - alauda.registry._images
  - alauda.registry._cluster.attributes
  - alauda.registry._cluster.action_group
options:
  namespace:
    description: The namespace; empty for what counts in every namespace alone.
    type: str
    default: ""
  role:
    description: Only this role, as M(alauda.registry.registry_access) names it; empty for all of them.
    type: str
    choices: ["", puller, pusher, deleter, viewer, editor, signer, pruner, catalog_reader, metrics_reader]
    default: ""
attributes:
  diff_mode:
    support: N/A
author:
  - Alauda Container Platform (@alauda)
seealso:
  - module: alauda.registry.registry_access
"""

EXAMPLES = r"""
- name: Read who pushes into the namespace
  alauda.registry.registry_access_info:
    kubeconfig: /etc/kubernetes/admin.conf
    namespace: team
    role: pusher
  register: pushers

- name: Show them
  ansible.builtin.debug:
    msg: "{{ pushers.access | map(attribute='holder') | unique }}"
"""

RETURN = r"""
access:
  description:
    - One for each holder of each binding, sorted by role and holder. C(namespace) is empty for what counts everywhere;
      C(kept_by_program) is true for a binding that a chart or an operator writes again as it was.
  returned: success
  type: list
  elements: dict
  sample:
    - role: pusher
      holder: ServiceAccount team/builder
      namespace: team
      binding: system:image-pusher
      kept_by_program: false
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.alauda.registry.plugins.module_utils import _access, _access_list, _arguments
from ansible_collections.alauda.registry.plugins.module_utils._cluster import ClusterError
from ansible_collections.alauda.registry.plugins.module_utils._objects import collection


def main() -> None:
    """Read and return."""
    module = AnsibleModule(
        argument_spec={
            **_arguments.place_arguments(),
            "namespace": {"type": "str", "default": ""},
            "role": {"type": "str", "default": "", "choices": ["", *_access.ROLES]},
        },
        supports_check_mode=True,
    )
    namespace, role = module.params["namespace"], module.params["role"]
    cluster = _arguments.connect(module)
    try:
        found = list(_access_list.holdings(cluster.items(collection(_access.VERSION, "clusterrolebindings", "")), ""))
        if namespace:
            place = collection(_access.VERSION, "rolebindings", namespace)
            found += _access_list.holdings(cluster.items(place), namespace)
    except ClusterError as error:
        module.fail_json(msg=str(error))
    access = [held for held in found if role in ("", held["role"])]
    access.sort(key=lambda held: (held["role"], held["holder"], held["namespace"], held["binding"]))
    module.exit_json(changed=False, access=access)


if __name__ == "__main__":
    main()

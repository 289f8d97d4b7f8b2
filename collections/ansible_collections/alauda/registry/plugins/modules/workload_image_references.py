#!/usr/bin/python
# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: who names an image, and of which registry."""

from __future__ import annotations

DOCUMENTATION = r"""
module: workload_image_references
short_description: Read which images the workloads of a cluster name and run
version_added: 2.0.0
description:
  - Reads every kind of Kubernetes that has Pods, and fields of custom resources that are named, with the eyes of the
    pruner and of the migration.
  - Each reference is taken apart, so that it is seen who still names which registry.
  - Nothing is written.
extends_documentation_fragment:
  - alauda.registry._images
  - alauda.registry._images.package
  - alauda.registry._cluster.attributes
  - alauda.registry._cluster.action_group
options:
  namespaces:
    description: Only objects of these namespaces.
    type: list
    elements: str
    default: []
  hosts:
    description: Only references of these registries, as V(docker.io) or V(registry.example.com:5000).
    type: list
    elements: str
    default: []
  image_fields:
    description: Where objects of custom resources name images, as C(<group>/<version>/<resource>=<path>).
    type: list
    elements: str
    default: []
  running:
    description: Also what Pods say that they run, which is named by digest.
    type: bool
    default: false
attributes:
  diff_mode:
    support: N/A
author:
  - Alauda Container Platform (@alauda)
seealso:
  - module: alauda.registry.legacy_registry_info
  - module: alauda.registry.image_prune
"""

EXAMPLES = r"""
- name: Who still pulls from the registry that is to be switched off?
  alauda.registry.workload_image_references:
    kubeconfig: /etc/kubernetes/admin.conf
    hosts: [registry.old.example.com]
  register: consumers

- name: Nobody may
  ansible.builtin.assert:
    that: consumers.references | length == 0
    fail_msg: "{{ consumers.references | map(attribute='image') | unique | join(', ') }}"
"""

RETURN = r"""
references:
  description: One row for each place that names an image.
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description: Kind of the object.
      type: str
      sample: Deployment
    namespace:
      description: Its namespace.
      type: str
      sample: team
    name:
      description: Its name.
      type: str
      sample: web
    image:
      description: The text, as it stands there.
      type: str
      sample: registry.example.com/team/web:1
    host:
      description: Its registry.
      type: str
      sample: registry.example.com
    repository:
      description: What in the registry.
      type: str
      sample: team/web
    tag:
      description: The tag; empty if none is named.
      type: str
      sample: "1"
    digest:
      description: The digest; empty if none is named.
      type: str
    running:
      description: Whether a Pod says that it runs it.
      type: bool
hosts:
  description: How many references each registry has.
  returned: success
  type: dict
  sample: {docker.io: 4, registry.example.com: 12}
unreadable:
  description: Objects, or parts of them, that have not the shape they should have.
  returned: success
  type: list
  elements: dict
  sample: [{owner: Pod team/strange, why: an image among its containers is no text}]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.alauda.registry.plugins.module_utils import _arguments, _pruning


def main() -> None:
    """Read and return."""
    module = AnsibleModule(
        argument_spec={
            **_arguments.place_arguments(),
            "namespaces": {"type": "list", "elements": "str", "default": []},
            "hosts": {"type": "list", "elements": "str", "default": []},
            "image_fields": {"type": "list", "elements": "str", "default": []},
            "running": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    _pruning.need_package(module)
    try:
        found = _pruning.references(module.params)
    except _pruning.PruneError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()

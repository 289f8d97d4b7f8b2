#!/usr/bin/python
# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: the ways in to the registry from outside."""

from __future__ import annotations

DOCUMENTATION = r"""
module: registry_route_info
short_description: The hosts under which the image registry is served, and whether they are
version_added: 2.0.0
description:
  - Reads each way in with its addresses, its certificate and what is wrong with it, as the operator says.
  - Without the operator it reads the Ingresses and HTTPRoutes of the release, which say less.
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
  - module: alauda.registry.registry_route
"""

EXAMPLES = r"""
- name: Read the ways in
  alauda.registry.registry_route_info:
    kubeconfig: /etc/kubernetes/admin.conf
  register: ways

- name: Show those that nobody serves
  ansible.builtin.debug:
    msg: "{{ ways.routes | rejectattr('admitted') | map(attribute='hostname') }}"
"""

RETURN = r"""
routes:
  description: Each way in.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: Name of the route.
      type: str
      sample: public
    hostname:
      description: Its host.
      type: str
      sample: registry.example.com
    kind:
      description: V(Ingress) or V(HTTPRoute).
      type: str
      sample: Ingress
    default:
      description: Whether it is the default route.
      type: bool
      sample: false
    admitted:
      description: Whether a controller has said that it serves it.
      type: bool
      sample: true
    addresses:
      description: Where.
      type: list
      elements: str
      sample: [10.0.0.8]
    certificate_expires:
      description: When its certificate ends; empty if that is not known.
      type: str
      sample: "2027-02-01T00:00:00Z"
    message:
      description: What is wrong, with what to do next; empty if nothing is.
      type: str
      sample: ""
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.alauda.registry.plugins.module_utils import _arguments, _routes
from ansible_collections.alauda.registry.plugins.module_utils._cluster import ClusterError


def main() -> None:
    """Read and return."""
    module = AnsibleModule(argument_spec=_arguments.installation_arguments(), supports_check_mode=True)
    cluster = _arguments.connect(module)
    try:
        routes = _routes.listed(cluster, module.params["namespace"], module.params["release_name"])
    except ClusterError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, routes=routes)


if __name__ == "__main__":
    main()

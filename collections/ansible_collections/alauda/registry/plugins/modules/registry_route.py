#!/usr/bin/python
# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: one way in to the registry from outside."""

from __future__ import annotations

DOCUMENTATION = r"""
module: registry_route
short_description: Serve the image registry under a host of its own, or no longer
version_added: 2.0.0
description:
  - Adds, changes or takes away one entry of C(Config.spec.routes), from which the operator makes an Ingress or an
    HTTPRoute. Other routes stay as they are, also when several runs write at the same time.
  - The plan comes from the API server (a dry run), so check mode refuses what would be refused, a host that another
    route has for example.
  - It needs the operator. For an installation by Helm the role C(routes) writes the same into the release.
extends_documentation_fragment:
  - alauda.registry._cluster
  - alauda.registry._cluster.wait
  - alauda.registry._cluster.package
  - alauda.registry._cluster.attributes
  - alauda.registry._cluster.migration
  - alauda.registry._cluster.action_group
options:
  state:
    description: Whether there shall be such a route.
    type: str
    choices: [present, absent]
    default: present
  name:
    description: Name of the route, and of its Ingress or HTTPRoute.
    type: str
    required: true
  hostname:
    description: Host under which the registry is served. Required for O(state=present).
    type: str
  secret_name:
    description:
      - Secret of type C(kubernetes.io/tls) with the certificate of the host, in the namespace of the registry.
      - M(alauda.registry.registry_object) makes one.
    type: str
  ingress_class_name:
    description: Class of the Ingress; that of C(spec.routeDefaults) if not given.
    type: str
  annotations:
    description: Annotations, over those of C(spec.routeDefaults).
    type: dict
  gateway:
    description: A Gateway instead of an Ingress.
    type: dict
    suboptions:
      name:
        description: Name of the Gateway.
        type: str
        required: true
      namespace:
        description: Its namespace; that of the registry if not given.
        type: str
      section_name:
        description: Its listener; every listener that takes the host if not given.
        type: str
  admitted:
    description:
      - Wait until a controller has said that it serves the route, too.
      - Some controllers never say so.
    type: bool
    default: false
attributes:
  diff_mode:
    support: full
author:
  - Alauda Container Platform (@alauda)
seealso:
  - module: alauda.registry.registry_route_info
  - module: alauda.registry.registry_config
"""

EXAMPLES = r"""
- name: Let people in from outside
  alauda.registry.registry_route:
    kubeconfig: /etc/kubernetes/admin.conf
    name: public
    hostname: registry.example.com
    secret_name: registry-example-com
    admitted: true

- name: Take that way in away
  alauda.registry.registry_route:
    kubeconfig: /etc/kubernetes/admin.conf
    name: public
    state: absent
"""

RETURN = r"""
route:
  description: The route as the operator found it, empty without one.
  returned: always
  type: dict
  sample: {name: public, hostname: registry.example.com, kind: Ingress, admitted: true, addresses: [10.0.0.8]}
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
    _arguments,
    _conditions,
    _object_plan,
    _operator_objects,
    _routes,
    _under_migration,
)
from ansible_collections.alauda.registry.plugins.module_utils._cluster import Cluster, ClusterError
from ansible_collections.alauda.registry.plugins.module_utils._operator_objects import CONFIG
from ansible_collections.alauda.registry.plugins.module_utils._progress import Progress


def main() -> None:
    """Plan, write, wait."""
    module = AnsibleModule(
        argument_spec={
            **_arguments.installation_arguments(),
            **_arguments.waiting_arguments(),
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "name": {"type": "str", "required": True},
            "hostname": {"type": "str"},
            "secret_name": {"type": "str", "no_log": False},
            "ingress_class_name": {"type": "str"},
            "annotations": {"type": "dict"},
            "gateway": {
                "type": "dict",
                "options": {
                    "name": {"type": "str", "required": True},
                    "namespace": {"type": "str"},
                    "section_name": {"type": "str"},
                },
            },
            "admitted": {"type": "bool", "default": False},
            **_under_migration.arguments(),
        },
        required_if=[("state", "present", ("hostname",))],
        supports_check_mode=True,
    )
    _operator_objects.need_package(module)
    cluster = _arguments.connect(module)
    _under_migration.refuse(module, cluster)
    progress = Progress()
    name, wanted = module.params["name"], module.params["state"] == "present"
    entry = _routes.entry(module.params) if wanted else None
    try:
        if cluster.find(CONFIG.path) is None:
            _without_config(module, wanted=wanted)
        change = _object_plan.settle(
            cluster,
            CONFIG.path,
            partial(_routes.wish, name=name, entry=entry),
            check=module.check_mode,
            view=_operator_objects.shown,
        )
        document = change.after or {}
        if module.params["wait"] and not module.check_mode:
            document = _wait(module, cluster, progress, wanted=wanted)
    except ClusterError as error:
        module.fail_json(msg=str(error), route={}, progress=progress.lines)
    module.exit_json(
        changed=change.changed,
        diff=_object_plan.diff([change]),
        route=_routes.found(document, name),
        progress=progress.lines,
    )


def _without_config(module: AnsibleModule, *, wanted: bool) -> None:
    if not wanted:
        module.exit_json(changed=False, diff=[], route={}, progress=[])
    module.fail_json(
        msg="there is no Config/cluster, so no operator makes routes here: install by the operator, or for an "
        "installation by Helm set config.routes (role routes does)",
        route={},
        progress=[],
    )


def _wait(module: AnsibleModule, cluster: Cluster, progress: Progress, *, wanted: bool) -> dict[str, Any]:
    name = module.params["name"]
    judge = partial(_routes.verdict, name=name, wanted=wanted, admitted=module.params["admitted"])
    waited = _conditions.wait(
        cluster,
        CONFIG.path,
        judge,
        progress,
        timeout=module.params["timeout"],
        patience=module.params["patience"],
    )
    if waited.failure:
        module.fail_json(
            msg=f"route {name} is not as asked: {waited.failure}",
            route=_routes.found(waited.document, name),
            progress=progress.lines,
        )
    return waited.document


if __name__ == "__main__":
    main()

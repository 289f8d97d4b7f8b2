#!/usr/bin/python
# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: pull secrets, and what they are good for."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pull_secret_info
short_description: Read which registries a namespace can pull from, and with which Secrets
version_added: 2.0.0
description:
  - Returns the pull Secrets of a namespace with the registries they are for, the service accounts that name them,
    and, for
    those that the operator keeps, until when they are good.
  - Credentials are never returned. Nothing is written.
extends_documentation_fragment:
  - alauda.registry._images
  - alauda.registry._cluster.attributes
  - alauda.registry._cluster.action_group
options:
  namespace:
    description: The namespace; empty for all that there are.
    type: str
    default: ""
  service_account:
    description: Only Secrets that this service account names. Needs O(namespace).
    type: str
  host:
    description: Only Secrets that are for this registry, as V(registry.example.com) or V(registry.example.com:5000).
    type: str
attributes:
  diff_mode:
    support: N/A
author:
  - Alauda Container Platform (@alauda)
seealso:
  - module: alauda.registry.registry_access
"""

EXAMPLES = r"""
- name: Can the default account pull from the registry of the cluster?
  alauda.registry.pull_secret_info:
    kubeconfig: /etc/kubernetes/admin.conf
    namespace: team
    service_account: default
    host: image-registry.image-registry-system.svc:5000
  register: found

- name: It must
  ansible.builtin.assert:
    that: found.pull_secrets | length > 0
"""

RETURN = r"""
pull_secrets:
  description: The Secrets, by namespace and name.
  returned: success
  type: list
  elements: dict
  contains:
    namespace:
      description: Its namespace.
      type: str
      sample: team
    name:
      description: Its name.
      type: str
      sample: default-dockercfg-x7k2p
    hosts:
      description: Registries that it has logins for; empty also for a document that cannot be read.
      type: list
      elements: str
      sample: ["image-registry.image-registry-system.svc:5000"]
    service_accounts:
      description: Service accounts of the namespace that name it.
      type: list
      elements: str
      sample: [default]
    managed:
      description: Whether the operator keeps it.
      type: bool
    expires:
      description: Until when its token is good, if that is said by the token; else empty.
      type: str
      sample: "2026-11-21T09:00:00Z"
    readable:
      description: Whether kubelet can read it.
      type: bool
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.alauda.registry.plugins.module_utils import _arguments, _pull_secrets
from ansible_collections.alauda.registry.plugins.module_utils._cluster import ClusterError
from ansible_collections.alauda.registry.plugins.module_utils._objects import collection


def main() -> None:
    """Read Secrets of the two types, and who names them."""
    module = AnsibleModule(
        argument_spec={
            **_arguments.place_arguments(),
            "namespace": {"type": "str", "default": ""},
            "service_account": {"type": "str"},
            "host": {"type": "str"},
        },
        supports_check_mode=True,
    )
    asked = module.params
    if asked["service_account"] and not asked["namespace"]:
        module.fail_json(msg="service_account needs namespace: an account is one of a namespace")
    cluster = _arguments.connect(module)
    secrets: list[dict[str, Any]] = []
    try:
        for kind in _pull_secrets.KEYS:
            place = collection("v1", "secrets", asked["namespace"])
            secrets += [{**item, "type": kind} for item in cluster.items(place, fieldSelector=f"type={kind}")]
        accounts = cluster.items(collection("v1", "serviceaccounts", asked["namespace"]))
    except ClusterError as error:
        module.fail_json(msg=str(error))
    rows = [
        row
        for row in _pull_secrets.rows(secrets, accounts)
        if asked["service_account"] in (None, *row["service_accounts"]) and asked["host"] in (None, *row["hosts"])
    ]
    module.exit_json(changed=False, pull_secrets=rows)


if __name__ == "__main__":
    main()

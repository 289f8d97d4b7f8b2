#!/usr/bin/python
# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: a Secret or ConfigMap that the registry reads."""

from __future__ import annotations

DOCUMENTATION = r"""
module: registry_object
short_description: A Secret or ConfigMap that the image registry reads
version_added: 2.0.0
description:
  - Writes credentials of a storage, the certificate of a route, or CAs that shall be trusted, into the namespace of the
    registry. Keys that are not given stay as they are.
  - What is in a Secret is never shown. The diff has digests instead of values.
  - An object that was made by the registry itself is refused.
extends_documentation_fragment:
  - alauda.registry._cluster
  - alauda.registry._cluster.attributes
  - alauda.registry._cluster.migration
  - alauda.registry._cluster.action_group
options:
  state:
    description: Whether the object shall exist.
    type: str
    choices: [present, absent]
    default: present
  kind:
    description: What it is.
    type: str
    choices: [Secret, ConfigMap]
    default: Secret
  name:
    description: Its name, for example V(image-registry-private-configuration-user).
    type: str
    required: true
  type:
    description: Type of a Secret, V(kubernetes.io/tls) for the certificate of a route. It can not be changed later.
    type: str
    default: Opaque
  data:
    description: Texts by their keys.
    type: dict
    default: {}
  exact:
    description: Take away keys that O(data) does not name.
    type: bool
    default: false
  restart:
    description:
      - Deployments of the registry that begin anew with what has changed, because they read it only when they start.
      - One that does not exist is passed over.
    type: list
    elements: str
    default: []
attributes:
  diff_mode:
    support: full
author:
  - Alauda Container Platform (@alauda)
seealso:
  - module: alauda.registry.registry_config
  - module: alauda.registry.registry_route
"""

EXAMPLES = r"""
- name: Give the registry its credentials for S3
  alauda.registry.registry_object:
    kubeconfig: /etc/kubernetes/admin.conf
    name: image-registry-private-configuration-user
    data:
      REGISTRY_STORAGE_S3_ACCESSKEY: "{{ vault_access_key }}"
      REGISTRY_STORAGE_S3_SECRETKEY: "{{ vault_secret_key }}"
    restart: [image-registry]

- name: Trust the CA of the store
  alauda.registry.registry_object:
    kubeconfig: /etc/kubernetes/admin.conf
    kind: ConfigMap
    name: store-ca
    data:
      ca-bundle.crt: "{{ lookup('ansible.builtin.file', 'store-ca.pem') }}"
"""

RETURN = r"""
keys:
  description: The keys that the object has afterwards.
  returned: always
  type: list
  elements: str
  sample: [REGISTRY_STORAGE_S3_ACCESSKEY, REGISTRY_STORAGE_S3_SECRETKEY]
digest:
  description: A digest of what the object holds afterwards; empty without the object.
  returned: always
  type: str
  sample: sha256:9f86d081884c7d65
"""

from functools import partial

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.alauda.registry.plugins.module_utils import (
    _arguments,
    _inputs,
    _object_plan,
    _under_migration,
)
from ansible_collections.alauda.registry.plugins.module_utils._cluster import ClusterError


def main() -> None:
    """Plan, then write."""
    module = AnsibleModule(
        argument_spec={
            **_arguments.installation_arguments(),
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "kind": {"type": "str", "choices": ["Secret", "ConfigMap"], "default": "Secret"},
            "name": {"type": "str", "required": True},
            "type": {"type": "str", "default": "Opaque"},
            "data": {"type": "dict", "default": {}, "no_log": True},
            "exact": {"type": "bool", "default": False},
            "restart": {"type": "list", "elements": "str", "default": []},
            **_under_migration.arguments(),
        },
        supports_check_mode=True,
    )
    cluster = _arguments.connect(module)
    _under_migration.refuse(module, cluster)
    asked = _inputs.Asked(
        module.params["kind"],
        module.params["name"],
        module.params["namespace"],
        module.params["type"],
        {key: str(value) for key, value in module.params["data"].items()},
        module.params["exact"],
        bool(module.params["restart"]),
    )
    try:
        if (why := _inputs.refusal(cluster.find(asked.path))) is not None:
            module.fail_json(msg=why, keys=[], digest="")
        change = _object_plan.settle(
            cluster,
            asked.path,
            partial(_inputs.wish, asked=asked if module.params["state"] == "present" else None),
            check=module.check_mode,
            view=_inputs.shown,
        )
        anew = change.changed or _inputs.pending(change.before)
        restarts = [
            _object_plan.settle(
                cluster,
                _inputs.deployment(module.params["namespace"], name),
                partial(_inputs.restarted, name=asked.name, digest=_inputs.digest(change.after), anew=anew),
                check=module.check_mode,
                view=_inputs.template,
            )
            for name in module.params["restart"]
        ]
        if module.params["restart"] and not module.check_mode and _inputs.pending(change.after):
            _object_plan.settle(cluster, asked.path, _inputs.settled, check=False)
    except ClusterError as error:
        module.fail_json(msg=str(error), keys=[], digest="")
    changes = [change, *restarts]
    module.exit_json(
        changed=any(each.changed for each in changes),
        diff=_object_plan.diff(changes),
        keys=sorted((change.after or {}).get("data") or {}),
        digest=_inputs.digest(change.after),
    )


if __name__ == "__main__":
    main()

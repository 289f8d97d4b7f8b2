#!/usr/bin/python
# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: who has a role of the registry."""

from __future__ import annotations

DOCUMENTATION = r"""
module: registry_access
short_description: Let users, groups and service accounts pull, push, delete or look at images
version_added: 2.0.0
description:
  - The registry has no accounts of its own. Who may do what is said by bindings of roles that its chart makes; this
    module
    writes them.
  - A binding that people made is used again. Bindings that a program keeps (those of a chart, of the operator)
    count, and
    are never changed.
  - The plan is a dry run of the API server, so check mode is refused what the real run would be refused, for example to
    grant what oneself does not have.
extends_documentation_fragment:
  - alauda.registry._images
  - alauda.registry._cluster.attributes
  - alauda.registry._cluster.action_group
options:
  role:
    description:
      - V(puller) pulls. V(pusher) pulls, pushes, and makes repositories by it. V(deleter) deletes tags and
        repositories.
      - V(viewer) looks at streams and pulls; V(editor) does everything with the streams of the namespace.
      - V(signer) writes signatures, V(pruner) prunes images and asks for garbage collection, V(catalog_reader) lists
        repositories, V(metrics_reader) reads metrics. They are for the whole cluster.
    type: str
    required: true
    choices: [puller, pusher, deleter, viewer, editor, signer, pruner, catalog_reader, metrics_reader]
  namespace:
    description: Where the role counts; empty for every namespace.
    type: str
    default: ""
  users:
    description: Names of users.
    type: list
    elements: str
    default: []
  groups:
    description:
      - Names of groups. V(system:serviceaccounts:team) is every service account of the namespace V(team), and
        V(system:unauthenticated) is everybody without credentials.
    type: list
    elements: str
    default: []
  service_accounts:
    description: Service accounts, as V(<namespace>/<name>), or by the name alone if they are of O(namespace).
    type: list
    elements: str
    default: []
  state:
    description:
      - V(present) gives the role to those who are named, V(absent) takes it from them.
      - V(exact) gives it to them and takes it from everybody else there, but for bindings that a program keeps. Nobody
        at all is refused unless O(take_from_all) says that this is meant.
    type: str
    choices: [present, absent, exact]
    default: present
  binding:
    description:
      - The binding that takes those who do not have the role yet. Else one that people made, or a new one.
      - One that gives another role, and one that a program keeps, is refused.
    type: str
    default: ""
  take_from_all:
    description: With O(state=exact), that naming nobody is meant and takes the role from everybody there.
    type: bool
    default: false
attributes:
  diff_mode:
    support: full
author:
  - Alauda Container Platform (@alauda)
seealso:
  - module: alauda.registry.pull_secret_info
"""

EXAMPLES = r"""
- name: A builder pushes, the namespace of the tests pulls
  alauda.registry.registry_access:
    kubeconfig: /etc/kubernetes/admin.conf
    namespace: team
    role: "{{ item.role }}"
    service_accounts: "{{ item.accounts | default([]) }}"
    groups: "{{ item.groups | default([]) }}"
  loop:
    - role: pusher
      accounts: [builder]
    - role: puller
      groups: ["system:serviceaccounts:team-tests"]

- name: Nobody but these two deletes in the namespace
  alauda.registry.registry_access:
    kubeconfig: /etc/kubernetes/admin.conf
    namespace: team
    role: deleter
    users: [ann, bob]
    state: exact
"""

RETURN = r"""
holders:
  description: Everybody who has the role there (or would have it) afterwards.
  returned: success
  type: list
  elements: str
  sample: [ServiceAccount team/builder, User ann]
kept_by_programs:
  description: Bindings of the role that a program keeps as they are.
  returned: success
  type: list
  elements: str
  sample: [image-registry-system-image-pullers]
bindings:
  description: Bindings that were (or would be) made, changed or deleted.
  returned: success
  type: list
  elements: str
  sample: ["system:image-pusher"]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.alauda.registry.plugins.module_utils import _access, _arguments, _object_plan
from ansible_collections.alauda.registry.plugins.module_utils._cluster import Cluster, ClusterError
from ansible_collections.alauda.registry.plugins.module_utils._objects import collection


def main() -> None:
    """Read who has it, plan, and settle binding by binding."""
    module = AnsibleModule(
        argument_spec={
            **_arguments.place_arguments(),
            "role": {"type": "str", "required": True, "choices": list(_access.ROLES)},
            "namespace": {"type": "str", "default": ""},
            "users": {"type": "list", "elements": "str", "default": []},
            "groups": {"type": "list", "elements": "str", "default": []},
            "service_accounts": {"type": "list", "elements": "str", "default": []},
            "state": {"type": "str", "choices": ["present", "absent", "exact"], "default": "present"},
            "binding": {"type": "str", "default": ""},
            "take_from_all": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    asked = module.params
    try:
        named = tuple(_access.subjects(asked["namespace"], asked["users"], asked["groups"], asked["service_accounts"]))
    except _access.InvalidSubject as error:
        module.fail_json(msg=str(error))
    if not named and asked["state"] != "exact":
        module.fail_json(msg=f"state {asked['state']} needs somebody: users, groups or service_accounts")
    if not named and not asked["take_from_all"]:
        module.fail_json(
            msg=f"state exact with nobody named takes the role {asked['role']} from everybody "
            f"{'in ' + asked['namespace'] if asked['namespace'] else 'in the cluster'}: nothing was changed. An empty "
            "list is often a variable that is not set; if it is meant, say take_from_all=true"
        )
    order = _access.Order(_access.ROLES[asked["role"]], asked["namespace"], named, asked["state"], asked["binding"])
    cluster = _arguments.connect(module)
    try:
        result = settle(cluster, order, check=module.check_mode)
    except (ClusterError, _access.ForeignBinding) as error:
        module.fail_json(msg=str(error))
    for name in result.pop("in_vain"):
        module.warn(f"binding {name} gives the role as well and is kept by a program: take it away there")
    module.exit_json(**result)


def settle(cluster: Cluster, order: _access.Order, *, check: bool) -> dict[str, Any]:
    """The result of the module. Raises ClusterError and ForeignBinding."""
    place = collection(_access.VERSION, "rolebindings" if order.namespace else "clusterrolebindings", order.namespace)
    everything = cluster.items(place)
    bindings = [binding for binding in everything if _access.gives(binding, order.role)]
    taken = {str(binding["metadata"]["name"]) for binding in everything}
    changes = [
        _object_plan.settle(
            cluster,
            f"{place}/{name}",
            lambda current, name=name, after=after: _access.wished(order, name, after, current),
            check=check,
        )
        for name, after in _access.plan(bindings, order, taken).items()
    ]
    programs = [binding for binding in bindings if _access.of_a_program(binding)]
    written = {change.path.rpartition("/")[2]: change.after for change in changes}
    untouched = [binding for binding in bindings if binding["metadata"]["name"] not in written]
    unwanted = {_access.named(subject) for subject in order.subjects} if order.state == "absent" else set()
    return {
        "changed": any(change.changed for change in changes),
        "diff": _object_plan.diff(changes),
        "holders": _access.holders([*untouched, *(after for after in written.values() if after)]),
        "kept_by_programs": sorted(str(binding["metadata"]["name"]) for binding in programs),
        "bindings": sorted(name for name, change in zip(written, changes, strict=True) if change.changed),
        "in_vain": [
            str(binding["metadata"]["name"]) for binding in programs if unwanted & set(_access.holders([binding]))
        ],
    }


if __name__ == "__main__":
    main()

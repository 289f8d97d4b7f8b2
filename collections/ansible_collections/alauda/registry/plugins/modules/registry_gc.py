#!/usr/bin/python
# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: the registry's own upkeep, asked for and followed."""

from __future__ import annotations

DOCUMENTATION = r"""
module: registry_gc
short_description: Let the registry collect garbage, verify or scrub what lies in its storage
version_added: 2.0.0
description:
  - The registry does the work, beside its service; this module asks for it, follows it to its end and returns its
    report.
    A task that is interrupted ends nothing, and the next one follows the run that is at work.
  - Without O(confirm) and in check mode nothing is changed; the report is that of the plan.
  - Without O(registry_url) it goes through the API server to a Pod of the registry (port forward), with TLS to the end.
extends_documentation_fragment:
  - alauda.registry._images
  - alauda.registry._images.package
  - alauda.registry._cluster.attributes
  - alauda.registry._cluster.action_group
  - alauda.registry._cluster.migration
options:
  task:
    description:
      - V(gc) gives back the space of blobs that no image needs.
      - V(verify) says whether everything is there that the registry says it has. It changes nothing.
      - V(scrub) reads every blob and compares it with its digest; what is corrupt is put aside.
    type: str
    choices: [gc, verify, scrub]
    default: gc
  confirm:
    description: Do it. Without it the task is never changed. V(verify) needs none.
    type: bool
    default: false
  grace:
    description: V(gc) leaves alone what is younger.
    type: str
    default: 24h
  trash:
    description: How long what V(gc) threw away can be had back.
    type: str
    default: 24h
  at_most:
    description: V(gc) refuses to throw away more than this part of all blobs, in percent.
    type: int
    default: 50
  scope:
    description: What V(verify) looks at, C(<namespace>[/<repository>]); empty for everything.
    type: str
    default: ""
  deep:
    description: Let V(verify) read every byte and compare it with its digest.
    type: bool
    default: false
  rate:
    description:
      - Changes in a second for V(gc), MiB in a second for V(verify) and V(scrub), at most. V(0) is no limit.
      - If not given, V(50) for V(scrub), and no limit for the others.
    type: float
  namespace:
    description: Namespace of the registry.
    type: str
    default: image-registry-system
  registry_url:
    description: Address of the registry, C(https\://<host>[\:<port>]), if it is not asked through the API server.
    type: str
    default: ""
  ca_path:
    description: File with CAs that are trusted for O(registry_url); else the one that the registry shows in its
      namespace.
    type: path
  token:
    description: Token of the cluster with which the registry is asked; else that of the kubeconfig.
    type: str
  service_account:
    description:
      - Ask with a token of this service account, C(<namespace>/<name>), that is good for ten minutes; for a
        kubeconfig with
        a client certificate, which a registry does not know.
      - The one of the chart that may is V(image-registry-system/pruner).
    type: str
    default: ""
  fail_on_faults:
    description: Fail if V(verify) or V(scrub) found something wrong, or V(gc) could not do something.
    type: bool
    default: true
attributes:
  check_mode:
    support: full
    details:
      - The dry run is made by the registry itself.
  diff_mode:
    support: full
    description: Shows what V(gc) throws away and removes.
  idempotent:
    support: partial
    details:
      - What became old enough in between goes in the next run.
author:
  - Alauda Container Platform (@alauda)
seealso:
  - module: alauda.registry.image_prune
"""

EXAMPLES = r"""
- name: Give back the space of what no image needs
  alauda.registry.registry_gc:
    kubeconfig: /etc/kubernetes/admin.conf
    service_account: image-registry-system/pruner
    confirm: true
  register: collected

- name: Say how much it was
  ansible.builtin.debug:
    msg: "{{ collected.report.bytesFreed }} bytes"

- name: Is everything there?
  alauda.registry.registry_gc:
    kubeconfig: /etc/kubernetes/admin.conf
    task: verify
    scope: team
"""

RETURN = r"""
report:
  description: The report of the run, as C(ac adm registry gc -o json) and its like print it.
  returned: when the run ended
  type: dict
  sample: {dryRun: false, blobs: 812, bytesFreed: 8123456789}
run:
  description: Identity, state, times and askers of the run.
  returned: when the run ended
  type: dict
  sample: {id: 8f14e45f, state: succeeded}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.alauda.registry.plugins.module_utils import _arguments, _spelling, _under_migration, _upkeep


def main() -> None:
    """Ask, follow, tell."""
    module = AnsibleModule(
        argument_spec={
            **_arguments.place_arguments(),
            "task": {"type": "str", "choices": ["gc", "verify", "scrub"], "default": "gc"},
            "confirm": {"type": "bool", "default": False},
            "grace": {"type": "str", "default": "24h"},
            "trash": {"type": "str", "default": "24h"},
            "at_most": {"type": "int", "default": 50},
            "scope": {"type": "str", "default": ""},
            "deep": {"type": "bool", "default": False},
            "rate": {"type": "float"},
            "namespace": {"type": "str", "default": _arguments.NAMESPACE},
            "registry_url": {"type": "str", "default": ""},
            "ca_path": {"type": "path"},
            "token": {"type": "str", "no_log": True},
            "service_account": {"type": "str", "default": ""},
            "fail_on_faults": {"type": "bool", "default": True},
            **_under_migration.arguments(),
        },
        mutually_exclusive=[("token", "service_account")],
        supports_check_mode=True,
    )
    _upkeep.need_package(module)
    asked = module.params
    taking = asked["confirm"] and asked["task"] != "verify"
    alone = asked["registry_url"] and asked["token"] and not taking
    cluster = None if alone else _arguments.connect(module)
    if taking:
        _under_migration.refuse(module, cluster)
    try:
        run = _upkeep.ended(_upkeep.door(cluster, asked), asked, confirm=asked["confirm"] and not module.check_mode)
    except _upkeep.UpkeepError as error:
        module.fail_json(msg=_spelling.as_options(str(error), module.argument_spec))
    found = _upkeep.told(run, confirm=asked["confirm"])
    if found.faults and asked["fail_on_faults"]:
        module.fail_json(msg=found.faults, **found.result)
    module.exit_json(**found.result)


if __name__ == "__main__":
    main()

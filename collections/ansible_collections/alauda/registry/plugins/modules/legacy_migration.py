#!/usr/bin/python
# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: run a migration plan, or take it back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: legacy_migration
short_description: Run the plan of a migration from a legacy registry, or take it back
version_added: 2.0.0
description:
  - Executes what M(alauda.registry.legacy_migration_plan) planned, step by step. Each step is written into a journal
    before it is done, so a run that was interrupted goes on where it was.
  - O(state=rolled_back) takes back what was done, the last step first, with what the journal saved.
  - Phase C(finalize) and a rollback only show what they would do, until O(confirm=true).
  - A plan with findings that block is refused, and so is a cutover while a gate is not green; exceptions are accepted
    by name.
extends_documentation_fragment:
  - alauda.registry._cluster
  - alauda.registry._cluster.attributes
  - alauda.registry._cluster.action_group
  - alauda.registry._cluster.helm
options:
  state:
    description:
      - Whether to go on with the plan or to take it back.
      - V(checked) looks at once at what all phases up to the cutover need - steps done by hand, both registries and
        their logins, chart or operator, objects and hosts as planned, the rights of the caller - and fails with the
        whole list, while the freeze is not done. It writes nothing.
    type: str
    choices: [executed, rolled_back, checked]
    default: executed
  plan:
    description: File of the plan, as O(alauda.registry.legacy_migration_plan#module:dest).
    type: path
    required: true
  journal:
    description: File of the journal; the first run makes it. Keep it, it holds the way back.
    type: path
    required: true
  phases:
    description:
      - Only these phases, without one between them that the plan has steps of.
      - A phase is refused while an earlier one has something left.
    type: list
    elements: str
    choices: [prepare, freeze, attach, copy, backfill, gates, cutover, observe, finalize]
    default: []
  until:
    description: Up to this phase; V(cutover) if neither this nor O(phases) is given.
    type: str
    choices: [prepare, freeze, attach, copy, backfill, gates, cutover, observe, finalize]
  confirm:
    description: Do what there is no way back from (C(finalize)), or a rollback.
    type: bool
    default: false
  accept:
    description: Exceptions of gates and steps done by hand, by name; C(*) stands for any text.
    type: list
    elements: str
    default: []
  max_per_registry:
    description:
      - Requests at once of a copy, for each of the two registries; from 1 to 64.
      - Fewer spare a legacy registry that clients still pull from.
    type: int
    default: 16
    version_added: 2.0.0
  method:
    description:
      - How this registry is installed; V(operator) where there is one, else V(helm) with O(chart_ref).
      - V(helm) is refused where an operator looks after the registry.
    type: str
    choices: [operator, helm]
  chart_ref:
    description: The chart, as a folder, an archive or an address that Helm can pull.
    type: str
  chart_version:
    description: Version of a chart that is pulled.
    type: str
  values:
    description: Values of the chart, below those of the plan.
    type: dict
    default: {}
  content:
    description: File of the survey that the plan was made from.
    type: path
  source_url:
    description: Where the legacy registry is asked, for images that are copied and for gates.
    type: str
  source_token:
    description: A token for it.
    type: str
  target_url:
    description: Where this registry is asked; by default at the address of its Service, with its own CA.
    type: str
  target_token:
    description: A token for it.
    type: str
  validate_certs:
    description: Whether certificates of both registries are checked.
    type: bool
    default: true
  ca_path:
    description: File with CAs (PEM) that are trusted beside those of the system.
    type: path
  global_kubeconfig:
    description: Kubeconfig of the global cluster, where records of the installation may lie.
    type: path
  html:
    description:
      - File to write the report for people to. It is brought up to date while this runs, and at its end.
      - A report that cannot be written is told in RV(lines), and ends nothing.
    type: path
  report:
    description: File to write the same to as JSON, as RV(progress) has it.
    type: path
  assume:
    description:
      - In check mode, phases that count as done, because the same playbook would have done them before. What they would
        write is taken into account. Without check mode it means nothing.
    type: list
    elements: str
    choices: [prepare, freeze, attach, copy, backfill, gates, cutover, observe, finalize]
    default: []
    version_added: 2.0.0
attributes:
  check_mode:
    support: partial
    details:
      - Nothing is written, neither in a cluster nor beside O(journal). RV(changes) are the steps that the run then
        changes something by, each seen after what those before it would leave.
      - What a run would refuse it refuses in the same words, and fails by a gate that is not green where it can be
        asked already.
      - RV(unknown) names what no one can say before the steps that come first are done - most gates, and whether Pods
        come up. Waiting, copying and what other people write meanwhile may end a run that was foreseen well.
  diff_mode:
    support: full
    description: Shows a line for each step that is left.
requirements:
  - alauda-image-registry
author:
  - Alauda Container Platform (@alauda)
seealso:
  - module: alauda.registry.legacy_migration_plan
"""

EXAMPLES = r"""
- name: Everything up to the cutover
  alauda.registry.legacy_migration:
    kubeconfig: /etc/kubernetes/admin.conf
    plan: plan.json
    journal: journal.jsonl
    chart_ref: charts/image-registry
    html: progress.html

- name: Take it back
  alauda.registry.legacy_migration:
    kubeconfig: /etc/kubernetes/admin.conf
    plan: plan.json
    journal: journal.jsonl
    chart_ref: charts/image-registry
    state: rolled_back
    confirm: true
"""

RETURN = r"""
steps:
  description: A line for each step that was done, would be done, or was taken back.
  returned: always
  type: list
  elements: str
  sample: ["prepare install: Install this registry, suspended and unused"]
changes:
  description:
    - Identities of the steps that changed something, or would. Steps that only look, wait or compare are not among
      them.
    - In check mode a step that is in RV(unknown) and writes is among them.
  returned: success
  type: list
  elements: str
  sample: [install, "freeze/ClusterRole system:image-pusher"]
unknown:
  description: In check mode, steps of which it is not known yet what they find or change, and why.
  returned: success
  type: list
  elements: str
  sample: ["gate/tags: it is not known before 'Make streams and 15 Images from the storage' (backfill) is done"]
waits:
  description: What it is too early for, with the hours that are left; empty where nothing is. The run has not failed.
  returned: success
  type: str
  sample: "no Pod waits for an image; watched since 2026-11-21T00:00:12Z, 3.0 h are left: run again then"
progress:
  description: >-
    How far the migration is, by phases and steps, with times and what came of each. C(results) has, of a step that
    is about images or other things, how many ended how, and each that is not well with its cause and the name by which
    it is accepted.
  returned: success
  type: dict
  sample: {done: 12, total: 41}
lines:
  description: What was said while it ran, with the seconds since its start.
  returned: always
  type: list
  elements: str
  sample: ["   0 s: step 1 of 41 (prepare): Save ClusterRole system:image-puller as it is"]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.alauda.registry.plugins.module_utils import _migration, _migration_run
from ansible_collections.alauda.registry.plugins.module_utils._progress import Progress

PHASES = ["prepare", "freeze", "attach", "copy", "backfill", "gates", "cutover", "observe", "finalize"]


def main() -> None:
    """Run or roll back."""
    module = AnsibleModule(
        argument_spec={
            "kubeconfig": {"type": "path", "required": True},
            "context": {"type": "str"},
            "namespace": {"type": "str", "default": "image-registry-system"},
            "release_name": {"type": "str", "default": "image-registry"},
            "helm_binary": {"type": "str", "default": "helm"},
            "state": {"type": "str", "choices": ["executed", "rolled_back", "checked"], "default": "executed"},
            "plan": {"type": "path", "required": True},
            "journal": {"type": "path", "required": True},
            "phases": {"type": "list", "elements": "str", "choices": PHASES, "default": []},
            "until": {"type": "str", "choices": PHASES},
            "confirm": {"type": "bool", "default": False},
            "accept": {"type": "list", "elements": "str", "default": []},
            "max_per_registry": {"type": "int", "default": 16},
            "method": {"type": "str", "choices": ["operator", "helm"]},
            "chart_ref": {"type": "str"},
            "chart_version": {"type": "str"},
            "values": {"type": "dict", "default": {}},
            "content": {"type": "path"},
            "source_url": {"type": "str"},
            "source_token": {"type": "str", "no_log": True},
            "target_url": {"type": "str"},
            "target_token": {"type": "str", "no_log": True},
            "validate_certs": {"type": "bool", "default": True},
            "ca_path": {"type": "path"},
            "global_kubeconfig": {"type": "path"},
            "html": {"type": "path"},
            "report": {"type": "path"},
            "assume": {"type": "list", "elements": "str", "choices": PHASES, "default": []},
        },
        mutually_exclusive=[("phases", "until")],
        supports_check_mode=True,
    )
    _migration.need_package(module)
    tell = Progress()
    asked = {**module.params, "_check": module.check_mode, **({} if module.check_mode else {"assume": []})}
    do = {
        "executed": _migration_run.execute,
        "rolled_back": _migration_run.take_back,
        "checked": _migration_run.look_ahead,
    }[module.params["state"]]
    try:
        found = do(asked, tell, only_show=module.check_mode)
    except _migration.MigrationError as error:
        module.fail_json(msg=str(error), changed=error.changed, steps=error.steps, lines=tell.lines)
    prepared = "\n".join(found.steps)
    module.exit_json(
        changed=found.changed,
        steps=found.steps,
        changes=list(found.changes),
        unknown=list(found.unknown),
        waits=found.waits,
        progress=found.progress,
        lines=tell.lines,
        diff={"prepared": prepared} if found.steps else {},
    )


if __name__ == "__main__":
    main()

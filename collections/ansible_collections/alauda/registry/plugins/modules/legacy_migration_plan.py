#!/usr/bin/python
# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: the plan of a migration from a legacy registry."""

from __future__ import annotations

DOCUMENTATION = r"""
module: legacy_migration_plan
short_description: Plan the migration from a legacy registry
version_added: 2.0.0
description:
  - Judges what M(alauda.registry.legacy_registry_info) found, and plans the migration to the last object. No cluster
    is asked.
  - The same inventory, survey and choices give the same plan, with the same digest.
  - It can write the plan and a report for people. A file that is of the same plan already is left alone.
extends_documentation_fragment:
  - alauda.registry._cluster.attributes
options:
  inventory:
    description: RV(alauda.registry.legacy_registry_info#module:inventory).
    type: dict
    required: true
  content:
    description: File of the survey. Without it a plan can be read and not be executed.
    type: path
  generation:
    description: Which of two legacy registries, where two run.
    type: str
    choices: [image-registry, internal-docker-registry]
  way:
    description: Keep the storage, or copy; what is possible if not given.
    type: str
    choices: [reuse, copy]
  host:
    description:
      - Under which workloads name images afterwards; that of this registry's Service if empty.
    type: str
    default: ""
  source_url:
    description:
      - Where the legacy registry will be asked while the plan is executed. A host that leads to this registry after the
        cutover is a finding that blocks, as the last gate could not ask there.
    type: str
    default: ""
  renames:
    description: New names that were chosen, by the old ones.
    type: dict
    default: {}
  accept:
    description: Identities of findings that are accepted; C(*) stands for any text.
    type: list
    elements: str
    default: []
  claim_size:
    description: Size of the claim that a copy goes to, as V(500Gi).
    type: str
    default: ""
  claim_class:
    description: StorageClass of the claim that a copy goes to; empty for the cluster's default.
    type: str
    default: ""
  claim_access_mode:
    description:
      - Access mode of the claim that a copy goes to. Without V(ReadWriteMany) one node can mount it, and the plan has
        one replica, however many the legacy registry had.
    type: str
    choices: [ReadWriteOnce, ReadWriteOncePod, ReadWriteMany]
  rate:
    description: MiB that a copy moves in a second, for the estimate.
    type: float
    default: 60.0
  dest:
    description: File to write the plan to.
    type: path
  journal:
    description:
      - File of the journal of the plan in O(dest). While something of that plan is done, it is not replaced. When all
        of it was taken back, journal and plan are kept under names with the time of the journal's end.
    type: path
  check_dest:
    description: File to write the plan to in check mode. Without check mode it means nothing.
    type: path
    version_added: 2.0.0
  html:
    description: File to write the report for people to.
    type: path
  findings:
    description: File to write the findings to, as JSON, with RV(blockers) and the digest of the plan.
    type: path
  require_ready:
    description: Fail if the plan cannot be executed. Files are written before.
    type: bool
    default: false
attributes:
  action_group:
    support: none
    description: Use C(group/alauda.registry.registry) in C(module_defaults) to name the cluster once for all modules.
    details:
      - This module asks no cluster, so it has no options that name one.
    membership: []
  check_mode:
    support: full
    details:
      - The plan is made and returned, and written nowhere but to O(check_dest).
  diff_mode:
    support: full
    description: Shows what the plan would change in workloads, when it is another plan than in O(dest).
requirements:
  - alauda-image-registry
author:
  - Alauda Container Platform (@alauda)
seealso:
  - module: alauda.registry.legacy_registry_info
"""

EXAMPLES = r"""
- name: Plan, with one exception
  alauda.registry.legacy_migration_plan:
    inventory: "{{ legacy.inventory }}"
    content: content.jsonl
    accept:
      - nested-path:team/tools/report
    dest: plan.json
    html: plan.html
    require_ready: true
"""

RETURN = r"""
plan:
  description: The plan, as C(ac adm migrate plan --out) writes it.
  returned: always
  type: dict
  sample: {version: 1, way: reuse, host: "image-registry.image-registry-system.svc:5000"}
ready:
  description: Whether it may be executed.
  returned: always
  type: bool
blockers:
  description: Identities of findings that stand in the way and were not accepted.
  returned: always
  type: list
  elements: str
  sample: ["nested-path:team/tools/report"]
lines:
  description: What was said while it ran, with the seconds since its start.
  returned: success
  type: list
  elements: str
  sample: ["   0 s: judging 812 repositories and 40 workloads"]
archived:
  description: Names under which an ended journal and its plan are kept, or would be.
  returned: always
  type: list
  elements: str
  sample: ["/srv/migrations/one/journal.20261122T030000Z.jsonl"]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.alauda.registry.plugins.module_utils import _migration, _spelling
from ansible_collections.alauda.registry.plugins.module_utils._progress import Progress

MOST_NAMED = 20
"""The page and the document have all of them."""


def _named(plan: dict[str, Any], blockers: list[str]) -> str:
    """A line for each, with its cause."""
    causes = {f"{entry['rule']}:{entry['object']}": entry["cause"] for entry in plan["findings"]}
    named = "".join(f"\n- {name}: {causes.get(name, '')}" for name in blockers[:MOST_NAMED])
    rest = len(blockers) - MOST_NAMED
    return named + (f"\n- and {rest} more: all of them are in the plan, and in the page of html" if rest > 0 else "")


def main() -> None:
    """Plan; write what is new."""
    module = AnsibleModule(
        argument_spec={
            "inventory": {"type": "dict", "required": True},
            "content": {"type": "path"},
            "generation": {"type": "str", "choices": ["image-registry", "internal-docker-registry"]},
            "way": {"type": "str", "choices": ["reuse", "copy"]},
            "host": {"type": "str", "default": ""},
            "source_url": {"type": "str", "default": ""},
            "renames": {"type": "dict", "default": {}},
            "accept": {"type": "list", "elements": "str", "default": []},
            "claim_size": {"type": "str", "default": ""},
            "claim_class": {"type": "str", "default": ""},
            "claim_access_mode": {"type": "str", "choices": ["ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany"]},
            "rate": {"type": "float", "default": 60.0},
            "dest": {"type": "path"},
            "journal": {"type": "path"},
            "check_dest": {"type": "path"},
            "html": {"type": "path"},
            "findings": {"type": "path"},
            "require_ready": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    _migration.need_package(module)
    tell = Progress()
    files: dict[str, str] = {}
    new: list[str] = []
    archived: list[str] = []
    try:
        plan, page, blockers, changes = _migration.planned(module.params, tell)
        judged = {"plan": plan["digest"], "findings": plan["findings"], "blockers": blockers}
        files = {
            module.params["dest"]: _migration.as_json(plan),
            module.params["html"]: page,
            module.params["findings"]: _migration.as_json(judged),
        }
        new = [path for path in files if path and _migration.differs(path, plan["digest"])]
        if module.params["dest"] in new and module.params["journal"]:
            archived = _migration.put_aside(module.params["dest"], module.params["journal"], check=module.check_mode)
    except _migration.MigrationError as error:
        module.fail_json(msg=str(error))
    if module.check_mode:
        files = {module.params["check_dest"]: _migration.as_json(plan)}
    for path in files if module.check_mode else new:
        if path:
            _migration.write(module, path, files[path])
    result = {
        "changed": bool(new),
        "plan": plan,
        "ready": not blockers,
        "blockers": blockers,
        "archived": archived,
        "lines": tell.lines,
        "diff": {"prepared": changes} if new else {},
    }
    if blockers and module.params["require_ready"]:
        module.fail_json(
            msg=f"{len(blockers)} findings stand in the way. Remove their causes, or accept them by name "
            f"({_spelling.ACCEPTED_WITH_PLAN}). Next: tag plan of the role migrate{_named(plan, blockers)}",
            **result,
        )
    module.exit_json(**result)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: how far a migration is."""

from __future__ import annotations

DOCUMENTATION = r"""
module: legacy_migration_info
short_description: See how a plan of a migration stands
version_added: 2.0.0
description:
  - Reads a plan and its journal, and says what was done of it. No cluster is asked, and nothing is written.
extends_documentation_fragment:
  - alauda.registry._cluster.attributes
options:
  plan:
    description: File of the plan, as O(alauda.registry.legacy_migration_plan#module:dest).
    type: path
    required: true
  journal:
    description: File of the journal.
    type: path
    required: true
attributes:
  action_group:
    support: none
    description: Use C(group/alauda.registry.registry) in C(module_defaults) to name the cluster once for all modules.
    details:
      - This module asks no cluster, so it has no options that name one.
    membership: []
  diff_mode:
    support: N/A
requirements:
  - alauda-image-registry
author:
  - Alauda Container Platform (@alauda)
seealso:
  - module: alauda.registry.legacy_migration
  - module: alauda.registry.legacy_migration_plan
"""

EXAMPLES = r"""
- name: How far is it?
  alauda.registry.legacy_migration_info:
    plan: plan.json
    journal: journal.jsonl
  register: migration
"""

RETURN = r"""
state:
  description:
    - V(none) without a plan, V(planned) while nothing of it was done, V(begun), V(ended) when all of it was taken back,
      V(unreadable) for one that was changed after it was made.
  returned: success
  type: str
  sample: planned
why:
  description: Why the plan cannot be read; empty for one that can.
  returned: success
  type: str
digest:
  description: Of the plan; empty without one.
  returned: success
  type: str
ready:
  description: Whether it may be executed.
  returned: success
  type: bool
progress:
  description: As RV(alauda.registry.legacy_migration#module:progress); empty without a plan.
  returned: success
  type: dict
  sample: {done: 12, total: 41}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.alauda.registry.plugins.module_utils import _migration, _migration_run


def main() -> None:
    """Read."""
    module = AnsibleModule(
        argument_spec={
            "plan": {"type": "path", "required": True},
            "journal": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    _migration.need_package(module)
    try:
        found = _migration_run.stands(module.params["plan"], module.params["journal"])
    except _migration.MigrationError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()

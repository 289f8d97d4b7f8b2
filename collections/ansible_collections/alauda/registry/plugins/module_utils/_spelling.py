# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What messages of the migration engine advise, in the words of who runs playbooks: the variable of the role, which
most people set, and the option of the module behind it.

Private to this collection. The engine asks for these words; none of its messages names an option by itself.
"""

from __future__ import annotations

import re
from typing import Any

ACCEPTED_WITH_PLAN = "registry_migrate_accept of the role, accept of the module"
"""Findings of a plan are accepted while it is made; exceptions while it runs by another name."""

OPTIONS = {
    "accept": "accept",
    "chart": "chart_ref",
    "claim-access-mode": "claim_access_mode",
    "claim-class": "claim_class",
    "claim-size": "claim_size",
    "content": "content",
    "generation": "generation",
    "global-kubeconfig": "global_kubeconfig",
    "helm": "helm_binary",
    "image-field": "image_fields",
    "max-per-registry": "max_per_registry",
    "method": "method",
    "rename": "renames",
    "source-url": "source_url",
    "storage-root": "storage_root",
    "survey-bucket": "bucket",
    "target-url": "target_url",
    "until": "until",
    "values": "values",
    "way": "way",
}
"""Options of the modules, by what the engine calls them."""

VARIABLES = {
    "accept": "registry_migrate_accept_exceptions",
    "chart": "registry_chart_ref",
    "helm": "registry_helm_binary",
    "survey-bucket": "registry_migrate_survey_bucket",
    "until": "",
}
"""Variables of the role ``migrate`` that are not called ``registry_migrate_<option>``; empty for none."""

TASKS = {
    "plan": "the tag plan of the role migrate (module legacy_migration_plan)",
    "prune": "the role prune (module image_prune without confirm)",
    "survey": "the tag plan of the role migrate with registry_migrate_survey_url (module legacy_registry_survey)",
    "tag": "the module image_stream_tag",
}
"""What somebody runs."""

LEAVE_ROLES = "leave-roles"
"""The operator is told by the role that installs it, with what else the inventory says of it."""

LISTS, PAIRS, FLAGS = ("accept", "image-field"), ("rename",), ("survey-bucket",)


def for_playbooks(what: str, value: str = "") -> str:
    """As the engine asks for it, with a value if there is one."""
    name = str(what)
    if name == LEAVE_ROLES:
        roles = f"{{operand: {{clusterRoles: {{leave: [{value.replace(',', ', ')}]}}}}}}"
        return (
            f"registry_operator_values: {roles} in the inventory beside what it says of the operator, with "
            "registry_config: {managementState: Unmanaged} while there is no registry of it yet, and "
            "playbooks/install.yml with -e registry_accept_migration=<digest of the plan>, which the migration holds "
            "back otherwise"
        )
    if name in TASKS:
        return TASKS[name]
    option, said = OPTIONS[name], _value(name, value.strip("'"))
    variable = VARIABLES.get(name, f"registry_migrate_{option}")
    if not variable:
        return f"{option}{said} of the module"
    return f"{variable}{said} of the role, {option} of the module"


def _value(name: str, value: str) -> str:
    if name in FLAGS:
        return ": true"
    if not value:
        return ""
    if name in PAIRS:
        old, _sign, new = value.partition("=")
        return f": {{{old}: {new}}}"
    return f": ['{value}']" if name in LISTS else f": {value}"


OF_PROGRAMS = {"certificate-authority": "ca_path"}
"""Options of programs whose messages a module passes on, where the module calls them otherwise."""

IN_ROLES = {"replace": "registry_storage_copy_replace of the role storage"}
"""Variables behind options of modules that only a role sets."""

_OPTION = re.compile(r"`[^`]*`|(?<![\w-])--([a-z][a-z-]*[a-z])")
"""Or a whole command, which is typed as it stands."""


def as_options(text: str, known: dict[str, Any]) -> str:
    """A message of a program or a Job, with those of its options that the module has as the module calls them.

    ``known`` is the module's argument_spec.
    """

    def spelled(found: re.Match[str]) -> str:
        name = OF_PROGRAMS.get(found[1], found[1].replace("-", "_")) if found[1] else ""
        if name not in known:
            return found[0]
        flag = "=true" if known[name].get("type") == "bool" else ""
        return f"{name}{flag}" + (f" ({IN_ROLES[name]})" if name in IN_ROLES else "")

    return _OPTION.sub(spelled, text)

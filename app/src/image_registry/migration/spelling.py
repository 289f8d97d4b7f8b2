"""How the caller says what a message advises: the command has options, Ansible has variables, and who reads a message
about ``--accept`` in a playbook does not know where to write it.

The engine knows what can be said to it, and each door gives it the words. A message that advises something asks for
them here, so that no other module of the engine names an option.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol


class Said(StrEnum):
    """What somebody can say to a migration, or run for it. The value is the option's name where it is one."""

    ACCEPT = "accept"
    """An exception, or what was done by hand, while a plan is executed."""
    CHART = "chart"
    CLAIM_ACCESS_MODE = "claim-access-mode"
    CLAIM_CLASS = "claim-class"
    CLAIM_SIZE = "claim-size"
    CONTENT = "content"
    """The file of the survey."""
    GENERATION = "generation"
    GLOBAL_KUBECONFIG = "global-kubeconfig"
    HELM = "helm"
    IMAGE_FIELD = "image-field"
    """With ``GROUP/VERSION/RESOURCE=PATH``."""
    MAX_PER_REGISTRY = "max-per-registry"
    METHOD = "method"
    RENAME = "rename"
    """With ``OLD=NEW``."""
    SOURCE_URL = "source-url"
    STORAGE_ROOT = "storage-root"
    SURVEY_BUCKET = "survey-bucket"
    TARGET_URL = "target-url"
    UNTIL = "until"
    VALUES = "values"
    WAY = "way"
    DO_LEAVE_ROLES = "leave-roles"
    """To tell an operator, which Helm has installed, what roles it leaves to others: names with commas, or none."""
    DO_PLAN = "plan"
    """To make a plan, and so on."""
    DO_PRUNE = "prune"
    DO_SURVEY = "survey"
    DO_TAG = "tag"


class Spelling(Protocol):
    """The words of one door."""

    def __call__(self, what: Said, value: str = "") -> str:
        """As somebody would write it there, with a value if there is one."""


OPERATOR = "cluster-image-registry-operator"

_COMMANDS = {
    Said.DO_PLAN: "`ac adm migrate plan --out`",
    Said.DO_PRUNE: "`ac adm prune images`",
    Said.DO_SURVEY: "`ac adm migrate discover --content`",
    Said.DO_TAG: "`ac tag`",
}


def command_line(what: Said, value: str = "") -> str:
    """The words of ``ac adm migrate``."""
    if what is Said.DO_LEAVE_ROLES:
        return f"`helm upgrade {OPERATOR} … --reuse-values --set 'operand.clusterRoles.leave={{{value}}}'`"
    return _COMMANDS.get(what) or f"--{what.value} {value}".rstrip()

#!/usr/bin/python
# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: what lies in a legacy registry."""

from __future__ import annotations

DOCUMENTATION = r"""
module: legacy_registry_survey
short_description: Survey what lies in a legacy registry
version_added: 2.0.0
description:
  - Looks at every repository, tag, manifest and blob of a legacy registry, through its API, in the folder of its
    volume or in its bucket, and writes the list into a file.
  - The registry is only read. A survey that was interrupted goes on where it was; one that was finished is made anew,
    and the one before stays beside it with the suffix C(.before).
extends_documentation_fragment:
  - alauda.registry._cluster.attributes
  - alauda.registry._cluster.action_group
options:
  content:
    description: File of the survey.
    type: path
    required: true
  check_content:
    description: File for the survey in check mode, which stays there. Without check mode it means nothing.
    type: path
    version_added: 2.0.0
  registry_url:
    description: Address of the legacy registry, V(http(s\)://host[:port]). Exactly one of the three places is named.
    type: str
    default: ""
  storage_root:
    description: Folder that holds C(docker/registry/v2) of the legacy registry.
    type: path
  bucket:
    description:
      - Look into the bucket that O(inventory) tells of, with the credentials of its Secret, which are read for this
        and kept nowhere. For a registry that hides its catalog, or does not run.
    type: bool
    default: false
  inventory:
    description: RV(alauda.registry.legacy_registry_info#module:inventory); needed with O(bucket=true).
    type: dict
  kubeconfig:
    description:
      - Path of the kubeconfig of the cluster, on the machine where the module runs; needed with O(bucket=true).
    type: path
  context:
    description: Context of the kubeconfig; its current context if not given.
    type: str
  token:
    description: Token of the cluster with which the legacy registry is asked.
    type: str
  ca_path:
    description: File with CAs (PEM) that are trusted beside those of the system.
    type: path
  validate_certs:
    description: Whether the certificate of the legacy registry must be trusted.
    type: bool
    default: true
  at_once:
    description: Repositories that are asked for at a time.
    type: int
    default: 4
  per_second:
    description: Requests in a second, at most.
    type: int
    default: 400
  check_blobs:
    description: Ask of every blob whether it is there.
    type: bool
    default: true
attributes:
  check_mode:
    support: full
    details:
      - The registry is surveyed as in a run, which takes as long, into O(check_content) or a temporary file that is
        removed. O(content) stays as it is.
  diff_mode:
    support: N/A
requirements:
  - alauda-image-registry
author:
  - Alauda Container Platform (@alauda)
seealso:
  - module: alauda.registry.legacy_registry_info
  - module: alauda.registry.legacy_migration_plan
"""

EXAMPLES = r"""
- name: Survey it through its Service
  alauda.registry.legacy_registry_survey:
    content: content.jsonl
    registry_url: http://10.4.0.16
    token: "{{ registry_token }}"

- name: Find what there is
  alauda.registry.legacy_registry_info:
    kubeconfig: /etc/kubernetes/admin.conf
  register: legacy

- name: Survey its bucket
  alauda.registry.legacy_registry_survey:
    kubeconfig: /etc/kubernetes/admin.conf
    inventory: "{{ legacy.inventory }}"
    content: content.jsonl
    bucket: true
"""

RETURN = r"""
survey:
  description: Numbers of the survey.
  returned: always
  type: dict
  sample: {repositories: 3, tags: 15, blobs: 9, size: 2100252, source: registry}
lines:
  description: What was said while it ran, with the seconds since its start.
  returned: success
  type: list
  elements: str
  sample: ["  12 s: surveyed 812 of 2000 repositories that are known so far"]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.alauda.registry.plugins.module_utils import _migration
from ansible_collections.alauda.registry.plugins.module_utils._progress import Progress


def main() -> None:
    """Survey, and say whether something else is there than before."""
    module = AnsibleModule(
        argument_spec={
            "content": {"type": "path", "required": True},
            "check_content": {"type": "path"},
            "registry_url": {"type": "str", "default": ""},
            "storage_root": {"type": "path"},
            "bucket": {"type": "bool", "default": False},
            "inventory": {"type": "dict"},
            "kubeconfig": {"type": "path"},
            "context": {"type": "str"},
            "token": {"type": "str", "no_log": True},
            "ca_path": {"type": "path"},
            "validate_certs": {"type": "bool", "default": True},
            "at_once": {"type": "int", "default": 4},
            "per_second": {"type": "int", "default": 400},
            "check_blobs": {"type": "bool", "default": True},
        },
        required_if=[("bucket", True, ("inventory", "kubeconfig"))],
        supports_check_mode=True,
    )
    _migration.need_package(module)
    asked = module.params
    if sum(map(bool, (asked["registry_url"], asked["storage_root"], asked["bucket"]))) != 1:
        module.fail_json(msg="name exactly one place to survey: registry_url, storage_root or bucket")
    tell = Progress()
    try:
        if module.check_mode:
            found, changed = _migration.survey_elsewhere(asked, tell)
        else:
            found, changed = _migration.survey(asked, tell)
    except _migration.MigrationError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=changed, survey=found, lines=tell.lines)


if __name__ == "__main__":
    main()

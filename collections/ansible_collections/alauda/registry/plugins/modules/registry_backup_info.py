#!/usr/bin/python
# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: what a folder of backups has, and whether it is what was saved."""

from __future__ import annotations

DOCUMENTATION = r"""
module: registry_backup_info
short_description: Read and verify backups of the image registry
version_added: 2.0.0
description:
  - Returns the backups of a folder and what one of them has. Its files are compared with their checksums, its images
    with their digests. No cluster is asked, nothing is written, values of Secrets are not returned.
extends_documentation_fragment:
  - alauda.registry._images.package
  - alauda.registry._cluster.attributes
options:
  folder:
    description: Folder of the backups, on the machine where the module runs.
    type: path
    required: true
  name:
    description: Name of the backup; the newest if it is empty.
    type: str
    default: ""
  deep:
    description: Read every byte of the images; else sizes are compared.
    type: bool
    default: true
attributes:
  action_group:
    support: none
    description: Use C(group/alauda.registry.registry) in C(module_defaults) to name the cluster once for all modules.
    details:
      - This module asks no cluster, so it has no options that name one.
    membership: []
  diff_mode:
    support: N/A
author:
  - Alauda Container Platform (@alauda)
seealso:
  - module: alauda.registry.registry_backup
  - module: alauda.registry.registry_restore
"""

EXAMPLES = r"""
- name: Could it be restored?
  alauda.registry.registry_backup_info:
    folder: /srv/backups/one
  register: found

- name: It must
  ansible.builtin.assert:
    that: not found.faults
    fail_msg: "{{ found.faults | join('; ') }}"
"""

RETURN = r"""
names:
  description: Of all backups of the folder, the oldest first.
  returned: success
  type: list
  elements: str
  sample: [20261121T030000Z, 20261122T030000Z]
backup:
  description: What the backup has.
  returned: success
  type: dict
  contains:
    name:
      description: Its name.
      type: str
    made:
      description: When.
      type: str
      sample: "2026-11-22T03:00:00Z"
    registry:
      description: Of which registry.
      type: dict
      sample: {host: registry.apps.example.com, namespace: image-registry-system}
    counts:
      description: How much it has.
      type: dict
      sample: {objects: 12, secrets: 0, streams: 310, tags: 4012, images: 5120}
    with_images:
      description: Whether it has the images themselves.
      type: bool
    left_out:
      description: Secrets that are not in it.
      type: list
      elements: str
    missing:
      description: Images that were accepted to be missing.
      type: list
      elements: str
    namespaces:
      description: Namespaces that the backup was limited to; empty for a backup of everything.
      type: list
      elements: str
faults:
  description: Images that are not what was saved, with the reason.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.alauda.registry.plugins.module_utils import _backup
from ansible_collections.alauda.registry.plugins.module_utils._progress import Progress


def main() -> None:
    """Read."""
    module = AnsibleModule(
        argument_spec={
            "folder": {"type": "path", "required": True},
            "name": {"type": "str", "default": ""},
            "deep": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    _backup.need_package(module)
    try:
        result = _backup.look(module.params, Progress())
    except _backup.Failed as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()

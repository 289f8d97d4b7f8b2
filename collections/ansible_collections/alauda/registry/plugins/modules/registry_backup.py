#!/usr/bin/python
# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: a backup of the registry."""

from __future__ import annotations

DOCUMENTATION = r"""
module: registry_backup
short_description: Make a backup of the image registry
version_added: 2.0.0
description:
  - Saves every image stream with its wanted tags and history, every image that they hold with its signatures, and the
    objects that people made for the registry, Config and ImagePruner of the operator, ConfigMaps in its namespace,
    bindings of its roles, limits and quotas about images.
  - Backups of one folder share their images; only what is new is copied. A backup is there as a whole or not at all,
    and has a manifest with the SHA-256 of everything in it.
  - If nothing changed since the newest backup, none is made. None is made either while streams are being restored.
  - What the registry makes itself again is not in it, such as certificates, keys and the database's password.
extends_documentation_fragment:
  - alauda.registry._images
  - alauda.registry._backup
  - alauda.registry._cluster.attributes
  - alauda.registry._cluster.action_group
options:
  images:
    description:
      - Copy the images, too.
        Without them a backup is good only beside a storage that has a backup of its own, of the same time or later.
    type: bool
    default: true
  secrets:
    description:
      - Save Secrets that people gave to the registry, as they are, readable for the owner of O(folder) alone.
        Without it their names are in the backup, and somebody has to bring them back.
    type: bool
    default: false
  accept:
    description:
      - Images that may be missing because they cannot be read, C(<namespace>/<repository>@<digest>); C(*) stands for
        any text. Any other one fails the task, and no backup is made.
    type: list
    elements: str
    default: []
  allow_fewer:
    description:
      - Make a backup also when less than a half of the streams, tags or images is left that the newest backup of the
        folder has. Else the task fails, so that a registry that has lost something does not become the newest backup.
    type: bool
    default: false
attributes:
  diff_mode:
    support: full
    description: Shows how much a new backup has.
author:
  - Alauda Container Platform (@alauda)
seealso:
  - module: alauda.registry.registry_restore
  - module: alauda.registry.registry_backup_info
"""

EXAMPLES = r"""
- name: Save everything but Secrets
  alauda.registry.registry_backup:
    kubeconfig: /etc/kubernetes/admin.conf
    service_account: image-registry-system/backup
    registry_url: https://registry.apps.example.com
    folder: /srv/backups/one
  register: saved

- name: Say what was new
  ansible.builtin.debug:
    msg: "{{ saved.backup.copied.bytes }} bytes of {{ saved.backup.counts.images }} images"
"""

RETURN = r"""
backup:
  description: The backup that was made, would be made, or is there already.
  returned: success
  type: dict
  contains:
    name:
      description: Its name; empty for one that would be made.
      type: str
      sample: 20261122T030000Z
    counts:
      description: How much it has.
      type: dict
      sample: {objects: 12, secrets: 0, streams: 310, tags: 4012, images: 5120}
    copied:
      description: What was new in the folder.
      type: dict
      sample: {images: 12, blobs: 30, bytes: 812345678}
    left_out:
      description: Secrets that are not in it; C(Secret/<namespace>/*) if they may not be listed.
      type: list
      elements: str
      sample: [Secret/image-registry-system/image-registry-private-configuration-user]
    missing:
      description: Images that were accepted to be missing.
      type: list
      elements: str
lines:
  description: What was said while it ran, with the seconds since its start.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.alauda.registry.plugins.module_utils import _arguments, _backup


def main() -> None:
    """Look, and unless it is only checked, save."""
    module = AnsibleModule(
        argument_spec={
            **_arguments.place_arguments(),
            **_backup.arguments(),
            "images": {"type": "bool", "default": True},
            "secrets": {"type": "bool", "default": False, "no_log": False},
            "allow_fewer": {"type": "bool", "default": False},
        },
        mutually_exclusive=[("token", "service_account")],
        supports_check_mode=True,
    )
    _backup.run(module, _backup.save)


if __name__ == "__main__":
    main()

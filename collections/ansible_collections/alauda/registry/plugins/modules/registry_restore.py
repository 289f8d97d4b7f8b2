#!/usr/bin/python
# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: a backup brought back into a registry."""

from __future__ import annotations

DOCUMENTATION = r"""
module: registry_restore
short_description: Bring a backup back into an image registry
version_added: 2.0.0
description:
  - Brings back what M(alauda.registry.registry_backup) saved, into a registry that is installed and serves.
  - Before anything is changed, every byte of the backup is compared with its checksum, and everything that is to be
    made is checked by the API server.
  - What is there already and is the same stays. What is there and is not the same is refused, until O(overwrite) names
    it. Nothing is deleted that the backup does not speak of.
  - C(spec.storage) and C(spec.metadata) of a Config that is there stay as they are, also if it is replaced.
  - Afterwards every object is read again, every manifest is fetched and every blob asked for by its size. What the
    registry names and has lost the bytes of is sent anew. A restore that was interrupted goes on when it
    is run again.
extends_documentation_fragment:
  - alauda.registry._images
  - alauda.registry._backup
  - alauda.registry._cluster.attributes
  - alauda.registry._cluster.action_group
  - alauda.registry._cluster.migration
options:
  name:
    description: Name of the backup; the newest of O(folder) if it is empty.
    type: str
    default: ""
  overwrite:
    description:
      - Objects that may be replaced, as V(ImageStream/team/app), V(ImageStream/team/*) or V(Config/cluster); C(*)
        stands for any text.
        A stream that is replaced loses tags that the backup does not have.
    type: list
    elements: str
    default: []
  create_namespaces:
    description: Make namespaces that do not exist, without labels. Else they are named and nothing is done.
    type: bool
    default: false
  accept:
    description:
      - Images that may stay away because those of the folder are damaged or gone, C(<namespace>/<repository>@<digest>);
        C(*) stands for any text. The history of their streams then does not speak of them, as long as the registry has
        not got them either. Any other one fails the task, and nothing is changed.
    type: list
    elements: str
    default: []
  deep:
    description:
      - Read every byte of the backup before anything is changed. Without it sizes are compared first, and each blob is
        verified while it is sent.
    type: bool
    default: true
attributes:
  diff_mode:
    support: full
    description: Shows every object that is made or replaced, by name, and the number of images.
author:
  - Alauda Container Platform (@alauda)
seealso:
  - module: alauda.registry.registry_backup
  - module: alauda.registry.registry_backup_info
"""

EXAMPLES = r"""
- name: Bring everything back
  alauda.registry.registry_restore:
    kubeconfig: /etc/kubernetes/admin.conf
    service_account: image-registry-system/restore
    registry_url: https://registry.apps.example.com
    folder: /srv/backups/one
    overwrite: [Config/cluster]

- name: Bring one namespace back as it was that night
  alauda.registry.registry_restore:
    kubeconfig: /etc/kubernetes/admin.conf
    registry_url: https://registry.apps.example.com
    folder: /srv/backups/one
    name: 20261122T030000Z
    namespaces: [team]
    overwrite: ["ImageStream/team/*"]
"""

RETURN = r"""
backup:
  description: What was brought back, or would be.
  returned: success
  type: dict
  contains:
    name:
      description: Name of the backup.
      type: str
      sample: 20261122T030000Z
    made:
      description: When it was made.
      type: str
      sample: "2026-11-22T03:00:00Z"
    counts:
      description: How much it has.
      type: dict
      sample: {objects: 12, secrets: 0, streams: 310, tags: 4012, images: 5120}
    previous:
      description: The backup before it, with RV(backup.made) and RV(backup.counts); empty if there is none.
      type: dict
      sample: {name: 20261121T030000Z, made: "2026-11-21T03:00:00Z", counts: {streams: 309, tags: 4000, images: 5100}}
    kept:
      description:
        - What stays as it is although the backup has something else. Where a running registry keeps bytes and tables is
          changed by M(alauda.registry.registry_config) alone.
      type: list
      elements: str
      sample: ["Config/cluster: spec.storage"]
    changes:
      description: Objects that were made or replaced.
      type: list
      elements: str
      sample: [create ImageStream/team/app]
    copied:
      description: What was not in the registry.
      type: dict
      sample: {images: 12, blobs: 30, bytes: 812345678}
    lost:
      description: Images that the registry named and had not got the bytes of.
      type: list
      elements: str
    left_out:
      description: Secrets that the registry had and the backup has not.
      type: list
      elements: str
    missing:
      description: Images that the backup does not have, and those that were accepted to stay away.
      type: list
      elements: str
    namespaces:
      description: Namespaces that the backup was limited to; empty for a backup of everything.
      type: list
      elements: str
lines:
  description: What was said while it ran, with the seconds since its start.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.alauda.registry.plugins.module_utils import _arguments, _backup, _under_migration


def main() -> None:
    """Plan, and unless it is only checked, bring back and verify."""
    module = AnsibleModule(
        argument_spec={
            **_arguments.place_arguments(),
            **_backup.arguments(),
            "name": {"type": "str", "default": ""},
            "overwrite": {"type": "list", "elements": "str", "default": []},
            "create_namespaces": {"type": "bool", "default": False},
            "deep": {"type": "bool", "default": True},
            **_under_migration.arguments(),
        },
        mutually_exclusive=[("token", "service_account")],
        supports_check_mode=True,
    )
    _under_migration.refuse(module)
    _backup.run(module, _backup.restore)


if __name__ == "__main__":
    main()

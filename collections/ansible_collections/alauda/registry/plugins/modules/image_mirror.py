#!/usr/bin/python
# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: images copied between registries."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_mirror
short_description: Copy images between registries, to folders and back
version_added: 2.0.0
description:
  - Copies images with everything that belongs to them. Each blob is sent once, verified while it is sent, and not at
    all
    if it is there.
  - The plan says what is missing where, with sizes. In check mode it is the result.
  - What broke off goes on where it stopped, also in the next run.
extends_documentation_fragment:
  - alauda.registry._images.registries
  - alauda.registry._images.package
  - alauda.registry._cluster.attributes
options:
  images:
    description: What to copy where.
    type: list
    elements: dict
    required: true
    suboptions:
      source:
        description:
          - C([docker\://]<host>/<path>[\:<tag>|@<digest>]), C(file\://<path>[\:<tag>]) below O(dir), or
            C(oci\:<folder>[\:<name>]).
          - May mean several tags, as V(app:*) or V(app:1.0,1.1); then O(images[].target) is written without a tag.
        type: str
        required: true
      target:
        description: As O(images[].source).
        type: str
        required: true
  dir:
    description: Folder of C(file\://) names.
    type: path
    default: "."
  tag_filters:
    description: Regular expressions. Where a source means several tags, only those that one of them fits as a whole.
    type: list
    elements: str
    default: []
  filter_by_os:
    description:
      - Regular expression. Of indexes only images in whose C(os/architecture[/variant]) it is found. The digest of the
        index changes.
    type: str
    default: ""
  keep_manifest_list:
    description: Let an index stay an index when one image of it is left.
    type: bool
    default: false
  referrers:
    description: Also signatures, attestations and lists of contents.
    type: bool
    default: true
  skip_missing:
    description: A source that does not exist is no failure.
    type: bool
    default: false
  continue_on_error:
    description: Go on with other images when one fails.
    type: bool
    default: true
  mount:
    description: Take blobs over from other repositories of the same registry instead of sending them.
    type: bool
    default: true
  force:
    description: Send everything, also what is there.
    type: bool
    default: false
  journal:
    description: File where what is done is written down, so that the next run need not ask for it.
    type: path
  max_per_registry:
    description: Requests at once for each registry.
    type: int
    default: 6
  max_registries:
    description: Registries at once.
    type: int
    default: 4
attributes:
  action_group:
    support: none
    description: Use C(group/alauda.registry.registry) in C(module_defaults) to name the cluster once for all modules.
    details:
      - This module asks no cluster, so it has no options that name one.
    membership: []
  diff_mode:
    support: full
    description: Shows the images that are (or would be) sent, with their digests.
  idempotent:
    support: partial
    details:
      - With O(force) everything is sent each time.
author:
  - Alauda Container Platform (@alauda)
seealso:
  - module: alauda.registry.image_import
"""

EXAMPLES = r"""
- name: Copy a release into the registry of the cluster
  alauda.registry.image_mirror:
    auth_file: "{{ lookup('ansible.builtin.env', 'REGISTRY_AUTH_FILE') }}"
    ca_path: registry-ca.crt
    images:
      - source: registry.example.com/base/os:1.*
        target: registry.apps.example.com/team/os
  register: mirrored

- name: Show what was sent
  ansible.builtin.debug:
    msg: "{{ mirrored.totals.bytes_sent }} bytes of {{ mirrored.totals.copied }} images"
"""

RETURN = r"""
images:
  description: One row for each image.
  returned: when the sources were looked at
  type: list
  elements: dict
  contains:
    source:
      description: Where it is.
      type: str
    target:
      description: Where it goes.
      type: str
    digest:
      description: Its digest at the target.
      type: str
    status:
      description: V(copied), V(present), V(skipped), V(failed) or V(not tried); in check mode what it would be.
      type: str
    bytes:
      description: Bytes that are to be sent for it, those shared with other images too.
      type: int
    error:
      description: Why not.
      type: str
totals:
  description: Sums of the run; in check mode of the plan.
  returned: when the sources were looked at
  type: dict
  sample: {images: 3, copied: 1, present: 2, skipped: 0, failed: 0, not_tried: 0, blobs_sent: 4, bytes_sent:
  52428800, mounted: 0}
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.alauda.registry.plugins.module_utils import _arguments, _mirroring, _spelling


def main() -> None:
    """Look, plan, and unless it is only checked, copy."""
    module = AnsibleModule(
        argument_spec={
            **_arguments.registry_arguments(),
            "images": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "source": {"type": "str", "required": True},
                    "target": {"type": "str", "required": True},
                },
            },
            "dir": {"type": "path", "default": "."},
            "tag_filters": {"type": "list", "elements": "str", "default": []},
            "filter_by_os": {"type": "str", "default": ""},
            "keep_manifest_list": {"type": "bool", "default": False},
            "referrers": {"type": "bool", "default": True},
            "skip_missing": {"type": "bool", "default": False},
            "continue_on_error": {"type": "bool", "default": True},
            "mount": {"type": "bool", "default": True},
            "force": {"type": "bool", "default": False},
            "journal": {"type": "path"},
            "max_per_registry": {"type": "int", "default": 6},
            "max_registries": {"type": "int", "default": 4},
        },
        supports_check_mode=True,
    )
    _mirroring.need_package(module)
    try:
        result: dict[str, Any] = _mirroring.mirrored(module.params, check=module.check_mode)
    except _mirroring.MirrorError as error:
        module.fail_json(msg=str(error))
    for row in result["images"]:
        row["error"] = _spelling.as_options(row["error"], module.argument_spec)
    failed = [row for row in result["images"] if row["status"] in ("failed", "not tried")]
    if failed:
        said = "; ".join(f"{row['source']} -> {row['target']}: {row['error']}" for row in failed[:5])
        module.fail_json(
            msg=f"{len(failed)} of {len(result['images'])} images are not at their target: {said}. Cure the "
            "reasons and run again: what is done is not sent again",
            **result,
        )
    module.exit_json(**result)


if __name__ == "__main__":
    main()

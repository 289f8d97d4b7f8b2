#!/usr/bin/python
# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: images that nothing uses, shown or deleted."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_prune
short_description: Show images that nothing uses, or delete them
version_added: 2.0.0
description:
  - An image stays while a workload of the cluster names or runs it, while it is one of the newest of its tag, while
    it is
    young, or while something that stays needs it. The plan names for every image who keeps it.
  - Without O(confirm) and in check mode nothing is deleted; the plan is the same.
  - The rules that a task does not name are those of the schedule (C(ImagePruner), or C(imagePruner) of the chart).
  - Space is given back by the collection of garbage, see M(alauda.registry.registry_gc).
extends_documentation_fragment:
  - alauda.registry._images
  - alauda.registry._images.package
  - alauda.registry._cluster.attributes
  - alauda.registry._cluster.action_group
  - alauda.registry._cluster.migration
options:
  confirm:
    description: Delete what the plan says. Without it the plan is only shown, and the task is never changed.
    type: bool
    default: false
  keep_younger_than:
    description:
      - What is younger stays, as in V(60m), V(96h) or V(30d).
      - Without it, what the schedule says, V(60m) in a cluster without one.
    type: str
  keep_tag_revisions:
    description:
      - So many newest images of each tag stay.
      - Without it, what the schedule says, V(3) in a cluster without one.
    type: int
  below_schedule:
    description:
      - Delete although O(keep_younger_than) or O(keep_tag_revisions) keep less than the schedule does. Without it such
        a run is refused where it is confirmed, and told in RV(findings) where it is only shown.
    type: bool
    default: false
  namespace:
    description: Namespace of the registry, where its schedule is (CronJob C(image-pruner)).
    type: str
    default: image-registry-system
  all_images:
    description: Also images that were not pushed into this registry.
    type: bool
    default: true
  over_size_limit:
    description: Only images beyond the limit of their namespace (LimitRange), whatever their age and revision.
    type: bool
    default: false
  namespaces:
    description: Only streams of these namespaces; then no Image object is deleted.
    type: list
    elements: str
    default: []
  exclude:
    description:
      - Regular expressions. What one is found in stays, as C(<ns>/<name>), C(<ns>/<name>:<tag>),
        C(<ns>/<name>@<digest>). What the schedule excludes stays besides.
    type: list
    elements: str
    default: []
  image_fields:
    description: Where objects of custom resources name images in use, as C(<group>/<version>/<resource>=<path>);
      besides those of the schedule.
    type: list
    elements: str
    default: []
  registry_hosts:
    description: Further names of this registry, of the registry before it for example; those of its routes and of the
      schedule are known.
    type: list
    elements: str
    default: []
  workers:
    description: Deletions at a time.
    type: int
    default: 5
  most_rows:
    description: Rows of RV(images) and RV(streams) at most; RV(totals) are whole.
    type: int
    default: 1000
  show_kept:
    description: Return also images that stay, with who keeps them.
    type: bool
    default: false
attributes:
  diff_mode:
    support: full
    description: Shows tags and images that go.
  idempotent:
    support: partial
    details:
      - What became old enough in between goes in the next run.
author:
  - Alauda Container Platform (@alauda)
seealso:
  - module: alauda.registry.registry_gc
  - module: alauda.registry.workload_image_references
"""

EXAMPLES = r"""
- name: See what would go
  alauda.registry.image_prune:
    kubeconfig: /etc/kubernetes/admin.conf
    keep_younger_than: 96h
  register: plan

- name: Let it go
  alauda.registry.image_prune:
    kubeconfig: /etc/kubernetes/admin.conf
    keep_younger_than: 96h
    confirm: true
"""

RETURN = r"""
totals:
  description: How many of everything there is and goes; bytes are those of blobs that belong to no other image.
  returned: when the registry was read
  type: dict
  sample: {streams: 12, images: 340, deleted_images: 41, dropped_events: 55, changed_streams: 9, freed_blobs: 130,
  freed_bytes: 8123456789}
images:
  description: Images that go (or would go), with O(show_kept) all of them.
  returned: when the registry was read
  type: list
  elements: dict
  sample: [{name: "sha256:0123", size: 52428800, action: delete, why: nothing uses it}]
streams:
  description: What goes from the history of tags.
  returned: when the registry was read
  type: list
  elements: dict
  sample: [{namespace: team, name: app, items: [{tag: v1, image: "sha256:0123"}]}]
findings:
  description: What could not be read or understood; images that it may name stay.
  returned: when the registry was read
  type: list
  elements: str
outcome:
  description: What was done; empty if nothing was to be done.
  returned: when the registry was read
  type: dict
  sample: {deletedImages: 41, droppedEvents: 55, changedStreams: 9, released: 41, kept: 0, failed: 0}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.alauda.registry.plugins.module_utils import _arguments, _pruning, _under_migration


def main() -> None:
    """Plan, and if it is confirmed, carry out the plan."""
    module = AnsibleModule(
        argument_spec={
            **_arguments.place_arguments(),
            "confirm": {"type": "bool", "default": False},
            "keep_younger_than": {"type": "str"},
            "keep_tag_revisions": {"type": "int"},
            "below_schedule": {"type": "bool", "default": False},
            "namespace": {"type": "str", "default": "image-registry-system"},
            "all_images": {"type": "bool", "default": True},
            "over_size_limit": {"type": "bool", "default": False},
            "namespaces": {"type": "list", "elements": "str", "default": []},
            "exclude": {"type": "list", "elements": "str", "default": []},
            "image_fields": {"type": "list", "elements": "str", "default": []},
            "registry_hosts": {"type": "list", "elements": "str", "default": []},
            "workers": {"type": "int", "default": 5},
            "most_rows": {"type": "int", "default": 1000},
            "show_kept": {"type": "bool", "default": False},
            **_under_migration.arguments(),
        },
        supports_check_mode=True,
    )
    _pruning.need_package(module)
    if module.params["confirm"]:
        _under_migration.refuse(module)
    try:
        result = _pruning.pruned(module.params, delete=module.params["confirm"] and not module.check_mode)
    except _pruning.PruneError as error:
        module.fail_json(msg=str(error))
    outcome = result["outcome"]
    if outcome.get("failed") or outcome.get("stopped"):
        said = "; ".join([*outcome["failures"][:5], *([outcome["stopped"]] if outcome["stopped"] else [])])
        module.fail_json(
            msg=f"{outcome['failed']} things could not be deleted, all the rest was: {said}. Run again after the cure",
            **result,
        )
    module.exit_json(**result)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: the images, copied to another storage by a Job beside the registry."""

from __future__ import annotations

DOCUMENTATION = r"""
module: registry_storage_copy
short_description: Copy everything that the image registry keeps to another storage, and prove it
version_added: 2.0.0
description:
  - Runs C(image-registry storage copy) as a Job in the namespace of the registry, from the storage that the registry
    uses now to the one that is named, and follows it to its end. The registry serves meanwhile.
  - Every blob is proven by its digest. Nothing is changed at the source, and a claim that is the source is told to stay
    when the release has no use for it any more (C(helm.sh/resource-policy)).
  - The registry goes on with its storage. The role C(storage) lets it use the copy.
  - A task that is interrupted ends nothing. The next one follows the Job of the same copy that is at work, whatever
    its pass, or copies what is still missing; V(complete) makes its own pass after it.
extends_documentation_fragment:
  - alauda.registry._cluster
  - alauda.registry._cluster.attributes
  - alauda.registry._cluster.action_group
  - alauda.registry._cluster.migration
  - alauda.registry._images.package
options:
  state:
    description:
      - V(copied) makes one pass. V(complete) is the last one, while the registry is read-only; it proves that nothing
        is missing.
      - V(absent) takes the Job and its Secret away. The copy stays.
    type: str
    choices: [copied, complete, absent]
    default: copied
  storage:
    description:
      - The target, as C(config.storage) of the chart, with one kind. A claim that is not there is made if
        O(storage) has a size and names none.
      - Needed unless O(state=absent).
    type: dict
  credentials:
    description: Credentials of the target by their names, V(REGISTRY_STORAGE_S3_ACCESSKEY) for example.
    type: dict
    default: {}
  ca:
    description: CAs of the target in PEM.
    type: str
    default: ""
  replace:
    description:
      - The target may hold a registry that is no copy of this one. What it has beyond this one goes, except blobs.
    type: bool
    default: false
  verify_target:
    description: Which blobs of the target are read again.
    type: str
    choices: [none, written, all]
    default: written
  accept:
    description: Digests of blobs that may stay behind, because they are corrupt.
    type: list
    elements: str
    default: []
  parallel:
    description: Blobs at once.
    type: int
    default: 8
  rate:
    description: MiB per second at most; V(0) is no limit.
    type: float
    default: 0
  timeout:
    description: Seconds to wait for the end of the Job.
    type: int
    default: 86400
attributes:
  check_mode:
    support: partial
    details:
      - What would have to be copied is known only to a Job, and check mode makes none; it says that a pass would be
        made, and fails where another copy is at work.
  idempotent:
    support: full
    details:
      - A pass that finds nothing to copy is no change.
author:
  - Alauda Container Platform (@alauda)
seealso:
  - module: alauda.registry.registry_storage_info
  - module: alauda.registry.registry_config
"""

EXAMPLES = r"""
- name: Copy the images to a bucket while the registry serves
  alauda.registry.registry_storage_copy:
    kubeconfig: /etc/kubernetes/admin.conf
    storage:
      s3: {bucket: images, region: eu-central-1}
    credentials:
      REGISTRY_STORAGE_S3_ACCESSKEY: "{{ vault_access_key }}"
      REGISTRY_STORAGE_S3_SECRETKEY: "{{ vault_secret_key }}"
    rate: 100

- name: Copy what came since, with the registry read-only, and prove that all is there
  alauda.registry.registry_storage_copy:
    kubeconfig: /etc/kubernetes/admin.conf
    state: complete
    storage:
      s3: {bucket: images, region: eu-central-1}
    credentials:
      REGISTRY_STORAGE_S3_ACCESSKEY: "{{ vault_access_key }}"
      REGISTRY_STORAGE_S3_SECRETKEY: "{{ vault_secret_key }}"
"""

RETURN = r"""
there:
  description: Whether a copy was begun and not cleared up after.
  returned: when O(state=absent)
  type: bool
lines:
  description: What was said while it ran, with the seconds since its start.
  returned: when a pass ended
  type: list
  elements: str
  sample: ["   0 s: blobs: 812"]
read_only_before:
  description: Whether the registry was read-only before the role C(storage) made it so; null if it did not.
  returned: when O(state=absent)
  type: bool
report:
  description: What C(image-registry storage copy -o json) says, with the first failures.
  returned: when a pass ended
  type: dict
  sample: {state: complete, clean: true, blobs: {found: 812, copied: 12, bytesCopied: 81234567}}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.alauda.registry.plugins.module_utils import (
    _arguments,
    _library,
    _spelling,
    _storage,
    _storage_copy,
    _under_migration,
)
from ansible_collections.alauda.registry.plugins.module_utils._cluster import Cluster, ClusterError
from ansible_collections.alauda.registry.plugins.module_utils._progress import Progress
from ansible_collections.alauda.registry.plugins.module_utils._storage_copy import CopyError


def main() -> None:
    """Begin, follow, tell."""
    module = AnsibleModule(
        argument_spec={
            **_arguments.installation_arguments(),
            "state": {"type": "str", "choices": ["copied", "complete", "absent"], "default": "copied"},
            "storage": {"type": "dict"},
            "credentials": {"type": "dict", "default": {}, "no_log": True},
            "ca": {"type": "str", "default": ""},
            "replace": {"type": "bool", "default": False},
            "verify_target": {"type": "str", "choices": ["none", "written", "all"], "default": "written"},
            "accept": {"type": "list", "elements": "str", "default": []},
            "parallel": {"type": "int", "default": 8},
            "rate": {"type": "float", "default": 0},
            "timeout": {"type": "int", "default": 86400},
            **_under_migration.arguments(),
        },
        required_if=[("state", "copied", ["storage"]), ("state", "complete", ["storage"])],
        supports_check_mode=True,
    )
    if _storage_copy.IMPORT_ERROR:
        module.fail_json(msg=_library.missing(), exception=_storage_copy.IMPORT_ERROR)
    cluster = _arguments.connect(module)
    _under_migration.refuse(module, cluster)
    tell = Progress()
    namespace = module.params["namespace"]
    try:
        if module.params["state"] == "absent":
            before = _storage_copy.read_only_before(cluster, namespace)
            there = _storage_copy.clear(cluster, namespace, check=module.check_mode)
            module.exit_json(changed=there, there=there, read_only_before=before)
        order = _order(module, cluster)
        if module.check_mode:
            _storage_copy.at_work(cluster, namespace, order)
            module.exit_json(changed=True)
        if order.complete:
            _storage_copy.outlast(cluster, namespace, order, module.params["timeout"], tell)
        _storage_copy.begin(cluster, namespace, module.params["release_name"], order)
        report = _storage_copy.follow(cluster, namespace, module.params["timeout"], tell)
    except (ClusterError, CopyError) as error:
        module.fail_json(msg=_spelling.as_options(str(error), module.argument_spec), lines=tell.lines)
    changed = bool(
        report["blobs"]["copied"] or any(report[part][how] for part in PARTS for how in ("written", "removed"))
    )
    if not report["clean"]:
        said = _spelling.as_options(_wrong(report, order), module.argument_spec)
        module.fail_json(msg=said, changed=changed, report=report, lines=tell.lines)
    module.exit_json(changed=changed, report=report, lines=tell.lines)


PARTS = ("links", "records")


def _order(module: AnsibleModule, cluster: Cluster) -> _storage_copy.Order:
    asked = module.params
    storage = {kind: value for kind, value in asked["storage"].items() if isinstance(value, dict)}
    try:
        kind, _settings = _storage_copy.chosen(storage)
    except ValueError as error:
        raise CopyError(str(error)) from None
    source = _storage.facts(cluster, asked["namespace"], asked["release_name"])
    if source["kind"] in ("", "emptyDir"):
        raise CopyError(
            f"there is nothing that could be copied from: the registry has {source['kind'] or 'no storage'}"
        )
    order = _storage_copy.Order(
        storage=storage,
        credentials={key: str(value) for key, value in asked["credentials"].items()},
        ca=asked["ca"],
        name=_storage_copy.called(source, asked["namespace"]),
        confirm=True,
        complete=asked["state"] == "complete",
        replace=asked["replace"],
        check=asked["verify_target"],
        parallel=asked["parallel"],
        rate=asked["rate"],
        accept=tuple(asked["accept"]),
    )
    if kind == "pvc" and (source["kind"], source["name"]) == ("claim", _storage_copy.cluster_job.claim(order)):
        raise CopyError(f"the images lie in claim {source['name']} already")
    return order


def _wrong(report: dict, order: _storage_copy.Order) -> str:
    if report["failed"]:
        named = "; ".join(f"{failure['what']}: {failure['why']}" for failure in report["failures"][:5])
        push = "Push them again"
        if order.complete:
            push = "Let the registry take pushes again and push them"
        return (
            f"{report['failed']} blobs did not come along, the rest did: {named}. {push}, or name them in accept "
            "(registry_storage_copy_accept of the role storage) if they may stay behind"
        )
    return (
        f"the source changed while it was copied ({report['changedMeanwhile']} differences): is the registry read-only "
        "in every worker? Run again"
    )


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: where the images lie."""

from __future__ import annotations

DOCUMENTATION = r"""
module: registry_storage_info
short_description: Where the images lie, how much room there is, and what would be lost with the registry
version_added: 2.0.0
description:
  - Reads what the data plane keeps images in. Of a claim it tells class, size, volume, whether it can grow, and what
    its node counts on it; of an object store its name and settings, without credentials.
  - Nothing is written.
extends_documentation_fragment:
  - alauda.registry._cluster
  - alauda.registry._cluster.attributes
  - alauda.registry._cluster.action_group
options:
  storage:
    description:
      - A storage as C(config.storage) of the chart has it, to be told whether that is another place or another size.
      - Needs the Python package C(alauda-image-registry).
    type: dict
    default: {}
attributes:
  diff_mode:
    support: N/A
author:
  - Alauda Container Platform (@alauda)
seealso:
  - module: alauda.registry.registry_info
  - module: alauda.registry.registry_config
"""

EXAMPLES = r"""
- name: Read where the images lie
  alauda.registry.registry_storage_info:
    kubeconfig: /etc/kubernetes/admin.conf
  register: storage

- name: Complain before the volume is full
  ansible.builtin.assert:
    that: storage.free_bytes is none or storage.free_bytes > 10 * 1024 ** 3
"""

RETURN = r"""
kind:
  description: V(claim), V(emptyDir), V(s3), V(gcs), V(azure), V(swift), or empty if there is no storage.
  returned: always
  type: str
  sample: claim
name:
  description: Name of the claim, the bucket or the container.
  returned: always
  type: str
  sample: image-registry-storage
elsewhere:
  description: Whether O(storage) is another place, account, endpoint and root directory included.
  returned: always
  type: bool
  sample: false
resized:
  description:
    - Whether the size in O(storage) is V(larger) than what the claim asks for, V(smaller) or the V(same) amount,
      however it is written. Empty without a claim or a size, and if O(storage) is another place.
  returned: always
  type: str
  sample: same
settings:
  description: What the data plane is told of an object store, without credentials.
  returned: always
  type: dict
  sample: {bucket: images, region: eu-central-1}
pods_elsewhere:
  description: Pods of the registry that still use another storage than this, because a rollout is not over yet.
  returned: always
  type: list
  elements: str
  sample: []
late_pods:
  description:
    - The same Pods with the node of each, and whether the Pod ends already. The state of the node is V(ready),
      V(not ready), V(gone) if there is no such node any more, or empty if there is none or it may not be read.
  returned: always
  type: list
  elements: dict
  sample: [{name: image-registry-7d9c, node: worker-2, node_state: not ready, ends: true}]
claim:
  description: The claim with phase, class, sizes, access modes, volume, reclaim policy and whether it can grow.
  returned: always
  type: dict
  sample:
    phase: Bound
    storage_class: fast
    requested: 100Gi
    capacity: 100Gi
    access_modes: [ReadWriteOnce]
    volume: pvc-0
    reclaim_policy: Delete
    expandable: true
capacity_bytes:
  description: Size of the volume's file system, none if it is not known.
  returned: always
  type: int
  sample: 107374182400
used_bytes:
  description: Bytes on the volume, as its node counts them, none if they are not known.
  returned: always
  type: int
  sample: 4194304
free_bytes:
  description: Bytes that are free, none if they are not known.
  returned: always
  type: int
  sample: 107370000000
unread:
  description: Why the bytes are not known; empty if they are.
  returned: always
  type: str
  sample: ""
conditions:
  description: What the operator says about the storage (C(StorageExists)).
  returned: always
  type: list
  elements: dict
  sample: [{type: StorageExists, status: "True", reason: ClaimBound}]
lost_if_removed:
  description: Claims that the operator deletes when C(managementState) becomes V(Removed).
  returned: always
  type: list
  elements: str
  sample: []
kept_if_uninstalled:
  description: What an uninstallation keeps, in the form of M(alauda.registry.registry_data).
  returned: always
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.alauda.registry.plugins.module_utils import _arguments, _library, _storage
from ansible_collections.alauda.registry.plugins.module_utils._cluster import ClusterError


def main() -> None:
    """Read and return."""
    module = AnsibleModule(
        argument_spec={**_arguments.installation_arguments(), "storage": {"type": "dict", "default": {}}},
        supports_check_mode=True,
    )
    storage = module.params["storage"]
    if storage and _storage.IMPORT_ERROR:
        module.fail_json(msg=_library.missing(), exception=_storage.IMPORT_ERROR)
    cluster = _arguments.connect(module)
    try:
        facts = _storage.facts(cluster, module.params["namespace"], module.params["release_name"])
        elsewhere = _storage.elsewhere(storage, facts)
        resized = _storage.resized(storage, facts)
    except ClusterError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, elsewhere=elsewhere, resized=resized, **facts)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: the data that an uninstallation keeps."""

from __future__ import annotations

DOCUMENTATION = r"""
module: registry_data
short_description: List or delete what outlives the image registry
version_added: 2.0.0
description:
  - After an uninstallation the claims with images and their names, the Secrets with keys and passwords and the CA
    are still
    there. This module lists them and, if it is confirmed, deletes them.
  - Without O(confirm) nothing is deleted.
  - It refuses while the release exists or a Pod mounts a claim. Claims and Secrets that an administrator made, and an
    external database, are never touched.
extends_documentation_fragment:
  - alauda.registry._cluster
  - alauda.registry._cluster.helm
  - alauda.registry._cluster.attributes
  - alauda.registry._cluster.action_group
  - alauda.registry._cluster.migration
options:
  state:
    description: That the data shall not exist.
    type: str
    choices: [absent]
    default: absent
  confirm:
    description:
      - The name of the namespace, as the confirmation that its images shall be lost for good. With O(cluster_name) it
        is V(<cluster_name>/<namespace>).
      - Without it the data is only listed.
    type: str
    default: ""
  cluster_name:
    description:
      - What people call this cluster. With it O(confirm) must name the cluster too, so that one confirmation that is
        given for a whole inventory does not delete the images of every cluster.
    type: str
    default: ""
  delete_namespace:
    description: Delete the namespace as well, if this collection made it.
    type: bool
    default: true
  timeout:
    description: Seconds to wait until each object is gone.
    type: int
    default: 120
attributes:
  diff_mode:
    support: full
author:
  - Alauda Container Platform (@alauda)
seealso:
  - module: alauda.registry.registry_release
"""

EXAMPLES = r"""
- name: See what is kept
  alauda.registry.registry_data:
    kubeconfig: /etc/kubernetes/admin.conf
  register: kept

- name: Delete every image, for good
  alauda.registry.registry_data:
    kubeconfig: /etc/kubernetes/admin.conf
    cluster_name: "{{ inventory_hostname }}"
    confirm: production-east/image-registry-system
"""

RETURN = r"""
kept:
  description: What there is (or was, before this run deleted it).
  returned: always
  type: list
  elements: dict
  contains:
    kind:
      description: Kind of the object.
      type: str
      sample: PersistentVolumeClaim
    name:
      description: Its name.
      type: str
      sample: image-registry-storage
    holds:
      description: What would be lost.
      type: str
      sample: every image (100Gi)
    path:
      description: Its path in the Kubernetes API.
      type: str
      sample: /api/v1/namespaces/image-registry-system/persistentvolumeclaims/image-registry-storage
    note:
      description: What becomes of the bytes.
      type: str
      sample: volume pvc-0 and its bytes go with it
deleted:
  description: Whether this run deleted it.
  returned: always
  type: bool
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.alauda.registry.plugins.module_utils import _arguments, _retained, _under_migration
from ansible_collections.alauda.registry.plugins.module_utils._cluster import Cluster, ClusterError
from ansible_collections.alauda.registry.plugins.module_utils._helm import HelmError


def main() -> None:
    """List; delete if it is confirmed."""
    module = AnsibleModule(
        argument_spec={
            **_arguments.cluster_arguments(),
            "state": {"type": "str", "choices": ["absent"], "default": "absent"},
            "confirm": {"type": "str", "default": ""},
            "cluster_name": {"type": "str", "default": ""},
            "delete_namespace": {"type": "bool", "default": True},
            "timeout": {"type": "int", "default": 120},
            **_under_migration.arguments(),
        },
        supports_check_mode=True,
    )
    namespace, confirm = module.params["namespace"], module.params["confirm"]
    cluster_name = module.params["cluster_name"]
    wanted = f"{cluster_name}/{namespace}" if cluster_name else namespace
    if confirm and confirm != wanted:
        module.fail_json(
            msg=f"the confirmation is {confirm!r} and this is {wanted!r}: nothing was deleted. "
            f"To lose every image of it for good, confirm with that name (registry_uninstall_confirm: {wanted})"
        )
    cluster = _arguments.connect(module)
    if confirm:
        _under_migration.refuse(module, cluster)
    try:
        kept = _retained.find(cluster, namespace, module.params["release_name"])
        own = _retained.namespace_if_ours(cluster, namespace) if module.params["delete_namespace"] else None
        kept += [own] if own else []
        listed = [item.as_dict() for item in kept]
        if confirm and kept:
            _refuse_in_use(module, cluster)
        deleting = bool(confirm and kept)
        if deleting and not module.check_mode:
            left = _retained.delete(cluster, kept, module.params["timeout"])
            if left:
                module.fail_json(
                    msg=f"these objects are not gone after {module.params['timeout']} s each: {', '.join(left)}. "
                    "Something holds them (finalizers): kubectl describe says what; run again after it",
                    kept=listed,
                    deleted=False,
                )
        titles = [f"{item.kind} {item.name}" for item in kept]
        diff = {"before": {"kept": titles}, "after": {"kept": []}} if deleting else {}
        module.exit_json(changed=deleting, kept=listed, deleted=deleting and not module.check_mode, diff=diff)
    except (HelmError, ClusterError) as error:
        module.fail_json(msg=str(error), kept=[], deleted=False)


def _refuse_in_use(module: AnsibleModule, cluster: Cluster) -> None:
    namespace = module.params["namespace"]
    if not module.check_mode and _arguments.helm(module).status() is not None:
        module.fail_json(
            msg=f"release {module.params['release_name']} still exists in namespace {namespace}, so its data was not "
            "touched: uninstall it first (registry_release with state absent)"
        )
    pods = _retained.in_use(cluster, namespace)
    if pods and not module.check_mode:
        module.fail_json(
            msg=f"Pods of namespace {namespace} use the data, which was not touched: {', '.join(pods)}. End them first"
        )


if __name__ == "__main__":
    main()

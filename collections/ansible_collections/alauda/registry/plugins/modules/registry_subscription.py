#!/usr/bin/python
# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: the operator of the registry, subscribed to in Operator Lifecycle Manager."""

from __future__ import annotations

DOCUMENTATION = r"""
module: registry_subscription
short_description: Let Operator Lifecycle Manager install the operator of the image registry
version_added: 2.0.0
description:
  - Writes the Subscription to package C(cluster-image-registry-operator), an OperatorGroup for all namespaces where the
    namespace has none, the CatalogSource where its image is named, and the namespace; then waits until the
    ClusterServiceVersion has succeeded.
  - Without Operator Lifecycle Manager, or with OLM v1 alone, nothing is written and the answer says so.
  - What waits for a person (an approval, a resolution that fails) ends the waiting early and is named. An
    upgrade that waits for approval while the installed version is well is a warning.
extends_documentation_fragment:
  - alauda.registry._cluster
  - alauda.registry._cluster.wait
  - alauda.registry._cluster.attributes
  - alauda.registry._cluster.action_group
  - alauda.registry._cluster.migration
options:
  catalog:
    description: Name of the CatalogSource.
    type: str
    required: true
  catalog_namespace:
    description: Its namespace; empty for that of the registry.
    type: str
    default: ""
  catalog_image:
    description: Image of the catalog, for a CatalogSource that is to be written; empty for one that is there.
    type: str
    default: ""
  channel:
    description: Channel of the package.
    type: str
    default: stable
  approval:
    description: Whether OLM installs newer versions by itself, or a person approves each.
    type: str
    choices: [Automatic, Manual]
    default: Automatic
  starting_version:
    description: The ClusterServiceVersion to begin with; empty for the newest of the channel.
    type: str
    default: ""
  env:
    description:
      - Environment of the operator, C(RELATED_IMAGE_IMAGE_REGISTRY) for example. It takes the place of the one that is
        there; if empty, that stays.
    type: dict
    default: {}
  namespace_labels:
    description: Labels of the namespace, if it is made.
    type: dict
    default: {}
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
author:
  - Alauda Container Platform (@alauda)
seealso:
  - module: alauda.registry.registry_config
  - module: alauda.registry.registry_info
"""

EXAMPLES = r"""
- name: Install the operator out of a catalog of one's own
  alauda.registry.registry_subscription:
    kubeconfig: /etc/kubernetes/admin.conf
    catalog: image-registry
    catalog_image: registry.example.com/platform/image-registry-catalog:2.0.0
    env:
      RELATED_IMAGE_IMAGE_REGISTRY: registry.example.com/platform/image-registry:2.0.0
"""

RETURN = r"""
subscription:
  description: The Subscription afterwards; in check mode as it would be.
  returned: always
  type: dict
version:
  description: The ClusterServiceVersion that OLM has chosen; empty if it has not yet.
  returned: always
  type: str
  sample: cluster-image-registry-operator.v2.0.0
phase:
  description: How far it is.
  returned: always
  type: str
  sample: Succeeded
progress:
  description: What happened, in order, with the seconds since the start.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.alauda.registry.plugins.module_utils import (
    _arguments,
    _conditions,
    _object_plan,
    _subscription,
    _under_migration,
)
from ansible_collections.alauda.registry.plugins.module_utils._cluster import ClusterError
from ansible_collections.alauda.registry.plugins.module_utils._progress import Progress


def main() -> None:
    """Look for OLM, plan, write, wait."""
    module = AnsibleModule(
        argument_spec={
            **_arguments.installation_arguments(),
            **_arguments.waiting_arguments(),
            "catalog": {"type": "str", "required": True},
            "catalog_namespace": {"type": "str", "default": ""},
            "catalog_image": {"type": "str", "default": ""},
            "channel": {"type": "str", "default": "stable"},
            "approval": {"type": "str", "choices": ["Automatic", "Manual"], "default": "Automatic"},
            "starting_version": {"type": "str", "default": ""},
            "env": {"type": "dict", "default": {}},
            "namespace_labels": {"type": "dict", "default": {}},
            **_under_migration.arguments(),
        },
        supports_check_mode=True,
    )
    cluster = _arguments.connect(module)
    _under_migration.refuse(module, cluster)
    asked = module.params
    progress = Progress()
    order = _subscription.Order(
        namespace=asked["namespace"],
        catalog=asked["catalog"],
        catalog_namespace=asked["catalog_namespace"] or asked["namespace"],
        catalog_image=asked["catalog_image"],
        channel=asked["channel"],
        approval=asked["approval"],
        starting_version=asked["starting_version"],
        env={name: str(value) for name, value in asked["env"].items()},
        labels={name: str(value) for name, value in asked["namespace_labels"].items()},
    )
    failure = ""
    try:
        _subscription.need_manager(cluster)
        changes = _subscription.settle(cluster, order, check=module.check_mode)
        document = changes[-1].after or {}
        if asked["wait"] and not module.check_mode:
            waited = _conditions.wait(
                cluster,
                order.path,
                lambda found: _subscription.verdict(found, _subscription.service_version(cluster, found)),
                progress,
                timeout=asked["timeout"],
                patience=asked["patience"],
            )
            document, failure = waited.document or document, waited.failure
        known = document.get("metadata", {}).get("namespace")
        version = _subscription.service_version(cluster, document) if known else {}
    except ClusterError as error:
        module.fail_json(msg=str(error), progress=progress.lines, **_subscription.told({}, {}))
    found = {"progress": progress.lines, **_subscription.told(document, version)}
    if waits := _subscription.offer(document, version):
        module.warn(waits)
    if failure:
        module.fail_json(msg=f"Operator Lifecycle Manager has not installed the operator: {failure}", **found)
    module.exit_json(
        changed=any(change.changed for change in changes),
        diff=_object_plan.diff(changes),
        **found,
    )


if __name__ == "__main__":
    main()

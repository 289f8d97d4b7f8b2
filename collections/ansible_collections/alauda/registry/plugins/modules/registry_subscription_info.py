#!/usr/bin/python
# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: how far Operator Lifecycle Manager is with the operator."""

from __future__ import annotations

DOCUMENTATION = r"""
module: registry_subscription_info
short_description: How far Operator Lifecycle Manager is with the operator of the image registry
version_added: 2.0.0
description:
  - Reads the Subscription and the ClusterServiceVersion that it has installed.
  - Nothing is written.
extends_documentation_fragment:
  - alauda.registry._cluster
  - alauda.registry._cluster.attributes
  - alauda.registry._cluster.action_group
attributes:
  diff_mode:
    support: N/A
author:
  - Alauda Container Platform (@alauda)
seealso:
  - module: alauda.registry.registry_subscription
"""

EXAMPLES = r"""
- name: Read whether an upgrade waits for somebody
  alauda.registry.registry_subscription_info:
    kubeconfig: /etc/kubernetes/admin.conf
  register: found

- name: Show it
  ansible.builtin.debug:
    msg: "{{ found.offer or found.doing or 'nothing waits' }}"
"""

RETURN = r"""
exists:
  description: Whether the operator is subscribed to in the namespace; without OLM it is not.
  returned: success
  type: bool
subscription:
  description: The Subscription; empty where there is none.
  returned: success
  type: dict
version:
  description: The ClusterServiceVersion that is installed; empty if none is.
  returned: success
  type: str
  sample: cluster-image-registry-operator.v2.0.0
phase:
  description: How far it is.
  returned: success
  type: str
  sample: Succeeded
ready:
  description: Whether it is installed and nothing is under way.
  returned: success
  type: bool
doing:
  description: What is waited for, or why waiting is in vain; empty where nothing is.
  returned: success
  type: str
  sample: OLM has not chosen a version yet
offer:
  description: A newer version that waits for a person; empty where none does.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.alauda.registry.plugins.module_utils import _arguments, _conditions, _subscription
from ansible_collections.alauda.registry.plugins.module_utils._cluster import ClusterError


def main() -> None:
    """Read and return."""
    module = AnsibleModule(argument_spec=_arguments.installation_arguments(), supports_check_mode=True)
    cluster = _arguments.connect(module)
    path = _subscription.place("v1alpha1", "subscriptions", module.params["namespace"], _subscription.PACKAGE)
    try:
        document = cluster.find(path)
        version = _subscription.service_version(cluster, document) if document else {}
    except ClusterError as error:
        module.fail_json(msg=str(error))
    verdict = _subscription.verdict(document, version) if document else _conditions.Verdict()
    module.exit_json(
        changed=False,
        exists=document is not None,
        ready=verdict.done,
        doing=verdict.refused or verdict.doing,
        offer=_subscription.offer(document, version) if document else "",
        **_subscription.told(document or {}, version),
    )


if __name__ == "__main__":
    main()

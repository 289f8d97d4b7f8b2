#!/usr/bin/python
# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: does the installed registry keep its promises?"""

from __future__ import annotations

DOCUMENTATION = r"""
module: registry_verify
short_description: Verify that an installed image registry works
version_added: 2.0.0
description:
  - Waits until Deployments, the database and node trust are ready, then asks the Image API through the API server
    and C(/v2/) of
    every Pod over TLS, with the registry's CA and the name that clients in the cluster use.
  - The way to the Pods is a port forward, so it works from everywhere where the API server is reached.
  - Every promise that is broken is named, with the reason that Pods and events give.
extends_documentation_fragment:
  - alauda.registry._cluster
  - alauda.registry._cluster.helm
  - alauda.registry._cluster.attributes
  - alauda.registry._cluster.action_group
options:
  push:
    description:
      - Push and pull a small image as a ServiceAccount, and try what must be refused, in a namespace that is made
        for it and
        deleted afterwards.
      - Skipped in check mode.
    type: bool
    default: false
  helm_test:
    description:
      - Run the chart's test Pod, which asks from inside of the cluster.
      - Skipped in check mode.
    type: bool
    default: false
  timeout:
    description: Seconds to wait for readiness.
    type: int
    default: 60
attributes:
  check_mode:
    support: partial
    details:
      - O(push) and O(helm_test) are skipped.
  diff_mode:
    support: N/A
author:
  - Alauda Container Platform (@alauda)
seealso:
  - module: alauda.registry.registry_info
"""

EXAMPLES = r"""
- name: Verify the registry with a real push and pull
  alauda.registry.registry_verify:
    kubeconfig: /etc/kubernetes/admin.conf
    push: true
"""

RETURN = r"""
findings:
  description: Promises that are broken, in the form of M(alauda.registry.registry_preflight); empty if none is.
  returned: always
  type: list
  elements: dict
  sample: []
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.alauda.registry.plugins.module_utils import _arguments, _verification
from ansible_collections.alauda.registry.plugins.module_utils._cluster import ClusterError
from ansible_collections.alauda.registry.plugins.module_utils._findings import errors, report
from ansible_collections.alauda.registry.plugins.module_utils._helm import HelmError


def main() -> None:
    """Ask everything, then fail once."""
    module = AnsibleModule(
        argument_spec={
            **_arguments.cluster_arguments(),
            "push": {"type": "bool", "default": False},
            "helm_test": {"type": "bool", "default": False},
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    cluster = _arguments.connect(module)
    writing = not module.check_mode
    try:
        found = _verification.verify(
            cluster,
            _arguments.helm(module),
            module.params["timeout"],
            push=module.params["push"] and writing,
            helm_test=module.params["helm_test"] and writing,
        )
    except (HelmError, ClusterError) as error:
        module.fail_json(msg=str(error), findings=[])
    listed = [finding.as_dict() for finding in found]
    for finding in found:
        if finding.severity == "warning":
            module.warn(finding.sentence())
    if errors(found):
        module.fail_json(
            msg=report(
                errors(found), f"the registry in namespace {module.params['namespace']} does not keep its promises:"
            ),
            findings=listed,
        )
    module.exit_json(changed=False, findings=listed)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: does this cluster meet every need of the registry?"""

from __future__ import annotations

DOCUMENTATION = r"""
module: registry_preflight
short_description: Say everything that keeps the image registry from being installed
version_added: 2.0.0
description:
  - Checks the needs of an installation against the cluster, all of them, and names each one that is not met together
    with
    what was found and what to do about it.
  - It looks at the C(helm) program, the chart and its values, the version of Kubernetes, the aggregation layer,
    nodes and
    their architecture, permissions, StorageClasses, claims and access modes, the namespace with its Pod Security level,
    Secrets and Ingress classes that the values name, and objects of the same names that belong to somebody else.
  - Nothing in the cluster is written. Permissions to grant rights are tried by a creation in dry-run mode.
extends_documentation_fragment:
  - alauda.registry._cluster
  - alauda.registry._cluster.helm
  - alauda.registry._cluster.chart
  - alauda.registry._cluster.attributes
  - alauda.registry._cluster.action_group
options:
  architectures:
    description: Node architectures that the image is built for.
    type: list
    elements: str
    default: [amd64, arm64]
  made:
    description:
      - Names of Secrets and ConfigMaps that may be missing, since earlier tasks make them. In check mode they have not.
    type: list
    elements: str
    default: []
  fail:
    description: Fail when a need is not met. With V(false) the findings are only returned.
    type: bool
    default: true
attributes:
  diff_mode:
    support: N/A
requirements:
  - jsonschema
author:
  - Alauda Container Platform (@alauda)
seealso:
  - module: alauda.registry.registry_release
"""

EXAMPLES = r"""
- name: See what a cluster lacks
  alauda.registry.registry_preflight:
    kubeconfig: /etc/kubernetes/admin.conf
    chart_ref: charts/image-registry
    values:
      config:
        replicas: 2
        storage:
          pvc:
            accessMode: ReadWriteMany
            storageClassName: shared
    fail: false
  register: preflight
"""

RETURN = r"""
findings:
  description: Every need that is not met; empty if all are.
  returned: always
  type: list
  elements: dict
  contains:
    need:
      description: Short stable name of the need.
      type: str
      sample: storage-class
    found:
      description: What was found.
      type: str
      sample: there is no default StorageClass and config.storage.pvc.storageClassName is empty (the cluster has shared)
    cure:
      description: What to do about it.
      type: str
      sample: name a class there, or make one the default
    severity:
      description: V(error) if it forbids the installation, else V(warning).
      type: str
      sample: error
kubernetes_version:
  description: Version that the API server says it is.
  returned: always
  type: str
  sample: v1.33.1
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.alauda.registry.plugins.module_utils import _arguments, _needs
from ansible_collections.alauda.registry.plugins.module_utils._cluster import ClusterError
from ansible_collections.alauda.registry.plugins.module_utils._findings import errors, report


def main() -> None:
    """Check everything, then fail once."""
    module = AnsibleModule(
        argument_spec={
            **_arguments.cluster_arguments(),
            **_arguments.chart_arguments(),
            "architectures": {"type": "list", "elements": "str", "default": ["amd64", "arm64"]},
            "made": {"type": "list", "elements": "str", "default": []},
            "fail": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    cluster = _arguments.connect(module)
    helm = _arguments.helm(module)
    version = ""
    try:
        version = str(cluster.get("/version").get("gitVersion", ""))
        found = _needs.every(
            cluster,
            helm,
            _needs.Asked(
                module.params["chart_ref"],
                module.params["chart_version"],
                module.params["values"],
                _arguments.values_file(module),
                module.tmpdir,
                module.params["architectures"],
                frozenset(module.params["made"]),
            ),
        )
    except ClusterError as error:
        module.fail_json(msg=str(error), findings=[], kubernetes_version=version)
    result = {"findings": [finding.as_dict() for finding in found], "kubernetes_version": version}
    for finding in found:
        if finding.severity == "warning":
            module.warn(finding.sentence())
    unmet = errors(found)
    if unmet and module.params["fail"]:
        many = "need is" if len(unmet) == 1 else "needs are"
        heading = f"{len(unmet)} {many} not met by the cluster at {cluster.server}; nothing was changed:"
        module.fail_json(msg=report(unmet, heading), **result)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()

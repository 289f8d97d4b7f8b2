#!/usr/bin/python
# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: facts of an installation."""

from __future__ import annotations

DOCUMENTATION = r"""
module: registry_info
short_description: Facts of an installation of the image registry
version_added: 2.0.0
description:
  - Reads what is installed, with which values, where images and their names are kept, by which addresses the
    registry is
    reached, what is ready and, if something is not, why.
  - Nothing is written.
extends_documentation_fragment:
  - alauda.registry._cluster
  - alauda.registry._cluster.helm
  - alauda.registry._cluster.attributes
  - alauda.registry._cluster.action_group
attributes:
  diff_mode:
    support: N/A
author:
  - Alauda Container Platform (@alauda)
seealso:
  - module: alauda.registry.registry_release
"""

EXAMPLES = r"""
- name: Read what is installed
  alauda.registry.registry_info:
    kubeconfig: /etc/kubernetes/admin.conf
  register: registry

- name: Show where images are pushed to
  ansible.builtin.debug:
    msg: "{{ registry.hostnames.internal }}"
  when: registry.ready
"""

RETURN = r"""
installed:
  description: Whether there is a release.
  returned: always
  type: bool
method:
  description:
    - How it is looked after. V(operator) or V(olm) if there is a C(Config), V(helm) for a release alone, empty if there
      is neither.
  returned: always
  type: str
  sample: operator
config:
  description: The object C(Config) with C(spec) and C(status), empty without the operator.
  returned: always
  type: dict
  sample: {spec: {managementState: Managed}}
operator:
  description: Image, and wanted and ready Pods of the operator, empty without one.
  returned: always
  type: dict
  sample: {image: "registry.example.com/cluster-image-registry-operator:2.0.0", desired: 1, ready: 1, by: helm}
ready:
  description: Whether everything that is wanted is ready.
  returned: always
  type: bool
release:
  description:
    - Name, namespace, revision, status and time of the release, with the Secret that Helm keeps this revision in. Empty
      if there is none.
    - C(in_use_for) is 0 unless a change is under way. Else it is the number of seconds after which that change counts
      as left behind by a run that died, and may be taken back.
  returned: always
  type: dict
  sample:
    name: image-registry
    namespace: image-registry-system
    revision: 2
    status: deployed
    updated: "2026-11-21T08:00:00Z"
    record: sh.helm.release.v1.image-registry.v2
    in_use_for: 0
versions:
  description: Versions of the chart, the application and Kubernetes.
  returned: always
  type: dict
  sample: {chart: 2.0.0, app: 2.0.0, kubernetes: v1.33.1}
values:
  description: Values that the release was given; where its last change died or is under way, those before it.
  returned: always
  type: dict
workloads:
  description: Deployments, the database's StatefulSet and the DaemonSet of node trust, with wanted and ready Pods.
  returned: always
  type: list
  elements: dict
  sample: [{kind: Deployment, name: image-registry, desired: 1, updated: 1, ready: 1, is_ready: true}]
storage:
  description: The claim with its class, size, access modes and volume, or that it is a folder of the Pod.
  returned: always
  type: dict
  sample:
    kind: claim
    name: image-registry-storage
    phase: Bound
    storage_class: fast
    size: 100Gi
    access_modes: [ReadWriteOnce]
database:
  description: Whether the database is the bundled one or another, and its claim or Secret.
  returned: always
  type: dict
  sample: {kind: bundled, claim: data-image-registry-db-0, phase: Bound, size: 8Gi}
hostnames:
  description: The address inside of the cluster, the Service's IP, and the addresses outside.
  returned: always
  type: dict
  sample:
    internal: image-registry.image-registry-system.svc:5000
    cluster_ip: 10.0.0.17
    external: [registry.example.com]
api_service:
  description: Whether the aggregated Image API is available, and why not.
  returned: always
  type: dict
  sample: {name: v1.image.alauda.io, available: true, reason: ""}
node_trust:
  description: On how many nodes the registry is trusted, and which nodes say why they can not pull from it.
  returned: always
  type: dict
  sample: {enabled: true, nodes: 3, ready: 3, untrusting: []}
images:
  description: The images that run, by container, with the digest that the node pulled.
  returned: always
  type: list
  elements: dict
  sample: [{workload: image-registry, container: registry, image: "registry.example.com/image-registry:2.0.0"}]
certificate_authority:
  description: The CA's certificates, to be trusted by clients; empty if there are none.
  returned: always
  type: str
problems:
  description: What is not ready and why, in the form of M(alauda.registry.registry_preflight).
  returned: always
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.alauda.registry.plugins.module_utils import _arguments, _installation
from ansible_collections.alauda.registry.plugins.module_utils._cluster import ClusterError
from ansible_collections.alauda.registry.plugins.module_utils._helm import HelmError


def main() -> None:
    """Read and return."""
    module = AnsibleModule(
        argument_spec=_arguments.cluster_arguments(),
        supports_check_mode=True,
    )
    cluster = _arguments.connect(module)
    try:
        facts = _installation.facts(cluster, _arguments.helm(module))
    except (HelmError, ClusterError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **facts)


if __name__ == "__main__":
    main()

# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the options by which every module names a cluster.

Private to this collection.
"""

from __future__ import annotations


class ModuleDocFragment:
    """Read by ansible-doc."""

    DOCUMENTATION = r"""
options:
  kubeconfig:
    description:
      - Path of the kubeconfig of the cluster, on the machine where the module runs.
      - Nothing else is looked at. E(KUBECONFIG), E(K8S_AUTH_KUBECONFIG) and a Pod's own account are not used, so
        that no run
        can reach a cluster by accident.
    type: path
    required: true
  context:
    description: Context of the kubeconfig; its current context if not given.
    type: str
  namespace:
    description: Namespace of the registry.
    type: str
    default: image-registry-system
  release_name:
    description: Name of the Helm release.
    type: str
    default: image-registry
requirements:
  - kubernetes >= 36.0.2
  - PyYAML
notes:
  - The module speaks to the Kubernetes API from where it runs; let it run on the machine that starts Ansible
    (C(connection=local)).
"""

    CHART = r"""
options:
  chart_ref:
    description: The chart, as a folder, an archive or an address that Helm can pull (V(oci://registry.example.com/charts/image-registry)).
    type: str
    required: true
  chart_version:
    description: Version of a chart that is pulled.
    type: str
  values:
    description: Values of the chart. They replace those of an earlier run as a whole.
    type: dict
    default: {}
"""

    HELM = r"""
options:
  helm_binary:
    description: The C(helm) program, 3.14 or later, or Helm 4.
    type: str
    default: helm
requirements:
  - helm >= 3.14
"""

    WAIT = r"""
options:
  wait:
    description: Wait until the operator says that all is as asked; in check mode nothing is waited for.
    type: bool
    default: true
  timeout:
    description: Seconds to wait.
    type: int
    default: 600
  patience:
    description: Seconds after which waiting ends early when it is in vain (an image that can not be pulled).
    type: int
    default: 60
"""

    MIGRATION = r"""
options:
  accept_migration:
    description:
      - While a migration off a legacy registry is under way (Lease C(image-registry-migration)), this is refused,
        because the migration could not take it back. The digest of its plan, as the refusal names it, says that it is
        meant.
    type: str
    default: ""
"""

    PACKAGE = r"""
options: {}
requirements:
  - alauda-image-registry
"""

    ATTRIBUTES = r"""
attributes:
  check_mode:
    support: full
    description: Can run in check_mode and return changed status prediction without modifying the cluster.
  diff_mode:
    support: none
    description: Returns details on what has changed (or possibly needs changing), when in diff mode.
  idempotent:
    support: full
    description:
      - When run twice in a row outside check mode, with the same arguments, the second invocation indicates no change.
"""

    ACTION_GROUP = r"""
attributes:
  action_group:
    support: full
    description: Use C(group/alauda.registry.registry) in C(module_defaults) to name the cluster once for all modules.
    membership:
      - alauda.registry.registry
"""

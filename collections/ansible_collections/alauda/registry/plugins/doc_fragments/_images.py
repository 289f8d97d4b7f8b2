# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation that the modules about images share: which cluster, how other registries are trusted.

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
      - Nothing else is looked at. E(KUBECONFIG), E(K8S_AUTH_KUBECONFIG) and a Pod's own account are not used, so that
        no run can reach a cluster by accident.
    type: path
    required: true
  context:
    description: Context of the kubeconfig; its current context if not given.
    type: str
requirements:
  - kubernetes >= 36.0.2
  - PyYAML
notes:
  - The module speaks to the Kubernetes API from where it runs; let it run on the machine that starts Ansible
    (C(connection=local)).
"""

    PACKAGE = r"""
options: {}
requirements:
  - alauda-image-registry
"""

    REGISTRIES = r"""
options:
  auth_file:
    description:
      - File with logins of registries, as C(docker login), C(podman login) and C(ac registry login) write it.
      - No other file is looked at.
    type: path
  ca_path:
    description: File with CAs that are trusted beside those of the system.
    type: path
  validate_certs:
    description: Whether certificates of registries must be trusted. If V(false), plain HTTP will do as well.
    type: bool
    default: true
"""

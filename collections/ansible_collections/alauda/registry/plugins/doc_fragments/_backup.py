# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation that the modules about backups share: where they lie, and how the registry is asked.

Private to this collection.
"""

from __future__ import annotations


class ModuleDocFragment:
    """Read by ansible-doc."""

    DOCUMENTATION = r"""
options:
  folder:
    description:
      - Folder of the backups of one registry, on the machine where the module runs.
        It is made for its owner alone; one that others can look into is refused.
    type: path
    required: true
  registry_url:
    description: Address of the registry, C(https\://<host>[\:<port>]), as clients outside of the cluster name it.
    type: str
    required: true
  ca_path:
    description: File with CAs that are trusted for O(registry_url) beside those of the system.
    type: path
  validate_certs:
    description: Whether the certificate of the registry must be trusted.
    type: bool
    default: true
  token:
    description: Token of the cluster with which the registry is asked; else that of the kubeconfig.
    type: str
  service_account:
    description:
      - Ask with a token of this service account, C(<namespace>/<name>), that is good for eight hours or as long as the
        cluster allows; for a kubeconfig with a client certificate, which a registry does not know.
    type: str
    default: ""
  namespace:
    description: Namespace of the registry.
    type: str
    default: image-registry-system
  namespaces:
    description: Only what is in these namespaces. Empty for everything, also what belongs to no namespace.
    type: list
    elements: str
    default: []
requirements:
  - alauda-image-registry
"""

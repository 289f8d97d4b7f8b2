# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filter: an image reference as the chart's values have it."""

from __future__ import annotations

DOCUMENTATION = r"""
name: image_reference
short_description: Take an image reference apart
version_added: 2.0.0
description:
  - Turns V(registry.example.com:5000/team/image:1.0@sha256:…) into the map that the chart and
    O(alauda.registry.install#role:main:registry_image)
    want.
  - A reference without a registry part is one of V(docker.io), as container runtimes read it.
options:
  _input:
    description: The reference.
    type: str
    required: true
author:
  - Alauda Container Platform (@alauda)
"""

EXAMPLES = r"""
- name: Name the image in one word
  ansible.builtin.set_fact:
    registry_image: "{{ 'registry.example.com/platform/image-registry:2.0.0' | alauda.registry.image_reference }}"
"""

RETURN = r"""
_value:
  description: The parts; tag or digest are empty if the reference has none.
  type: dict
  sample: {registry: registry.example.com, repository: platform/image-registry, tag: 2.0.0, digest: ""}
"""

from ansible.errors import AnsibleFilterError


def image_reference(reference: str) -> dict[str, str]:
    """Registry, repository, tag and digest."""
    if not isinstance(reference, str) or not reference or any(letter.isspace() for letter in reference):
        raise AnsibleFilterError(
            f"image_reference: {reference!r} is no image reference; it looks like registry/repository:tag"
        )
    rest, _sep, digest = reference.partition("@")
    first, slash, _sep = rest.partition("/")
    has_registry = bool(slash) and ("." in first or ":" in first or first == "localhost")
    registry = first if has_registry else "docker.io"
    name = rest[len(first) + 1 :] if has_registry else rest
    repository, _sep, tag = name.partition(":")
    if not repository:
        raise AnsibleFilterError(
            f"image_reference: {reference!r} names no repository; it looks like registry/repository:tag"
        )
    if not has_registry and "/" not in repository:
        repository = f"library/{repository}"
    return {"registry": registry, "repository": repository, "tag": tag, "digest": digest}


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, object]:
        """Filters by name."""
        return {"image_reference": image_reference}

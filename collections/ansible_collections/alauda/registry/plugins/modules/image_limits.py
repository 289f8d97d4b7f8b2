#!/usr/bin/python
# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: limits of a namespace for images."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_limits
short_description: Limit what a namespace may have of images, tags and bytes
version_added: 2.0.0
description:
  - Writes a LimitRange, for one image and one stream, and a ResourceQuota, for the namespace. Pushes, imports and
    writes of
    the Image API are held to them.
  - The options say all of it. What is not given is not limited, and an object of which nothing is left is deleted.
  - Entries of these two objects that are not about images stay.
extends_documentation_fragment:
  - alauda.registry._images
  - alauda.registry._cluster.attributes
  - alauda.registry._cluster.action_group
options:
  namespace:
    description: The namespace that is limited.
    type: str
    required: true
  name:
    description: Name of the LimitRange and of the ResourceQuota.
    type: str
    default: images
  state:
    description: With V(absent) both hold no image to anything.
    type: str
    choices: [present, absent]
    default: present
  image_size:
    description: Bytes that one image may have, as a quantity of Kubernetes (V(2Gi)).
    type: str
    default: ""
  stream_tags:
    description: Tags that one stream may have.
    type: int
  stream_images:
    description: Images that one stream may have.
    type: int
  streams:
    description: Streams that the namespace may have.
    type: int
  images:
    description: Different images that the namespace may have.
    type: int
  tags:
    description: Tags that all streams of the namespace may have together.
    type: int
  storage:
    description: Bytes that the images of the namespace may have, each blob counted once (V(100Gi)).
    type: str
    default: ""
attributes:
  diff_mode:
    support: full
author:
  - Alauda Container Platform (@alauda)
seealso:
  - module: alauda.registry.registry_access
"""

EXAMPLES = r"""
- name: Fifty repositories, a hundred gigabytes, no image above two
  alauda.registry.image_limits:
    kubeconfig: /etc/kubernetes/admin.conf
    namespace: team
    image_size: 2Gi
    stream_tags: 100
    streams: 50
    storage: 100Gi

- name: No limits for images
  alauda.registry.image_limits:
    kubeconfig: /etc/kubernetes/admin.conf
    namespace: team
    state: absent
"""

RETURN = r"""
limit_range:
  description: The LimitRange as it is (or would be) afterwards; empty if there is none.
  returned: success
  type: dict
resource_quota:
  description: The ResourceQuota as it is (or would be) afterwards; empty if there is none.
  returned: success
  type: dict
used:
  description: What the namespace uses of the quota, as the registry last said it.
  returned: success
  type: dict
  sample: {alauda.io/imagestreams: "12", alauda.io/image-storage: "8123456789"}
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.alauda.registry.plugins.module_utils import _arguments, _object_plan
from ansible_collections.alauda.registry.plugins.module_utils._cluster import ClusterError
from ansible_collections.alauda.registry.plugins.module_utils._limits import OF_ALL, OF_ONE
from ansible_collections.alauda.registry.plugins.module_utils._objects import collection


def main() -> None:
    """Two objects, each by its plan."""
    module = AnsibleModule(
        argument_spec={
            **_arguments.place_arguments(),
            "namespace": {"type": "str", "required": True},
            "name": {"type": "str", "default": "images"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "image_size": {"type": "str", "default": ""},
            "stream_tags": {"type": "int"},
            "stream_images": {"type": "int"},
            "streams": {"type": "int"},
            "images": {"type": "int"},
            "tags": {"type": "int"},
            "storage": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    asked = module.params
    wanted = {
        option: str(asked[option])
        for option in (*OF_ONE, *OF_ALL)
        if asked["state"] == "present" and asked[option] not in (None, "")
    }
    cluster = _arguments.connect(module)
    try:
        changes = [
            _object_plan.settle(
                cluster,
                f"{collection('v1', resource, asked['namespace'])}/{asked['name']}",
                lambda current, wish=wish: wish(asked, wanted, current),
                check=module.check_mode,
            )
            for resource, wish in (("limitranges", limit_range), ("resourcequotas", resource_quota))
        ]
    except ClusterError as error:
        module.fail_json(msg=str(error))
    range_change, quota_change = changes
    quota = quota_change.after or {}
    module.exit_json(
        changed=any(change.changed for change in changes),
        diff=_object_plan.diff(changes),
        limit_range=range_change.after or {},
        resource_quota=quota,
        used=(quota.get("status") or {}).get("used") or {},
    )


def limit_range(asked: dict[str, Any], wanted: dict[str, str], current: dict[str, Any] | None) -> dict[str, Any] | None:
    """Our types as the options say it, others as they are."""
    ours: dict[str, dict[str, str]] = {}
    for option, (kind, resource) in OF_ONE.items():
        if option in wanted:
            ours.setdefault(kind, {})[resource] = wanted[option]
    kinds = {kind for kind, _resource in OF_ONE.values()}
    others = [item for item in ((current or {}).get("spec") or {}).get("limits") or () if item.get("type") not in kinds]
    limits = [*others, *({"type": kind, "max": most} for kind, most in ours.items())]
    if not limits:
        return None
    return {**(current or _new(asked, "LimitRange")), "spec": {"limits": limits}}


def resource_quota(
    asked: dict[str, Any], wanted: dict[str, str], current: dict[str, Any] | None
) -> dict[str, Any] | None:
    """Our resources as the options say it, others as they are."""
    spec = dict((current or {}).get("spec") or {})
    others = {key: value for key, value in (spec.get("hard") or {}).items() if key not in OF_ALL.values()}
    hard = {**others, **{resource: wanted[option] for option, resource in OF_ALL.items() if option in wanted}}
    if not hard:
        return None
    return {**(current or _new(asked, "ResourceQuota")), "spec": {**spec, "hard": hard}}


def _new(asked: dict[str, Any], kind: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {"name": asked["name"], "namespace": asked["namespace"]},
    }


if __name__ == "__main__":
    main()

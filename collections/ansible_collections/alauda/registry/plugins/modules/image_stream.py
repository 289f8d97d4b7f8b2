#!/usr/bin/python
# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: an image stream, present or absent."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_stream
short_description: Make, change or delete an image stream
version_added: 2.0.0
description:
  - An image stream is a repository of the registry as an object of Kubernetes. It is made by the first push into it;
    this
    module makes it before, or says how it is to be.
  - What is not named stays as it is, the tags too. M(alauda.registry.image_stream_tag) is about them.
  - The plan is a dry run of the Image API, so check mode is refused what the real run would be refused.
extends_documentation_fragment:
  - alauda.registry._images
  - alauda.registry._cluster.attributes
  - alauda.registry._cluster.action_group
options:
  namespace:
    description: Namespace of the stream.
    type: str
    required: true
  name:
    description: Name of the stream, which is that of the repository.
    type: str
    required: true
  state:
    description:
      - Whether the stream shall exist.
      - With V(absent) its tags go with it, and the images in it that no other stream has go with the next collection of
        garbage.
    type: str
    choices: [present, absent]
    default: present
  local_lookup:
    description: Whether Pods of the namespace may name its images without the registry, as in C(app:v1).
    type: bool
  repository:
    description: A repository of another registry whose tags the stream imports; empty for none.
    type: str
  labels:
    description: Labels that the stream shall have; one that is null shall not be there. Others stay.
    type: dict
    default: {}
  annotations:
    description: Annotations that the stream shall have; one that is null shall not be there. Others stay.
    type: dict
    default: {}
attributes:
  diff_mode:
    support: full
author:
  - Alauda Container Platform (@alauda)
seealso:
  - module: alauda.registry.image_stream_info
  - module: alauda.registry.image_stream_tag
"""

EXAMPLES = r"""
- name: A stream whose images Pods name without the registry
  alauda.registry.image_stream:
    kubeconfig: /etc/kubernetes/admin.conf
    namespace: team
    name: app
    local_lookup: true
    labels:
      owner: team

- name: No stream of that name, and no tag of it
  alauda.registry.image_stream:
    kubeconfig: /etc/kubernetes/admin.conf
    namespace: team
    name: app
    state: absent
"""

RETURN = r"""
image_stream:
  description: The stream as it is (or would be) afterwards; empty if there is none.
  returned: success
  type: dict
  sample:
    metadata: {name: app, namespace: team}
    spec: {lookupPolicy: {local: true}}
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.alauda.registry.plugins.module_utils import _arguments, _image_api, _object_plan
from ansible_collections.alauda.registry.plugins.module_utils._cluster import ClusterError


def main() -> None:
    """Say what shall be, and let the plan do the rest."""
    module = AnsibleModule(
        argument_spec={
            **_arguments.place_arguments(),
            "namespace": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "local_lookup": {"type": "bool"},
            "repository": {"type": "str"},
            "labels": {"type": "dict", "default": {}},
            "annotations": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    asked = module.params
    cluster = _arguments.connect(module)
    path = _image_api.path("imagestreams", asked["namespace"], asked["name"])
    try:
        change = _object_plan.settle(
            cluster,
            path,
            lambda current: wished(asked, current),
            check=module.check_mode,
            view=_image_api.stream_content,
        )
    except ClusterError as error:
        module.fail_json(msg=_image_api.failure(error))
    module.exit_json(changed=change.changed, diff=_object_plan.diff([change]), image_stream=change.after or {})


def wished(asked: dict[str, Any], current: dict[str, Any] | None) -> dict[str, Any] | None:
    """What shall be there."""
    if asked["state"] == "absent":
        return None
    marks = {
        member: {key: None if value is None else str(value) for key, value in asked[member].items()}
        for member in ("labels", "annotations")
    }
    spec: dict[str, Any] = {}
    if asked["local_lookup"] is not None:
        spec["lookupPolicy"] = {"local": asked["local_lookup"]}
    if asked["repository"] is not None:
        spec["dockerImageRepository"] = asked["repository"] or None
    base = current or {
        "apiVersion": _image_api.VERSION,
        "kind": "ImageStream",
        "metadata": {"name": asked["name"], "namespace": asked["namespace"]},
    }
    return _object_plan.combined(base, {"metadata": marks, "spec": spec})


if __name__ == "__main__":
    main()

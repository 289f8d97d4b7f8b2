#!/usr/bin/python
# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: image streams and their tags, read."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_stream_info
short_description: Read image streams and what their tags mean
version_added: 2.0.0
description:
  - Returns streams as they are, and one row for each tag, with the image that it means, what is wanted of it and
    what went
    wrong.
  - Nothing is written.
extends_documentation_fragment:
  - alauda.registry._images
  - alauda.registry._cluster.attributes
  - alauda.registry._cluster.action_group
options:
  namespace:
    description: Only streams of this namespace; empty for all that there are.
    type: str
    default: ""
  name:
    description: Only the stream of this name. Needs O(namespace).
    type: str
  label_selector:
    description: Only streams with these labels, as in V(owner=team).
    type: str
    default: ""
attributes:
  diff_mode:
    support: N/A
author:
  - Alauda Container Platform (@alauda)
seealso:
  - module: alauda.registry.image_stream
  - module: alauda.registry.image_stream_tag
"""

EXAMPLES = r"""
- name: Read what the tags of a team mean
  alauda.registry.image_stream_info:
    kubeconfig: /etc/kubernetes/admin.conf
    namespace: team
  register: found

- name: Show tags whose import failed
  ansible.builtin.debug:
    msg: "{{ found.tags | selectattr('problems') | map(attribute='tag') }}"
"""

RETURN = r"""
image_streams:
  description: The streams, as the Image API shows them.
  returned: success
  type: list
  elements: dict
tags:
  description: One row for each tag, by namespace, stream and name.
  returned: success
  type: list
  elements: dict
  contains:
    namespace:
      description: Namespace of the stream.
      type: str
      sample: team
    stream:
      description: Name of the stream.
      type: str
      sample: app
    tag:
      description: Name of the tag.
      type: str
      sample: v1
    image:
      description: Digest of the image that it means; empty if it means none yet.
      type: str
      sample: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    pull_spec:
      description: Where that image is pulled from.
      type: str
    since:
      description: Since when it means this image.
      type: str
      sample: "2026-11-21T08:00:00Z"
    revisions:
      description: Images in its history.
      type: int
      sample: 3
    source:
      description: Where it shall come from, the C(from) of the tag; empty for one that is only pushed.
      type: dict
    problems:
      description: What went wrong, for example with the last import.
      type: list
      elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.alauda.registry.plugins.module_utils import _arguments, _image_api
from ansible_collections.alauda.registry.plugins.module_utils._cluster import ClusterError


def main() -> None:
    """Read and return."""
    module = AnsibleModule(
        argument_spec={
            **_arguments.place_arguments(),
            "namespace": {"type": "str", "default": ""},
            "name": {"type": "str"},
            "label_selector": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    asked = module.params
    if asked["name"] and not asked["namespace"]:
        module.fail_json(msg=f"name {asked['name']!r} needs namespace: a stream is one of a namespace")
    cluster = _arguments.connect(module)
    try:
        if asked["name"]:
            one = cluster.find(_image_api.path("imagestreams", asked["namespace"], asked["name"]))
            found = [one] if one is not None else []
        else:
            query = {"labelSelector": asked["label_selector"]} if asked["label_selector"] else {}
            found = list(_image_api.streams(cluster, asked["namespace"], **query))
    except ClusterError as error:
        module.fail_json(msg=_image_api.failure(error))
    tags = [row for stream in found for row in _image_api.tags_of(stream)]
    module.exit_json(changed=False, image_streams=found, tags=tags)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: a tag of an image stream, present or absent."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_stream_tag
short_description: Say what a tag of an image stream means, or take it away
version_added: 2.0.0
description:
  - Lets a tag mean another tag, an image of a stream, or an image of another registry, which is then imported.
  - A stream that is not there is made with its first tag. What is not named stays as it is.
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
  stream:
    description: Name of the stream.
    type: str
    required: true
  tag:
    description: Name of the tag.
    type: str
    required: true
  state:
    description: Whether the tag shall exist. With V(absent) its history goes with it; the image stays in the stream.
    type: str
    choices: [present, absent]
    default: present
  from_tag:
    description:
      - Mean what this tag means, C([<namespace>/]<stream>:<tag>).
      - The image is pinned; when the other tag moves, so does this one at the next run. See O(follow).
    type: str
  from_stream_image:
    description: Mean this image of a stream, C([<namespace>/]<stream>@<digest>), also one that is only in its history.
    type: str
  from_image:
    description: Import this image of another registry, C(<host>/<path>[:<tag>][@<digest>]).
    type: str
  follow:
    description: Follow O(from_tag), a tag of the same stream, by itself from now on, instead of pinning its image.
    type: bool
    default: false
  reference:
    description: Only point to the source; nothing is imported.
    type: bool
  scheduled:
    description: Look again from time to time whether O(from_image) changed.
    type: bool
  insecure:
    description: The registry of O(from_image) may have no trusted TLS.
    type: bool
  import_mode:
    description: Of an image for several platforms one of them (V(Legacy)), or all.
    type: str
    choices: [Legacy, PreserveOriginal]
  reference_policy:
    description: With V(Local) whoever uses the tag pulls from this registry, which fetches what it lacks.
    type: str
    choices: [Source, Local]
  annotations:
    description: Annotations that the tag shall have; one that is null shall not be there. Others stay.
    type: dict
    default: {}
attributes:
  check_mode:
    support: partial
    details:
      - If O(from_tag) means no image yet, because an earlier task would make it, the prediction is a change to an image
        that is not known.
  diff_mode:
    support: full
  idempotent:
    support: partial
    details:
      - With O(from_tag) a tag follows at the next run when the other one moved in between.
author:
  - Alauda Container Platform (@alauda)
seealso:
  - module: alauda.registry.image_stream
  - module: alauda.registry.image_import
"""

EXAMPLES = r"""
- name: Release what was tested
  alauda.registry.image_stream_tag:
    kubeconfig: /etc/kubernetes/admin.conf
    namespace: team
    stream: app
    tag: prod
    from_tag: app:v2

- name: Import an image and look for news of it
  alauda.registry.image_stream_tag:
    kubeconfig: /etc/kubernetes/admin.conf
    namespace: team
    stream: base
    tag: "1"
    from_image: registry.example.com/base/os:1
    scheduled: true
    reference_policy: Local

- name: Take a tag away
  alauda.registry.image_stream_tag:
    kubeconfig: /etc/kubernetes/admin.conf
    namespace: team
    stream: app
    tag: old
    state: absent
"""

RETURN = r"""
image_stream_tag:
  description: The tag (ImageTag) as it is (or would be) afterwards; empty if there is none.
  returned: success
  type: dict
  sample:
    metadata: {name: "app:prod", namespace: team}
    spec: {name: prod, from: {kind: ImageStreamImage, name: "app@sha256:0123"}}
image:
  description: Digest of the image that the tag means then, as far as it is known.
  returned: success
  type: str
  sample: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.alauda.registry.plugins.module_utils import _arguments, _image_api, _object_plan, _tags
from ansible_collections.alauda.registry.plugins.module_utils._cluster import ClusterError

SOURCES = ("from_tag", "from_stream_image", "from_image")


def main() -> None:
    """Find what the source means, say what shall be, and let the plan do the rest."""
    module = AnsibleModule(
        argument_spec={
            **_arguments.place_arguments(),
            "namespace": {"type": "str", "required": True},
            "stream": {"type": "str", "required": True},
            "tag": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            **{name: {"type": "str"} for name in SOURCES},
            "follow": {"type": "bool", "default": False},
            "reference": {"type": "bool"},
            "scheduled": {"type": "bool"},
            "insecure": {"type": "bool"},
            "import_mode": {"type": "str", "choices": ["Legacy", "PreserveOriginal"]},
            "reference_policy": {"type": "str", "choices": ["Source", "Local"]},
            "annotations": {"type": "dict", "default": {}},
        },
        mutually_exclusive=[SOURCES],
        supports_check_mode=True,
    )
    asked = module.params
    if asked["follow"] and not asked["from_tag"]:
        module.fail_json(msg="follow needs from_tag: the tag that is followed")
    cluster = _arguments.connect(module)
    path = _image_api.path("imagetags", asked["namespace"], f"{asked['stream']}:{asked['tag']}")
    try:
        source = _tags.source(cluster, asked) if asked["state"] == "present" else None
        if source is not None and source["name"].endswith(_tags.UNKNOWN):
            if not module.check_mode:
                module.fail_json(
                    msg=f"tag {asked['from_tag']} of namespace {asked['namespace']} means no image: push or import it "
                    "first; image_stream_info shows what went wrong with an import"
                )
            before = cluster.find(path)
            change = _tags.unknown(asked, path, before, source)
        else:
            change = _object_plan.settle(
                cluster,
                path,
                lambda current: _tags.wished(asked, source, current),
                check=module.check_mode,
                view=_tags.content,
            )
    except _tags.NothingWanted as error:
        module.fail_json(msg=str(error))
    except ClusterError as error:
        module.fail_json(msg=_image_api.failure(error))
    after: dict[str, Any] = change.after or {}
    items = (after.get("status") or {}).get("items") or [{}]
    module.exit_json(
        changed=change.changed,
        diff=_object_plan.diff([change]),
        image_stream_tag=after,
        image=str(items[0].get("image", "")),
    )


if __name__ == "__main__":
    main()

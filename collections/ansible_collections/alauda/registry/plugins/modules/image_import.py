#!/usr/bin/python
# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: images of other registries, imported now."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_import
short_description: Import images of another registry into an image stream, now
version_added: 2.0.0
description:
  - Lets the registry look at another one, and tells for each tag what it found and whether that is news.
  - Images that are named, every tag of O(repository), or, without both, again what the stream imports.
  - Policies that are not named stay as the stream has them. A stream that is not there is made.
  - In check mode the registry looks and writes nothing, so the prediction is what is there now.
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
  images:
    description: Images to import, each into a tag.
    type: list
    elements: dict
    default: []
    suboptions:
      tag:
        description: Name of the tag.
        type: str
        default: latest
      source:
        description:
          - The image, C(<host>/<path>[:<tag>][@<digest>]). May be left out for a tag that is imported already.
        type: str
  repository:
    description: A repository whose tags are all imported, C(<host>/<path>).
    type: str
  scheduled:
    description: Look again from time to time whether the images changed.
    type: bool
  insecure:
    description: The other registry may have no trusted TLS.
    type: bool
  import_mode:
    description: Of an image for several platforms one of them (V(Legacy)), or all.
    type: str
    choices: [Legacy, PreserveOriginal]
  reference_policy:
    description: With V(Local) whoever uses the tags pulls from this registry, which fetches what it lacks.
    type: str
    choices: [Source, Local]
  allow_failures:
    description: End well also if tags could not be imported; RV(results) tells which.
    type: bool
    default: false
  timeout:
    description: Seconds to wait for the answer.
    type: int
    default: 600
attributes:
  diff_mode:
    support: full
  idempotent:
    support: partial
    details:
      - A second run changes something when the images changed at their source in between.
author:
  - Alauda Container Platform (@alauda)
seealso:
  - module: alauda.registry.image_stream_tag
  - module: alauda.registry.image_mirror
"""

EXAMPLES = r"""
- name: Import two images
  alauda.registry.image_import:
    kubeconfig: /etc/kubernetes/admin.conf
    namespace: team
    stream: base
    images:
      - tag: "1"
        source: registry.example.com/base/os:1
      - tag: "2"
        source: registry.example.com/base/os:2
    reference_policy: Local
  register: imported

- name: Show what is new
  ansible.builtin.debug:
    msg: "{{ imported.results | selectattr('changed') | map(attribute='tag') }}"

- name: Look again at everything that the stream imports
  alauda.registry.image_import:
    kubeconfig: /etc/kubernetes/admin.conf
    namespace: team
    stream: base
"""

RETURN = r"""
results:
  description: What became of each tag.
  returned: when the registry answered
  type: list
  elements: dict
  contains:
    tag:
      description: Name of the tag; empty for the repository as a whole.
      type: str
      sample: v1
    image:
      description: Digest of what was found; empty if nothing was.
      type: str
      sample: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    before:
      description: Digest of what the tag meant before; empty if it meant nothing.
      type: str
    changed:
      description: Whether the tag means (or would mean) another image, or is wanted in another way.
      type: bool
    status:
      description: V(Success) or V(Failure).
      type: str
    reason:
      description: Why not, in one word.
      type: str
      sample: NotFound
    message:
      description: Why not.
      type: str
left_out:
  description: Tags of O(repository) beyond those that one import takes.
  returned: when the registry answered
  type: list
  elements: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.alauda.registry.plugins.module_utils import _arguments, _image_api, _imports
from ansible_collections.alauda.registry.plugins.module_utils._cluster import ClusterError


def main() -> None:
    """Ask the registry, and compare what the tags mean before and after."""
    module = AnsibleModule(
        argument_spec={
            **_arguments.place_arguments(),
            "namespace": {"type": "str", "required": True},
            "stream": {"type": "str", "required": True},
            "images": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {"tag": {"type": "str", "default": "latest"}, "source": {"type": "str"}},
            },
            "repository": {"type": "str"},
            "scheduled": {"type": "bool"},
            "insecure": {"type": "bool"},
            "import_mode": {"type": "str", "choices": ["Legacy", "PreserveOriginal"]},
            "reference_policy": {"type": "str", "choices": ["Source", "Local"]},
            "allow_failures": {"type": "bool", "default": False},
            "timeout": {"type": "int", "default": 600},
        },
        mutually_exclusive=[("images", "repository")],
        supports_check_mode=True,
    )
    asked = module.params
    cluster = _arguments.connect(module)
    try:
        before = cluster.find(_image_api.path("imagestreams", asked["namespace"], asked["stream"]))
        spec = _imports.spec(asked, before)
        answer = _imports.ask(cluster, asked, spec, check=module.check_mode)
    except _imports.NothingToImport as error:
        module.fail_json(msg=str(error), results=[], left_out=[])
    except ClusterError as error:
        module.fail_json(msg=_image_api.failure(error), results=[], left_out=[])
    found = _imports.told(before, answer)
    result: dict[str, Any] = {
        "changed": found.changed,
        "results": found.rows,
        "left_out": found.left_out,
        "diff": {"before": found.before, "after": found.after} if found.changed else {},
    }
    failed = [row for row in found.rows if row["status"] != "Success"]
    if failed and not asked["allow_failures"]:
        said = "; ".join(
            f"{row['tag'] or asked['repository']}: {row['message'] or row['reason']}" for row in failed[:5]
        )
        module.fail_json(
            msg=f"{len(failed)} of {len(found.rows)} could not be imported into "
            f"{asked['namespace']}/{asked['stream']}: {said}. Cure the reasons and run again; "
            "what could be imported is",
            **result,
        )
    module.exit_json(**result)


if __name__ == "__main__":
    main()

# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is wanted of a tag, from the options of a task: its source, policies and annotations over what is there.

Private to this collection. It speaks to ``imagetags``, where a tag is found also while it means no image.
"""

from __future__ import annotations

from typing import Any

from ansible_collections.alauda.registry.plugins.module_utils import _image_api, _object_plan
from ansible_collections.alauda.registry.plugins.module_utils._cluster import Cluster

UNKNOWN = "@(not known yet)"
"""End of the name of an image that an earlier task would make."""

Document = dict[str, Any]


class NothingWanted(Exception):
    """The task says nothing that a tag could be made of."""


def source(cluster: Cluster, asked: Document) -> dict[str, str] | None:
    """The ``from`` that is wanted, None to leave it as it is. Raises ClusterError."""
    if asked["from_image"]:
        return _image_api.source(_image_api.DOCKER, asked["from_image"], "")
    if asked["from_stream_image"]:
        return _image_api.source(_image_api.STREAM_IMAGE, asked["from_stream_image"], asked["namespace"])
    if not asked["from_tag"]:
        return None
    wanted = _image_api.source(_image_api.STREAM_TAG, asked["from_tag"], asked["namespace"])
    if asked["follow"] or asked["reference"]:
        return wanted
    found = cluster.find(_image_api.path("imagestreamtags", wanted["namespace"], wanted["name"])) or {}
    digest = ((found.get("image") or {}).get("metadata") or {}).get("name", "")
    stream = wanted["name"].partition(":")[0]
    name = f"{stream}@{digest}" if digest else f"{stream}{UNKNOWN}"
    return {**wanted, "kind": _image_api.STREAM_IMAGE, "name": name}


def wished(asked: Document, origin: dict[str, str] | None, current: Document | None) -> Document | None:
    """What shall be there. Raises :class:`NothingWanted`."""
    if asked["state"] == "absent":
        return None
    before: Document = (current or {}).get("spec") or {}
    if current is None and origin is None:
        raise NothingWanted(
            f"there is no tag {asked['stream']}:{asked['tag']} in namespace {asked['namespace']}, and the task does "
            "not say what it shall mean: name from_tag, from_stream_image or from_image"
        )
    spec = {key: value for key, value in before.items() if key != "generation"}
    if origin is not None:
        if origin["kind"] != (before.get("from") or {}).get("kind"):
            spec.pop("importPolicy", None)  # it is for the registry that the tag came from
        spec["from"] = origin
    over: Document = {
        "name": asked["tag"],
        "annotations": {key: None if value is None else str(value) for key, value in asked["annotations"].items()},
        "importPolicy": policy(asked),
    }
    if asked["reference"] is not None:
        over["reference"] = asked["reference"]
    if asked["reference_policy"]:
        over["referencePolicy"] = {"type": asked["reference_policy"]}
    wanted = _image_api.tag_content(_object_plan.combined(spec, over))
    says_nothing = wanted == {"name": asked["tag"]}
    base = current or {
        "apiVersion": _image_api.VERSION,
        "kind": "ImageTag",
        "metadata": {"name": f"{asked['stream']}:{asked['tag']}", "namespace": asked["namespace"]},
    }
    kept = {key: value for key, value in base.items() if key not in ("spec", "image")}
    return kept if says_nothing and not before else {**kept, "spec": wanted}


def policy(asked: Document) -> Document:
    """The ``importPolicy`` that a task names."""
    named = {"scheduled": asked["scheduled"], "insecure": asked["insecure"], "importMode": asked["import_mode"]}
    return {key: value for key, value in named.items() if value is not None}


def content(tag: Document) -> Document:
    """What somebody wishes of it."""
    spec = _image_api.tag_content(tag.get("spec") or {})
    for member, nothing in (("importPolicy", "importMode"), ("referencePolicy", "type")):
        found = {key: value for key, value in (spec.get(member) or {}).items() if value}
        if found.get(nothing) in ("Legacy", "Source"):
            found.pop(nothing)  # the same as not to say it
        spec[member] = found
    if not spec.get("reference"):
        spec.pop("reference", None)
    name = tag["metadata"]["name"]
    return {"name": name, "spec": {key: value for key, value in spec.items() if value not in (None, {}, "")}}


def unknown(asked: Document, path: str, before: Document | None, origin: dict[str, str]) -> _object_plan.Change:
    """A change to an image that is not there yet."""
    after = wished(asked, origin, before)
    shown = content(before) if before else {}
    return _object_plan.Change(path, before, after, shown, content(after) if after else {})

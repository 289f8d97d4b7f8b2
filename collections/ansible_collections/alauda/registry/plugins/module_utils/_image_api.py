# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Objects of the Image API: where they are, what of them counts, and what it means when nobody answers.

Private to this collection.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ansible_collections.alauda.registry.plugins.module_utils import _object_plan
from ansible_collections.alauda.registry.plugins.module_utils._cluster import Cluster, ClusterError
from ansible_collections.alauda.registry.plugins.module_utils._objects import collection

VERSION = "image.alauda.io/v1"
NO_SUCH_API, AWAY = 404, (502, 503, 504)

DOCKER, STREAM_TAG, STREAM_IMAGE = "DockerImage", "ImageStreamTag", "ImageStreamImage"
"""Kinds of sources of a tag."""


def path(resource: str, namespace: str = "", name: str = "") -> str:
    """Of an object, or of its collection."""
    root = collection(VERSION, resource, namespace)
    return f"{root}/{name}" if name else root


def failure(error: ClusterError) -> str:
    """The sentence for a person; a registry that is not there, or not well, is named as that."""
    text = str(error)
    if (error.status == NO_SUCH_API and "page not found" in text) or error.status in AWAY:
        return (
            f"the Image API does not answer ({text}): look at APIService v1.image.alauda.io and at Deployment "
            "image-api-server; the registry may not be installed in this cluster (playbooks/install.yml)"
        )
    return text


def stream_content(stream: dict[str, Any]) -> dict[str, Any]:
    """What somebody wishes of a stream; numbers by which the server counts writes are left out."""
    shown = _object_plan.content(stream)
    metadata, spec = dict(shown["metadata"]), dict(shown.get("spec") or {})
    for member in ("labels", "annotations"):
        if not metadata.get(member):
            metadata.pop(member, None)
    if "tags" in spec:
        spec["tags"] = [tag_content(tag) for tag in spec["tags"]]
    return {**shown, "metadata": metadata, "spec": spec}


def tag_content(tag: dict[str, Any]) -> dict[str, Any]:
    """A wanted tag without its generation, and without what is nothing."""
    return {key: value for key, value in tag.items() if key != "generation" and value not in (None, {}, "")}


def tags_of(stream: dict[str, Any]) -> list[dict[str, Any]]:
    """One row for each tag that is wanted or there: what it means, since when, what is wanted, what went wrong."""
    spec = {tag["name"]: tag for tag in (stream.get("spec") or {}).get("tags") or ()}
    status = {tag["tag"]: tag for tag in (stream.get("status") or {}).get("tags") or ()}
    return [_tag_row(stream, name, spec.get(name), status.get(name)) for name in sorted({*spec, *status})]


def _tag_row(
    stream: dict[str, Any], name: str, wanted: dict[str, Any] | None, there: dict[str, Any] | None
) -> dict[str, Any]:
    items = (there or {}).get("items") or [{}]
    metadata = stream["metadata"]
    return {
        "namespace": metadata["namespace"],
        "stream": metadata["name"],
        "tag": name,
        "image": str(items[0].get("image", "")),
        "pull_spec": str(items[0].get("dockerImageReference", "")),
        "since": str(items[0].get("created", "")),
        "revisions": len((there or {}).get("items") or ()),
        "source": dict((wanted or {}).get("from") or {}),
        "problems": [
            str(condition.get("message") or condition.get("reason", ""))
            for condition in (there or {}).get("conditions") or ()
            if condition.get("status") == "False"
        ],
    }


def meanings(stream: dict[str, Any] | None) -> dict[str, Any]:
    """What each tag means and what is wanted of it: two streams with the same one differ in nothing that matters."""
    if stream is None:
        return {}
    spec = {tag["name"]: tag_content(tag) for tag in (stream.get("spec") or {}).get("tags") or ()}
    return {row["tag"]: {"image": row["image"], "wanted": spec.get(row["tag"], {})} for row in tags_of(stream)}


def source(kind: str, name: str, namespace: str) -> dict[str, str]:
    """The ``from`` of a tag in ``namespace``; ``name`` may begin with another one."""
    if kind == DOCKER:
        return {"kind": DOCKER, "name": name}
    place, _slash, short = name.rpartition("/")
    return {"kind": kind, "namespace": place or namespace, "name": short}


def streams(cluster: Cluster, namespace: str, **query: str) -> Iterator[dict[str, Any]]:
    """Of a namespace or, if it is empty, of all. Raises ClusterError."""
    for item in cluster.items(path("imagestreams", namespace), **query):
        yield {"apiVersion": VERSION, "kind": "ImageStream", **item}

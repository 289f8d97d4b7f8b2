# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An ImageStreamImport made of a task, and what its answer changes: a command in the form of an object.

Private to this collection. What changed is told from what tags mean and how they are wanted, before and after; the
numbers by which the server counts imports say nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ansible_collections.alauda.registry.plugins.module_utils import _image_api, _tags
from ansible_collections.alauda.registry.plugins.module_utils._cluster import Cluster, ClusterError

Document = dict[str, Any]
MISSING = 404


class NothingToImport(Exception):
    """Nothing says where an image is to come from; the text says what to name."""


@dataclass(frozen=True)
class Told:
    """Rows for each tag, and what tags mean before and after."""

    rows: list[Document]
    left_out: list[str]
    before: Document
    after: Document

    @property
    def changed(self) -> bool:
        """Whether a tag means something else, or is wanted in another way."""
        return self.before != self.after


def spec(asked: Document, stream: Document | None) -> Document:
    """What the registry is asked. Raises :class:`NothingToImport`."""
    wanted = (stream or {}).get("spec") or {}
    known = {tag["name"]: tag for tag in wanted.get("tags") or () if _imported(tag)}
    whole = asked["repository"] or (wanted.get("dockerImageRepository") if not asked["images"] else "")
    if whole:
        return {"import": True, "repository": {"from": _docker(whole), **_policies(asked, {})}}
    if asked["images"]:
        return {"import": True, "images": [_image(asked, entry, known.get(entry["tag"])) for entry in asked["images"]]}
    if not known:
        raise NothingToImport(
            f"no tag of {asked['namespace']}/{asked['stream']} is imported from anywhere: name images or a repository"
        )
    return {"import": True, "images": [_again(asked, tag) for tag in known.values()]}


def ask(cluster: Cluster, asked: Document, wanted: Document, *, check: bool) -> Document:
    """The answer, also of one that only looks. Raises ClusterError."""
    body = {
        "apiVersion": _image_api.VERSION,
        "kind": "ImageStreamImport",
        "metadata": {"name": asked["stream"], "namespace": asked["namespace"]},
        "spec": wanted,
    }
    place = _image_api.path("imagestreamimports", asked["namespace"])
    try:
        return cluster.request(
            "post", place, body=body, query={"dryRun": "All"} if check else {}, timeout=float(asked["timeout"])
        )
    except ClusterError as error:
        if not (check and error.status == MISSING and "namespaces" in str(error)):
            raise
    # an earlier task makes the namespace: what would be found there is not known
    unknown = [{"tag": entry["to"]["name"], "status": {"status": "Success"}} for entry in wanted.get("images") or ()]
    tags = [{"name": entry["to"]["name"], "from": entry["from"]} for entry in wanted.get("images") or ()]
    stream = {"metadata": body["metadata"], "spec": {"tags": tags, "repository": wanted.get("repository")}}
    return {"status": {"images": unknown, "import": stream}}


def told(before: Document | None, answer: Document) -> Told:
    """What the answer says."""
    status = answer.get("status") or {}
    meant = _image_api.meanings(before)
    stream = status.get("import")
    after = _image_api.meanings(stream) if stream is not None else meant
    rows = [_row(result, meant, after) for result in _results(status)]
    left_out = (status.get("repository") or {}).get("additionalTags") or []
    return Told(rows, [str(tag) for tag in left_out], meant, after)


def _results(status: Document) -> Iterator[Document]:
    yield from status.get("images") or ()
    whole = status.get("repository")
    if whole is not None:
        if (whole.get("status") or {}).get("status") != "Success":
            yield {"tag": "", "status": whole.get("status") or {}}
        yield from whole.get("images") or ()


def _row(result: Document, before: Document, after: Document) -> Document:
    tag, status = str(result.get("tag") or ""), result.get("status") or {}
    return {
        "tag": tag,
        "image": str(((result.get("image") or {}).get("metadata") or {}).get("name", "")),
        "before": str((before.get(tag) or {}).get("image", "")),
        "changed": before.get(tag) != after.get(tag),
        "status": "Success" if status.get("status") == "Success" else "Failure",
        "reason": str(status.get("reason") or ""),
        "message": str(status.get("message") or ""),
    }


def _imported(tag: Document) -> bool:
    return (tag.get("from") or {}).get("kind") == _image_api.DOCKER and not tag.get("reference")


def _docker(name: str) -> Document:
    return _image_api.source(_image_api.DOCKER, name, "")


def _image(asked: Document, entry: Document, known: Document | None) -> Document:
    source = entry["source"] or ((known or {}).get("from") or {}).get("name")
    if not source:
        raise NothingToImport(
            f"nothing says where {asked['namespace']}/{asked['stream']}:{entry['tag']} is to come from: name its source"
        )
    return {"from": _docker(source), "to": {"name": entry["tag"]}, **_policies(asked, known or {})}


def _again(asked: Document, tag: Document) -> Document:
    return {"from": _docker(tag["from"]["name"]), "to": {"name": tag["name"]}, **_policies(asked, tag)}


def _policies(asked: Document, known: Document) -> Document:
    """Those that the task names, over those that the tag has."""
    importing = {**(known.get("importPolicy") or {}), **_tags.policy(asked)}
    reference = {"type": asked["reference_policy"]} if asked["reference_policy"] else known.get("referencePolicy")
    return {
        **({"importPolicy": importing} if importing else {}),
        **({"referencePolicy": reference} if reference else {}),
    }

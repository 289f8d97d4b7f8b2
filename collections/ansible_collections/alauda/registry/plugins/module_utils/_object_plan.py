# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One object of a cluster: as it is, as it shall be, and the one write between the two.

Private to this collection. The plan is the API server's own: what shall be is sent as a dry run, and what it answers,
with defaults and held to admission, quotas and rights, is compared with what is there. Check mode, diff and the real
run are that plan. So an option that says what is so already is no change, and what would be refused is refused in check
mode, too.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from ansible_collections.alauda.registry.plugins.module_utils._cluster import Cluster, ClusterError

Document = dict[str, Any]
View = Callable[[Document], Document]
"""What of a document counts as its content, for the comparison and the diff."""

OF_THE_SERVER = ("creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid")
"""Members of the metadata that nobody wishes."""

ATTEMPTS = 5
"""How often a plan is made anew when somebody else wrote in between."""

CONFLICT, MISSING = 409, 404


class Wish(Protocol):
    """Given what is there, or None, what shall be there, or None; what is there must not be changed in its place."""

    def __call__(self, current: Document | None, /) -> Document | None:
        """What shall be there."""


@dataclass(frozen=True)
class Change:
    """``before`` and ``after`` are whole documents; None for an object that is not there."""

    path: str
    before: Document | None
    after: Document | None
    shown_before: Document
    shown_after: Document

    @property
    def changed(self) -> bool:
        """Whether something is (or would be) written."""
        return self.shown_before != self.shown_after or (self.before is None) != (self.after is None)


def content(document: Document) -> Document:
    """Without status, and without what only the server writes."""
    shown = {key: value for key, value in document.items() if key != "status"}
    metadata = {key: value for key, value in (document.get("metadata") or {}).items() if key not in OF_THE_SERVER}
    return {**shown, "metadata": metadata}


def settle(
    cluster: Cluster, path: str, wish: Wish, *, check: bool, view: View = content, create_at: str = ""
) -> Change:
    """Plan, and unless it is only checked, write. ``create_at`` is the collection, if it is not the one of ``path``.

    Raises ClusterError.
    """
    for attempt in range(ATTEMPTS):
        current = cluster.find(path)
        wanted = wish(copy.deepcopy(current))
        try:
            planned = _planned(cluster, path, current, wanted, view, create_at, check=check)
            if check or not planned.changed:
                return planned
            done = _write(cluster, path, current, wanted, create_at, dry=False)
        except ClusterError as error:
            if error.status != CONFLICT or attempt == ATTEMPTS - 1:
                raise
            continue
        return _change(path, current, done, view)
    raise AssertionError  # the last attempt returns or raises


def _planned(
    cluster: Cluster,
    path: str,
    current: Document | None,
    wanted: Document | None,
    view: View,
    create_at: str,
    *,
    check: bool,
) -> Change:
    if current is None and wanted is None:
        return _change(path, None, None, view)
    if current is not None and wanted is not None and view(wanted) == view(current):
        return _change(path, current, current, view)
    try:
        after = _write(cluster, path, current, wanted, create_at, dry=True)
    except ClusterError as error:
        if not (check and current is None and _lacks_namespace(error)):
            raise
        after = wanted  # an earlier task makes the namespace, which check mode left out
    return _change(path, current, after, view)


def _write(
    cluster: Cluster, path: str, current: Document | None, wanted: Document | None, create_at: str, *, dry: bool
) -> Document | None:
    query = {"dryRun": "All"} if dry else {}
    if wanted is None:
        options: Document = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        metadata = (current or {}).get("metadata") or {}
        if metadata.get("uid"):
            options["preconditions"] = {"uid": metadata["uid"]}
        try:
            cluster.request("delete", path, body={**options, **({"dryRun": ["All"]} if dry else {})})
        except ClusterError as error:
            if error.status != MISSING:
                raise
        return None
    if current is None:
        return cluster.request("post", create_at or path.rpartition("/")[0], body=wanted, query=query)
    return cluster.request("put", path, body=wanted, query=query)


def _change(path: str, before: Document | None, after: Document | None, view: View) -> Change:
    return Change(path, before, after, view(before) if before else {}, view(after) if after else {})


def _lacks_namespace(error: ClusterError) -> bool:
    return error.status == MISSING and "namespaces" in str(error)


def combined(base: Document, over: Document) -> Document:
    """Objects member by member; everything else, lists too, as ``over`` has it. None takes a member away."""
    found = dict(base)
    for key, value in over.items():
        if value is None:
            found.pop(key, None)
        elif isinstance(value, dict) and isinstance(found.get(key), dict):
            found[key] = combined(found[key], value)
        else:
            found[key] = value
    return found


def diff(changes: Iterable[Change]) -> list[Document]:
    """For a module's result: one entry for each object that is another one afterwards."""
    return [
        {
            "before_header": change.path,
            "after_header": change.path,
            "before": change.shown_before,
            "after": change.shown_after,
        }
        for change in changes
        if change.changed
    ]

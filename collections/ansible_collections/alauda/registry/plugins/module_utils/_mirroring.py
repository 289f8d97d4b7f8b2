# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The door to the engine of the Python package that copies images.

Private to this collection. No rule is here: arguments are turned into its questions, its plan and report into rows.
"""

from __future__ import annotations

import os
import traceback
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.alauda.registry.plugins.module_utils import _library

IMPORT_ERROR: str | None = None
try:
    from image_registry.mirroring.in_registry import Client
    from image_registry.mirroring.journal import Journal
    from image_registry.mirroring.limits import Limits
    from image_registry.mirroring.mirror import Mirror, Prepared
    from image_registry.mirroring.places import Mapping, paired, parse_place
    from image_registry.mirroring.planner import ImagePlan, tags_to_be_written_twice
    from image_registry.mirroring.results import Report
    from image_registry.mirroring.wishes import InvalidPattern, Wishes, wishes
    from image_registry.remote.addresses import AddressRules
    from image_registry.remote.asking import Access
    from image_registry.remote.authorities import NoAuthorities, authorities
    from image_registry.remote.credentials import Keyring, UnreadableCredentials
    from image_registry.remote.errors import RemoteError
    from image_registry.remote.registry import Registries
    from image_registry.remote.sources import SourceRules
    from image_registry.remote.wire import Wire
    from image_registry.remote.writing import Writing
except ImportError:
    IMPORT_ERROR = traceback.format_exc()

EVERYWHERE = ("0.0.0.0/0", "::/0")
"""A person names every host, so every address may be asked."""

PATIENCE, ANSWER = 300.0, 300.0
"""Seconds: how long a registry may keep us waiting, and how long it may take to put a large blob in its place."""

PATTERNS = {"platforms": "filter_by_os", "tags": "tag_filters"}


class MirrorError(Exception):
    """What cannot be done, and what to do about it."""


def need_package(module: AnsibleModule) -> None:
    """Name the Python package that is missing."""
    if IMPORT_ERROR:
        module.fail_json(msg=_library.missing(), exception=IMPORT_ERROR)


def mirrored(asked: dict[str, Any], *, check: bool) -> dict[str, Any]:
    """The result of the module. Raises :class:`MirrorError`."""
    try:
        mappings = _mappings(asked)
        limits = Limits(asked["max_per_registry"], asked["max_registries"])
        with Journal(None if check else _path(asked["journal"])) as journal:
            engine = Mirror(_client(asked), _wishes(asked), limits, journal)
            prepared = engine.prepare(mappings)
            twice = tags_to_be_written_twice(prepared.plan)
            if twice:
                raise MirrorError(f"several images are to be {', '.join(twice[:5])}; give them different tags")
            if check:
                return _planned(prepared)
            report = engine.apply(prepared, continue_on_error=asked["continue_on_error"])
            return _reported(prepared, report)
    except (RemoteError, UnreadableCredentials, OSError) as error:
        raise MirrorError(str(error)) from None


def _path(text: str | None) -> Any:
    from pathlib import Path

    return Path(text) if text else None


def _mappings(asked: dict[str, Any]) -> list[Mapping]:
    folder = _path(asked["dir"])
    pairs = [paired(parse_place(one["source"], folder), parse_place(one["target"], folder)) for one in asked["images"]]
    return list(dict.fromkeys(pairs))


def _wishes(asked: dict[str, Any]) -> Wishes:
    try:
        return wishes(
            platforms=asked["filter_by_os"],
            tags=asked["tag_filters"],
            keep_list=asked["keep_manifest_list"],
            referrers=asked["referrers"],
            skip_missing=asked["skip_missing"],
            force=asked["force"],
        )
    except InvalidPattern as error:
        raise MirrorError(f"{PATTERNS[error.parameter]} {error}") from None


def _client(asked: dict[str, Any]) -> Client:
    try:
        trusted = authorities(_path(asked["ca_path"])) if asked["ca_path"] else ""
    except NoAuthorities as error:
        raise MirrorError(f"ca_path: {error}") from None
    logins = Keyring()
    if asked["auth_file"]:
        if not os.path.isfile(asked["auth_file"]):
            raise MirrorError(f"there is no file {asked['auth_file']}: name one with logins by auth_file")
        logins = Keyring.parse(_path(asked["auth_file"]).read_bytes())
    wire = Wire(AddressRules.of(EVERYWHERE), authorities=trusted, read=ANSWER)
    registries = Registries(wire, SourceRules())
    access = Access(logins, insecure=not asked["validate_certs"], patience=PATIENCE)
    return Client(registries, Writing(registries.questions), access, asked["mount"])


def _planned(prepared: Prepared) -> dict[str, Any]:
    plan = prepared.plan
    rows = [_planned_row(plan.blobs, image) for image in plan.images]
    before = [_row(result.document(), 0) for result in prepared.before]
    totals = _totals([*before, *rows])
    totals |= {
        "blobs_sent": sum(one.blobs for one in plan.totals.values()),
        "bytes_sent": plan.bytes,
        "mounted": sum(one.mounts for one in plan.totals.values()),
    }
    return _result([*before, *rows], totals)


def _planned_row(blobs: dict[int, Any], image: ImagePlan) -> dict[str, Any]:
    looked = image.looked
    status = "copied" if image.steps else "present"
    if looked.error is not None:
        status = "skipped" if looked.missing else "failed"
    return {
        "source": str(looked.mapping.source),
        "target": str(looked.mapping.target),
        "digest": str(looked.digest or ""),
        "status": status,
        "bytes": sum(blobs[step].bytes for step in image.steps if step in blobs),
        "error": str(looked.error or ""),
    }


def _reported(prepared: Prepared, report: Report) -> dict[str, Any]:
    sizes = {
        (str(image.looked.mapping.source), str(image.looked.mapping.target)): _planned_row(prepared.plan.blobs, image)
        for image in prepared.plan.images
    }
    rows = []
    for result in report.results:
        document = result.document()
        planned = sizes.get((document["source"], document["target"]), {})
        rows.append(_row(document, planned.get("bytes", 0)))
    totals = _totals(rows)
    totals |= {"blobs_sent": report.sent_blobs, "bytes_sent": report.sent_bytes, "mounted": report.mounted}
    return _result(rows, totals)


def _row(document: dict[str, Any], size: int) -> dict[str, Any]:
    return {
        "source": document["source"],
        "target": document["target"],
        "digest": document.get("digest", ""),
        "status": "present" if document.get("before") else document["status"],  # an earlier run did it
        "bytes": size,
        "error": document.get("error", ""),
    }


def _totals(rows: list[dict[str, Any]]) -> dict[str, Any]:
    words = ("copied", "present", "skipped", "failed", "not tried")
    return {
        "images": len(rows),
        **{word.replace(" ", "_"): sum(row["status"] == word for row in rows) for word in words},
    }


def _result(rows: list[dict[str, Any]], totals: dict[str, Any]) -> dict[str, Any]:
    sent = {row["target"]: row["digest"] for row in rows if row["status"] == "copied"}
    return {
        "changed": bool(sent),
        "images": rows,
        "totals": totals,
        "diff": {"before": {}, "after": sent} if sent else {},
    }

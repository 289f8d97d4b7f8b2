"""The door for administrators: start a collection, a verification or a scrub, follow it, stop it (ADR 58).

Not below ``/v2/``, which belongs to the distribution protocol, but beside the other paths of ours. A run is made by a
process of the registry, whoever asked for it and however long the client stays.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, jsonify

from image_registry.auth import trail
from image_registry.auth.access import Access, look_at_upkeep, start_upkeep
from image_registry.distribution_api import answers, callers
from image_registry.distribution_api.asked import request
from image_registry.distribution_api.parts import Parts
from image_registry.distribution_api.received import Body
from image_registry.oci.errors import (
    Denied,
    Unauthorized,
    Unsupported,
    UpkeepAtWork,
    UpkeepInvalid,
    UpkeepUnknown,
)
from image_registry.upkeep.asking import InvalidOption, Upkeep, document
from image_registry.upkeep.ledger import WHILE_READ_ONLY, AtWork, Kind

PATH = "/extensions/v2/upkeep"
LONGEST = 64 << 10
"""Bytes of a request; one has a few hundred."""

ROLE = "bind the ClusterRole system:image-pruner to this user or ServiceAccount, by a ClusterRoleBinding"


def blueprint(parts: Parts) -> Blueprint:
    """Routes of the door."""
    routes = Blueprint("upkeep", __name__)

    @routes.post(PATH)
    def start() -> Response:
        caller = _require(parts, [start_upkeep(), look_at_upkeep()])
        upkeep = _upkeep(parts)
        kind, options = _read()
        trail.of(request.environ).reference = str(kind)
        try:
            upkeep.check(kind, options)
        except InvalidOption as error:
            raise UpkeepInvalid(str(error)) from None
        changes = options.get("confirm") and kind not in WHILE_READ_ONLY
        if changes and (reason := parts.read_only()) is not None:
            raise Unsupported(f"the registry is read-only for the moment: {reason}; a run without confirm is possible")
        try:
            with answers.translated():
                run = upkeep.ledger.ask(kind, options, caller, datetime.now(UTC))
        except AtWork as error:
            raise UpkeepAtWork(str(error), detail={"run": document(error.run, report=False)}) from None
        upkeep.wake()
        answer = jsonify(document(run))
        answer.status_code = 202
        answer.headers["Location"] = f"{PATH}/{run.id}"
        return answer

    @routes.get(PATH)
    def all_() -> Response:
        _require(parts, [look_at_upkeep()])
        with answers.translated():
            runs = _upkeep(parts).ledger.recent()
        return jsonify(runs=[document(run, report=False) for run in runs])

    @routes.get(f"{PATH}/<run>")
    def one(run: str) -> Response:
        _require(parts, [look_at_upkeep()])
        with answers.translated():
            found = _upkeep(parts).ledger.find(run[:36])
        if found is None:
            raise UpkeepUnknown(f"no run {run[:36]!r} is remembered; GET {PATH} lists them")
        return jsonify(document(found))

    @routes.delete(f"{PATH}/<run>")
    def stop(run: str) -> Response:
        _require(parts, [start_upkeep()])
        trail.of(request.environ).reference = run[:36]
        with answers.translated():
            if not _upkeep(parts).ledger.stop(run[:36]):
                raise UpkeepUnknown(f"no run {run[:36]!r} is at work; GET {PATH} lists what there is")
        _upkeep(parts).wake()
        return Response(status=202)

    return routes


def _require(parts: Parts, rights: Sequence[Access]) -> str:
    """Raise unless the caller has all of these rights, naming each that is missing; returns who the caller is."""
    caller = callers.current(parts)
    if caller.claims is not None:
        raise Unauthorized(
            "a registry token is good for repositories alone: send the platform token itself",
            headers=callers.challenge(parts),
        )
    missing = [right for right in rights if not callers.decide(parts, caller.identity, right).allowed]
    if missing:
        if caller.identity.is_anonymous:
            callers.refuse_anonymous(parts, "")
        names = [str(right) for right in missing]
        raise Denied(
            f'user "{caller.identity.username}" cannot {" and cannot ".join(names)}; {ROLE}', detail={"missing": names}
        )
    trail.of(request.environ).allow()
    return caller.identity.username


def _upkeep(parts: Parts) -> Upkeep:
    if parts.upkeep is None:
        raise Unsupported("this process makes no runs: it is no whole registry")
    return parts.upkeep


def _read() -> tuple[Kind, dict[str, Any]]:
    """The kind and the options of this request. Raises :class:`UpkeepInvalid`."""
    body, raw = Body(), b""
    while len(raw) <= LONGEST and (part := body.read(LONGEST + 1 - len(raw))):
        raw += part
    if len(raw) > LONGEST:
        raise UpkeepInvalid(f"the request is longer than {LONGEST} bytes")
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not isinstance(found.get("options", {}), dict):
        raise UpkeepInvalid('send an object of JSON, such as {"kind": "gc", "options": {"confirm": false}}')
    try:
        kind = Kind(str(found.get("kind")))
    except ValueError:
        raise UpkeepInvalid(f"kind is {str(found.get('kind'))[:40]!r}; write one of {', '.join(Kind)}") from None
    if unknown := sorted(set(found) - {"kind", "options"}):
        raise UpkeepInvalid(f"there is no member {unknown[0][:40]!r}; there are kind and options")
    options: dict[str, Any] = found.get("options", {})
    if not isinstance(options.get("confirm", False), bool):
        raise UpkeepInvalid("confirm is true or false")
    return kind, options

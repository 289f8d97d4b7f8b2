"""Query parameters as Kubernetes reads them: unknown ones are ignored, known ones must make sense."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from image_registry.image_api.negotiation import META_GROUP
from image_registry.image_api.selectors import FieldSelector, LabelSelector
from image_registry.image_api.status import BadRequest, Cause, Invalid

Query = Mapping[str, str]

_WHOLE = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)


@dataclass(frozen=True, slots=True)
class ListOptions:
    """What a list request asks for; ``limit`` is ``None`` for everything."""

    limit: int | None = None
    token: str = ""
    """The ``continue`` token, not yet read."""
    resource_version: int | None = None
    """``None`` for the newest state, 0 for any."""
    exactly: bool = False
    labels: LabelSelector = field(default_factory=LabelSelector)
    fields: FieldSelector = field(default_factory=FieldSelector)

    @property
    def selects(self) -> bool:
        """True if some objects may be left out."""
        return bool(self.labels.requirements or self.fields.required or self.fields.excluded)


def list_options(query: Query, supported_fields: tuple[str, ...]) -> ListOptions:
    """Read the options of a list. Raises :class:`BadRequest`, :class:`Invalid`."""
    limit = whole_number(query, "limit")
    token = query.get("continue", "")
    version = resource_version(query)
    match = query.get("resourceVersionMatch", "")
    if "sendInitialEvents" in query:
        raise invalid_options("ListOptions", "sendInitialEvents", "Forbidden", "is forbidden for list")
    _check_match(match, version, token)
    if token and version:
        raise BadRequest("specifying resource version is not allowed when using continue")
    return ListOptions(
        limit=limit if limit is not None and limit > 0 else None,
        token=token,
        resource_version=version,
        exactly=match == "Exact",
        labels=LabelSelector.parse(query.get("labelSelector", "")),
        fields=FieldSelector.parse(query.get("fieldSelector", ""), supported_fields),
    )


def resource_version(query: Query) -> int | None:
    """Read ``resourceVersion``. Raises :class:`BadRequest`."""
    text = query.get("resourceVersion", "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise BadRequest(f"invalid resource version {text[:100]!r}: it must be one that this API has given out")
    return int(text)


def single_name(query: Query) -> str:
    """The one name that a field selector allows, else nothing: permission may be bound to it (``resourceNames``)."""
    try:
        selector = FieldSelector.parse(query.get("fieldSelector", ""), ("metadata.name", "metadata.namespace"))
    except BadRequest:
        return ""
    return selector.required.get("metadata.name", "")


def flag(query: Query, name: str) -> bool:
    """A parameter that is true unless it says otherwise; absent is false."""
    text = query.get(name)
    return text is not None and text.lower() not in {"false", "0"}


def whole_number(query: Query, name: str) -> int | None:
    """Raises :class:`BadRequest`."""
    text = query.get(name, "")
    if not text:
        return None
    if not _WHOLE.fullmatch(text):
        raise BadRequest(f"unable to decode the query: {name} is {text[:40]!r}, which is not a whole number")
    return int(text)


def invalid_options(kind: str, path: str, problem: str, text: str, *, reason: str = "") -> Invalid:
    """Kubernetes' sentence for options that can be read and must not be; ``problem`` as in ``Unsupported value``."""
    reason = reason or {"Forbidden": "FieldValueForbidden", "Unsupported value": "FieldValueNotSupported"}.get(
        problem, "FieldValueInvalid"
    )
    message = f"{problem}: {text}"
    return Invalid(
        f'{kind}.{META_GROUP} "" is invalid: {path}: {message}',
        group=META_GROUP,
        resource=kind,
        causes=[Cause(reason, message, path)],
    )


def _check_match(match: str, version: int | None, token: str) -> None:
    path = "resourceVersionMatch"
    if not match:
        return
    if token:
        raise invalid_options("ListOptions", path, "Forbidden", f"{path} is forbidden when continue is provided")
    if version is None:
        raise invalid_options(
            "ListOptions", path, "Forbidden", f"{path} is forbidden unless resourceVersion is provided"
        )
    if match not in {"Exact", "NotOlderThan"}:
        raise invalid_options(
            "ListOptions", path, "Unsupported value", f'"{match[:100]}": supported values: "Exact", "NotOlderThan"'
        )
    if match == "Exact" and version == 0:
        raise invalid_options("ListOptions", path, "Forbidden", f'{path} "Exact" is forbidden for resourceVersion "0"')

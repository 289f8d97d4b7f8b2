"""In which form a client wants its answer (RFC 9110, 12.5.1; parity reference 2.4).

Kubernetes clients list what they can read, best first: protobuf, then a table, then plain JSON. The first clause that
can be served wins; a clause that asks for an unknown transformation is passed over, never half obeyed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from math import isnan

from image_registry.image_api.status import NotAcceptable

JSON = "application/json"
YAML = "application/yaml"
ENCODINGS = (JSON, YAML)

META_GROUP = "meta.k8s.io"

_HUMAN_AGENTS = ("curl", "Wget", "Mozilla/5.0")


class Shape(Enum):
    """What is made of an object before it is encoded."""

    WHOLE = "whole"
    TABLE = "Table"
    METADATA = "PartialObjectMetadata"


@dataclass(frozen=True, slots=True)
class Clause:
    """One alternative of an ``Accept`` header."""

    media_type: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    quality: float = 1.0

    def covers(self, media_type: str) -> bool:
        """True if ``media_type`` is one of those the clause names."""
        kind, _, subtype = self.media_type.partition("/")
        return self.media_type in (media_type, "*/*") or (subtype == "*" and media_type.startswith(f"{kind}/"))


@dataclass(frozen=True, slots=True)
class Representation:
    """The form that was agreed on."""

    encoding: str = JSON
    shape: Shape = Shape.WHOLE
    meta_version: str = "v1"
    """Version of ``meta.k8s.io`` for a shape that is not whole."""
    pretty: bool = False


def clauses(header: str) -> list[Clause]:
    """All acceptable alternatives, best first; the more exact one first where quality is equal."""
    found = [clause for clause in _read(header) if clause.quality > 0]
    return sorted(found, key=lambda c: (-c.quality, c.media_type == "*/*", c.media_type.endswith("/*")))


def negotiate(header: str | None, *, is_list: bool = False) -> Representation:
    """Choose the form of an object or of a list. Raises :class:`NotAcceptable`."""
    if not (header or "").strip():
        return Representation()
    for clause in clauses(header or ""):
        for encoding in ENCODINGS:
            if clause.covers(encoding):
                chosen = _represent(clause.parameters, encoding, is_list=is_list)
                if chosen is not None:
                    return chosen
    raise not_acceptable()


def negotiate_watch(header: str | None) -> tuple[Representation, str]:
    """Choose the form of a watch, and its media type. Only JSON can be a stream. Raises :class:`NotAcceptable`."""
    if not (header or "").strip():
        return Representation(), JSON
    for clause in clauses(header or ""):
        stream = clause.parameters.get("stream", "")
        if clause.covers(JSON) and stream in {"", "watch"}:
            rest = {name: value for name, value in clause.parameters.items() if name != "stream"}
            chosen = _represent(rest, JSON, is_list=False)
            if chosen is not None:
                return chosen, f"{JSON};stream=watch" if stream else JSON
    raise not_acceptable(JSON, f"{JSON};stream=watch")


def error_encoding(header: str | None) -> str:
    """The encoding of a failure: what the client reads, else JSON; a failure is never refused."""
    for clause in clauses(header or ""):
        for encoding in ENCODINGS:
            if clause.covers(encoding):
                return encoding
    return JSON


def not_acceptable(*encodings: str) -> NotAcceptable:
    """Kubernetes' sentence for an answer that cannot be given in any accepted form."""
    return NotAcceptable(f"only the following media types are accepted: {', '.join(encodings or ENCODINGS)}")


def wants_indentation(pretty: str | None, user_agent: str) -> bool:
    """True for people: asked for with ``?pretty=true``, or reading with a browser or curl."""
    if pretty:
        return pretty.lower() in {"1", "t", "true"}
    return user_agent.startswith(_HUMAN_AGENTS)


def _represent(parameters: Mapping[str, str], encoding: str, *, is_list: bool) -> Representation | None:
    if parameters.get("stream") or parameters.get("sv"):
        return None
    pretty = parameters.get("pretty") == "1"
    target = (parameters.get("g", ""), parameters.get("v", ""), parameters.get("as", ""))
    if target == ("", "", ""):
        return Representation(encoding, pretty=pretty)
    group, version, kind = target
    if group != META_GROUP or version not in {"v1", "v1beta1"}:
        return None
    if kind == "Table":
        return Representation(encoding, Shape.TABLE, version, pretty)
    if kind == ("PartialObjectMetadataList" if is_list else "PartialObjectMetadata"):
        return Representation(encoding, Shape.METADATA, version, pretty)
    return None


def _read(header: str) -> Iterator[Clause]:
    for text in header.split(","):
        media_type, *rest = (part.strip() for part in text.split(";"))
        if not media_type:
            continue
        parameters = {}
        for entry in rest:
            key, _, value = entry.partition("=")
            parameters[key.strip().lower()] = value.strip().strip('"')
        quality = _quality(parameters.pop("q", "1"))
        yield Clause("*/*" if media_type == "*" else media_type.lower(), parameters, quality)


def _quality(text: str) -> float:
    """A weight that cannot be read counts as none given: the client still named the type."""
    try:
        value = float(text)
    except ValueError:
        return 1.0
    return 1.0 if isnan(value) else min(max(value, 0.0), 1.0)

"""Label and field selectors, read by the grammar of the Kubernetes API.

They are pure predicates here; which pages they are applied to is :mod:`~image_registry.image_api.listing`'s matter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from image_registry.image_api.status import BadRequest

_KEY = re.compile(
    r"(?:[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?",
    re.ASCII,
)
_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?", re.ASCII)
_TERM = re.compile(
    r"""\s*(?:
        !\s*(?P<absent>[^\s,=!<>()]+)
      | (?P<set_key>[^\s,=!<>()]+)\s+(?P<set_op>in|notin)\s*\((?P<values>[^()]*)\)
      | (?P<key>[^\s,=!<>()]+)\s*(?P<op>==|!=|=|<|>)\s*(?P<value>[^\s,=!<>()]*)
      | (?P<present>[^\s,=!<>()]+)
    )\s*(?:,|$)""",
    re.VERBOSE,
)

Labels = Mapping[str, str]
Requirement = Callable[[Labels], bool]

LONGEST = 8192
"""Characters of a selector."""

MOST = 200
"""Requirements of a selector: each is compared with every object of a list."""


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """All requirements must hold; none select everything."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Labels) -> bool:
        """True if an object with these labels is selected."""
        return all(requirement(labels) for requirement in self.requirements)

    @staticmethod
    def parse(text: str) -> LabelSelector:
        """Read ``a=b,c!=d,e in (x,y),f notin (z),g,!h,i>5,j<3``. Raises :class:`BadRequest`."""
        if not text.strip():
            return LabelSelector()
        requirements = tuple(islice(_requirements(text), MOST + 1))
        if len(requirements) > MOST:
            raise BadRequest(f"the label selector has more than {MOST} requirements; values of one key go into a set")
        return LabelSelector(requirements)


def _requirements(text: str) -> Iterator[Requirement]:
    if len(text) > LONGEST:
        raise BadRequest(f"the label selector is longer than {LONGEST} characters")
    position = 0
    while position < len(text):
        match = _TERM.match(text, position)
        if match is None:
            raise BadRequest(
                f"unable to parse requirement: {text[position : position + 80]!r} is not a label selector "
                "(examples: app=web, tier!=db, env in (a,b), !legacy)"
            )
        yield _requirement(match)
        position = match.end()
    if text.rstrip().endswith(","):
        raise BadRequest("unable to parse requirement: the label selector ends with ','")


def _requirement(match: re.Match[str]) -> Requirement:
    found = match.groupdict()
    key = _key(found["absent"] or found["set_key"] or found["key"] or found["present"])
    if found["absent"]:
        return lambda labels: key not in labels
    if found["present"]:
        return lambda labels: key in labels
    if found["set_op"]:
        values = frozenset(_value(key, value.strip()) for value in found["values"].split(","))
        if found["set_op"] == "in":
            return lambda labels: key in labels and labels[key] in values
        return lambda labels: key not in labels or labels[key] not in values
    value = found["value"]
    match found["op"]:
        case "!=":
            _value(key, value)
            return lambda labels: labels.get(key) != value or key not in labels
        case "<" | ">" as operator:
            bound = _number(value)
            if bound is None:
                raise BadRequest(f"unable to parse requirement: {value!r} must be a whole number after '{operator}'")
            return _compare(key, bound, less=operator == "<")
        case _:
            _value(key, value)
            return lambda labels: key in labels and labels[key] == value


def _compare(key: str, bound: int, *, less: bool) -> Requirement:
    def compare(labels: Labels) -> bool:
        number = _number(labels.get(key, ""))
        return number is not None and (number < bound if less else number > bound)

    return compare


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[+-]?[0-9]{1,18}", text, re.ASCII) else None


def _key(text: str) -> str:
    prefix, slash, name = text.rpartition("/")
    if not _KEY.fullmatch(text) or len(prefix) > 253 or (slash and not name):
        raise BadRequest(f"unable to parse requirement: {text[:100]!r} is not a label key")
    return text


def _value(key: str, text: str) -> str:
    if not _VALUE.fullmatch(text):
        raise BadRequest(f"unable to parse requirement: {text[:100]!r} is not a value that label {key!r} can have")
    return text


@dataclass(frozen=True, slots=True)
class FieldSelector:
    """``required`` must be equal, ``excluded`` must differ."""

    required: Mapping[str, str] = field(default_factory=dict)
    excluded: tuple[tuple[str, str], ...] = ()
    contradictory: bool = False
    """One field is required to be two things: nothing is selected."""

    def matches(self, fields: Mapping[str, str]) -> bool:
        """True if an object with these fields is selected."""
        return (
            not self.contradictory
            and all(fields[name] == value for name, value in self.required.items())
            and all(fields[name] != value for name, value in self.excluded)
        )

    @staticmethod
    def parse(text: str, supported: tuple[str, ...]) -> FieldSelector:
        """Read ``metadata.name=x,metadata.namespace!=y``; ``\\`` escapes. Raises :class:`BadRequest`."""
        if len(text) > LONGEST:
            raise BadRequest(f"the field selector is longer than {LONGEST} characters")
        required: dict[str, str] = {}
        excluded: list[tuple[str, str]] = []
        contradictory = False
        terms = _split_terms(text)
        if len(terms) > MOST:
            raise BadRequest(f"the field selector has more than {MOST} terms")
        for term in terms:
            match = re.fullmatch(r"([^=!]+)(==|=|!=)((?:[^\\,=]|\\[\\,=])*)", term, re.DOTALL)
            if match is None:
                raise BadRequest(f"invalid field selector: {term[:100]!r} is not of the form field=value")
            name, operator, escaped = match.groups()
            if name not in supported:
                raise BadRequest(
                    f"field label not supported: {name[:100]} (this resource has {', '.join(sorted(supported))})"
                )
            value = re.sub(r"\\(.)", r"\1", escaped)
            if operator == "!=":
                excluded.append((name, value))
            else:
                contradictory |= required.setdefault(name, value) != value
        return FieldSelector(required, tuple(excluded), contradictory)


def _split_terms(text: str) -> list[str]:
    """At every comma that is not escaped; empty terms say nothing."""
    return [term for term in re.findall(r"(?:[^\\,]|\\.)+", text, re.DOTALL) if term]

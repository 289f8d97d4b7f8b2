"""Answers of the application that are right for more than they were made for, with names or numbers exchanged.

A client that pushes asks for every layer whether it is there already, each digest once: what the application said about
one that is not there, it would say about the next. And each part of a blob is announced as every other part is. So the
text of such an answer is kept with gaps for what differs. Which blob is there, and which bytes a range means, is still
said by those whose rules these are.
"""

from __future__ import annotations

import re

from image_registry.distribution_api import ranges
from image_registry.oci.digest import Digest, InvalidDigest
from image_registry.oci.errors import RangeInvalid
from image_registry.server.kept_answers import Answer, Key
from image_registry.server.request_head import Simple

_DIGEST, _ID, _LENGTH, _SPAN = (f"\0{name}".encode() for name in ("digest", "id", "length", "span"))
"""Gaps. Neither headers nor JSON hold a zero byte."""

_NAMED = re.compile(r"(/v2/[^/?]+/[^/?]+/blobs/[a-z0-9]+:)[0-9a-f]+")
_SENT = re.compile(rb"(?<=\r\n)Content-Length: \d+(?=\r\n)")
_PART = re.compile(rb"(?<=\r\n)Content-Range: bytes \d+-\d+/(?=\d+\r\n)")


def absence_key(method: str, target: str, request_id: str) -> Key | None:
    """Where the answer is kept that a blob is not there. It names the request, so how long it is depends on that."""
    match = _NAMED.fullmatch(target)
    return None if match is None else (method, match[1], f"absent {len(request_id)}")


def part_key(target: str) -> Key:
    """Where the answer with a part of a blob is kept."""
    return "GET", target, "part"


def absence(answer: Answer, digest: str, request_id: str) -> Answer | None:
    """The answer with gaps; ``None`` if it has another form than this module knows."""
    marked = b'"request_id":"%b"' % request_id.encode()
    if answer.body and answer.body.count(marked) != 1:
        return None
    name = digest.encode()
    body = answer.body.replace(marked, b'"request_id":"%b"' % _ID).replace(name, _DIGEST)
    return answer._replace(
        head=answer.head.replace(name, _DIGEST), body=body, error=answer.error.replace(digest, _DIGEST.decode())
    )


def absence_of(pattern: Answer, digest: str, request_id: str) -> Answer:
    """What the application would say about this blob."""
    name = digest.encode()
    return pattern._replace(
        head=pattern.head.replace(_DIGEST, name),
        body=pattern.body.replace(_ID, request_id.encode()).replace(_DIGEST, name),
        error=pattern.error.replace(_DIGEST.decode(), digest),
        reference=digest,
        digest=digest,
    )


def named(target: str) -> Digest | None:
    """The digest at the end of a target."""
    try:
        return Digest.parse(target.rpartition("/")[2])
    except InvalidDigest:
        return None


def part(answer: Answer) -> Answer | None:
    """The answer with gaps; ``None`` if it has another form than this module knows."""
    head, lengths = _SENT.subn(b"Content-Length: %b" % _LENGTH, answer.head)
    head, spans = _PART.subn(b"Content-Range: bytes %b/" % _SPAN, head)
    return answer._replace(head=head) if lengths == spans == 1 and answer.witnesses else None


def part_of(pattern: Answer, request: Simple) -> Answer | None:
    """What the application would say to this range; ``None`` if it is the one to say it."""
    if request.condition and request.condition != f'"{pattern.keep.blob}"':
        return None
    mark = pattern.witnesses[-1][1]
    if mark is None:
        return None
    try:
        sent = ranges.asked(request.range, mark[1])
    except RangeInvalid:
        return None
    if sent is None:
        return None
    span = b"%d-%d" % (sent.start, sent.stop - 1)
    head = pattern.head.replace(_LENGTH, b"%d" % len(sent)).replace(_SPAN, span)
    return pattern._replace(head=head, start=sent.start, length=len(sent))

"""Why something stays, as a number that fits into a byte and as a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum


class Reason(IntEnum):
    """``GOES`` is the one that is no reason to stay."""

    GOES = 0
    USED = 1
    UNREADABLE = 2
    YOUNG = 3
    YOUNG_STREAM = 4
    REVISION = 5
    ALLOWED = 6
    KEPT_STREAM = 7
    KEPT_TAG = 8
    KEPT_IMAGE = 9
    WITHIN_LIMIT = 10
    OTHER_NAMESPACE = 11
    WANTED = 12
    POLICY = 13
    NOT_MANAGED = 14
    WOULD_MOVE = 15
    FOLLOWS = 16
    """A signature under a tag of its own: it stays as long as what it signs."""
    LISTED = 17
    SUBJECT = 18
    REFERRER = 19
    LENT = 20
    NEW = 21
    BY_TAG = 22
    INVALID_POLICY = 23
    NOT_TOUCHED = 24
    IMAGES_STAY = 25
    PULLED = 26


WORDS = {
    Reason.GOES: "nothing keeps it",
    Reason.USED: "used by {about}",
    Reason.UNREADABLE: "{about} names something like it that cannot be read",
    Reason.YOUNG: "younger than {age}",
    Reason.YOUNG_STREAM: "the stream is younger than {age}",
    Reason.REVISION: "one of the newest revisions ({revisions})",
    Reason.ALLOWED: "{exclude} fits",
    Reason.KEPT_STREAM: "the stream is annotated image.alauda.io/keep",
    Reason.KEPT_TAG: "the tag is annotated image.alauda.io/keep",
    Reason.KEPT_IMAGE: "the image is annotated image.alauda.io/keep",
    Reason.WITHIN_LIMIT: "within the limit of its namespace",
    Reason.OTHER_NAMESPACE: "its namespace was not selected",
    Reason.WANTED: "spec.tags of the stream wants it",
    Reason.POLICY: "a retention policy keeps it",
    Reason.NOT_MANAGED: "not pushed into this registry ({all_images})",
    Reason.WOULD_MOVE: "without it the tag would mean an older image",
    Reason.FOLLOWS: "signature of {about}, which stays",
    Reason.LISTED: "listed by index {about}",
    Reason.SUBJECT: "{about} refers to it",
    Reason.REFERRER: "refers to {about}, which stays",
    Reason.LENT: "another stream's {about} lives on it",
    Reason.NEW: "came while the plan was made",
    Reason.BY_TAG: "tag {about}",
    Reason.INVALID_POLICY: "the retention policy cannot be understood",
    Reason.NOT_TOUCHED: "no stream lets go of it ({over_limit})",
    Reason.PULLED: "a retention policy keeps it: {about}",
    Reason.IMAGES_STAY: "with {namespace} Images are not deleted",
}

COMMAND_LINE: Mapping[str, str] = {
    "age": "--keep-younger-than",
    "revisions": "--keep-tag-revisions",
    "exclude": "a --whitelist pattern",
    "all_images": "--all=false",
    "over_limit": "--prune-over-size-limit",
    "namespace": "--namespace",
}
"""What ``ac adm prune images`` calls the rules; another door has other words."""


def sentence(reason: Reason, about: str = "", words: Mapping[str, str] = COMMAND_LINE) -> str:
    """Why, in the words of a door; ``about`` is the one who keeps it."""
    return WORDS[reason].format(about=about, **words)

"""What one answer says about other blobs, and about other parts of the same."""

from __future__ import annotations

import pytest

from image_registry.auth.trail import Keep
from image_registry.oci.reference import Repository
from image_registry.server import patterns
from image_registry.server.kept_answers import Answer
from image_registry.server.request_head import Simple

ONE, OTHER = (f"sha256:{character * 64}" for character in "ab")
TARGET = "/v2/team/app/blobs/"


def answer(status: bytes, head: bytes, body: bytes, keep: Keep) -> Answer:
    return Answer(
        status=status,
        head=head,
        body=body,
        file="/data" if keep.blob else "",
        length=len(body),
        keep=keep,
        named="team/app",
        repository=Repository("team", "app"),
        witnesses=(("/link", (1, 71, 1)), ("/data", (2, 100, 1))) if keep.blob else (),
        at=10,
        route="blobs.get",
        reference=ONE,
        digest=ONE,
        decision="allowed",
        error="BLOB_UNKNOWN: no blob " + ONE,
    )


def refusal(body: bytes) -> Answer:
    return answer(b"404 NOT FOUND", b"Content-Length: 9\r\n", body, Keep("pull", "team/app", missing=ONE))


def test_one_absence_tells_of_another_by_its_own_name_and_number() -> None:
    body = f'{{"message":"no blob {ONE}","detail":{{"request_id":"e"}}}}'.encode()
    pattern = patterns.absence(refusal(body), ONE, "e")
    assert pattern is not None
    told = patterns.absence_of(pattern, OTHER, "z")
    assert told.body == f'{{"message":"no blob {OTHER}","detail":{{"request_id":"z"}}}}'.encode()
    assert (told.reference, told.digest, told.error) == (OTHER, OTHER, "BLOB_UNKNOWN: no blob " + OTHER)
    assert patterns.absence_of(pattern, ONE, "e") == refusal(body)


def test_a_refusal_that_does_not_name_its_request_is_no_pattern() -> None:
    assert patterns.absence(refusal(b'{"message":"no blob"}'), ONE, "e") is None


def test_an_answer_to_head_is_a_pattern_for_requests_whose_number_is_as_long() -> None:
    assert patterns.absence(refusal(b""), ONE, "e") is not None
    key = patterns.absence_key("HEAD", TARGET + ONE, "1234")
    assert key == patterns.absence_key("HEAD", TARGET + OTHER, "5678")
    assert key != patterns.absence_key("HEAD", TARGET + OTHER, "56789")
    assert key != patterns.absence_key("GET", TARGET + OTHER, "5678")
    assert key != patterns.absence_key("HEAD", "/v2/team/other/blobs/" + OTHER, "5678")


@pytest.mark.parametrize(
    "target",
    [
        TARGET + ONE + "?x=y",
        TARGET + "sha256:A",
        "/v2/a/b/c/blobs/" + ONE,
        "/v2/team/app/manifests/" + ONE,
        "/v2/team/app/blobs/uploads/x",
    ],
)
def test_other_targets_have_no_such_answer(target: str) -> None:
    assert patterns.absence_key("HEAD", target, "1") is None


def part() -> Answer:
    head = b'ETag: "x"\r\nContent-Length: 5\r\nContent-Range: bytes 5-9/100\r\nAccept-Ranges: bytes\r\n'
    pattern = patterns.part(answer(b"206 PARTIAL CONTENT", head, b"", Keep("pull", "team/app", ONE)))
    assert pattern is not None
    return pattern


def asked(wanted: str, condition: str = "") -> Simple:
    return Simple("GET", TARGET + ONE, None, "", "", wanted, condition)


@pytest.mark.parametrize(
    ("wanted", "start", "length", "announced"),
    [
        ("bytes=5-9", 5, 5, b"5-9"),
        ("bytes=90-", 90, 10, b"90-99"),
        ("bytes=-3", 97, 3, b"97-99"),
        ("bytes=0-1000", 0, 100, b"0-99"),
    ],
)
def test_a_part_is_announced_as_it_was_asked_for(wanted: str, start: int, length: int, announced: bytes) -> None:
    found = patterns.part_of(part(), asked(wanted))
    assert found is not None
    assert (found.start, found.length) == (start, length)
    assert b"\r\nContent-Range: bytes %b/100\r\n" % announced in found.head
    assert b"\r\nContent-Length: %d\r\n" % length in found.head


@pytest.mark.parametrize("wanted", ["bytes=100-", "bytes=9-5", "bytes=-0"])
def test_a_range_that_the_blob_has_not_is_for_the_application(wanted: str) -> None:
    assert patterns.part_of(part(), asked(wanted)) is None


def test_a_part_on_condition_is_given_of_the_very_blob_alone() -> None:
    assert patterns.part_of(part(), asked("bytes=0-1", f'"{ONE}"')) is not None
    assert patterns.part_of(part(), asked("bytes=0-1", f'"{OTHER}"')) is None
    assert patterns.part_of(part(), asked("bytes=0-1", f'W/"{ONE}"')) is None

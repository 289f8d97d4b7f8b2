"""Images told by the environment reach the operand's chart."""

from __future__ import annotations

import pytest

from image_registry.operator.related_images import parts, values

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("docker.io/library/postgres:17", ("docker.io", "library/postgres", "17", "")),
        (f"mirror.example:5000/a/b@{DIGEST}", ("mirror.example:5000", "a/b", "", DIGEST)),
        (f"mirror.example/a:1@{DIGEST}", ("mirror.example", "a", "1", DIGEST)),
        ("localhost/a/b:1", ("localhost", "a/b", "1", "")),
        ("library/postgres", ("", "library/postgres", "", "")),
        ("postgres:17", ("", "postgres", "17", "")),
    ],
)
def test_a_reference_is_taken_apart(reference: str, expected: tuple[str, ...]) -> None:
    assert tuple(parts(reference).values()) == expected


def test_each_image_goes_to_its_place_and_others_stay_the_charts() -> None:
    found = values({"RELATED_IMAGE_POSTGRESQL": "m.example/pg:17", "PATH": "/bin", "RELATED_IMAGE_IMAGE_REGISTRY": ""})
    assert found == {"postgresql": {"image": {"registry": "m.example", "repository": "pg", "tag": "17", "digest": ""}}}

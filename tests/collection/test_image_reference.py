"""How a reference in one word becomes the chart's map."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.alauda.registry.plugins.filter.image_reference import image_reference


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("registry.example.com/team/image:1.0", ("registry.example.com", "team/image", "1.0", "")),
        ("localhost:5000/image:1", ("localhost:5000", "image", "1", "")),
        ("r.io/a/b@sha256:abc", ("r.io", "a/b", "", "sha256:abc")),
        ("r.io:80/a/b:1@sha256:abc", ("r.io:80", "a/b", "1", "sha256:abc")),
        ("postgres:17", ("docker.io", "library/postgres", "17", "")),
        ("alauda/image-registry", ("docker.io", "alauda/image-registry", "", "")),
    ],
)
def test_a_reference_is_read_as_container_runtimes_do(reference: str, expected: tuple[str, ...]) -> None:
    assert tuple(image_reference(reference).values()) == expected


@pytest.mark.parametrize("reference", ["", "a b", ":tag", "r.io/:1"])
def test_what_is_no_reference_is_refused(reference: str) -> None:
    with pytest.raises(AnsibleFilterError, match="registry/repository:tag"):
        image_reference(reference)

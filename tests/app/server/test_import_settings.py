"""What administrators say about imports, and what is wrong with it."""

from __future__ import annotations

from unittest.mock import MagicMock

import pytest

from image_registry.remote.sources import Mirror
from image_registry.server import importing_parts
from image_registry.server.import_settings import ImportSettings, read_imports
from image_registry.server.refusals import InvalidSettings


def test_without_a_word_the_inside_is_closed_and_the_rest_open() -> None:
    assert read_imports("") == read_imports("{}") == ImportSettings()
    assert ImportSettings().addresses.networks == ()
    assert ImportSettings().rules.allowed == ()


def test_everything_can_be_said_in_json_and_in_yaml() -> None:
    found = read_imports(
        """
        allowedRegistries: [quay.io, "*.corp.example"]
        blockedRegistries: [quay.io/evil]
        insecureRegistries: ["old.corp.example:5000"]
        internalNetworks: [10.0.0.0/8]
        mirrors:
          - source: docker.io
            mirrors: [mirror.corp.example/hub]
            mirrorSourcePolicy: NeverContactSource
            pull: tag-only
        maxTags: -1
        scheduledIntervalSeconds: 0
        scheduledPerMinute: 5
        """
    )
    assert found.rules.mirrors == (
        Mirror("docker.io", ("mirror.corp.example/hub",), never_contact_source=True, digests=False),
    )
    assert found.rules.blocked == ("quay.io/evil",)
    assert found.addresses.hosts == {"quay.io", "old.corp.example", "mirror.corp.example"}
    assert [str(network) for network in found.addresses.networks] == ["10.0.0.0/8"]
    assert (found.max_tags, found.interval, found.per_minute) == (-1, 0.0, 5)
    assert read_imports('{"maxTags": 7}').max_tags == 7


def test_pull_through_can_be_switched_off() -> None:
    """Then nobody is asked for credentials either: there is no right to do so (ADR 45)."""
    found = read_imports("pullThrough: false")
    nobody = MagicMock(side_effect=AssertionError)
    assert importing_parts.pull_through(MagicMock(), found, nobody, nobody, nobody, nobody, nobody) is None
    assert read_imports("{}").pull_through


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("[", "YAML"),
        ("[]x", "YAML"),
        ("[a]", "not an object"),
        ("blocked: []", "blocked"),
        ("blockedRegistries: docker.io", "blockedRegistries"),
        ("blockedRegistries: [1]", "blockedRegistries"),
        ("internalNetworks: [office]", "10.0.0.0/8"),
        ("mirrors: [{mirrors: [a.example]}]", r"mirrors\[0\]"),
        ("mirrors: [{source: a, mirrors: x}]", r"mirrors\[0\].mirrors"),
        ("mirrors: [{source: a, mirrors: [b], mirrorSourcePolicy: Never}]", "NeverContactSource"),
        ("mirrors: [{source: a, mirrors: [b], pull: some}]", "digest-only"),
        ("maxTags: many", "maxTags"),
        ("maxTags: true", "maxTags"),
        ("trustedCA: /etc/ca.crt", "PEM"),
        ("pullThrough: perhaps", "pullThrough"),
    ],
)
def test_what_is_wrong_is_named(text: str, word: str) -> None:
    with pytest.raises(InvalidSettings, match=word):
        read_imports(text)

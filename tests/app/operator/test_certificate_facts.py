"""A certificate that clients refuse is told with its Secret, its day and what to do; one that is good is not."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from image_registry.operator import certificate_facts, certificates
from image_registry.operator.certificate_facts import CertificateFact, Served, condition

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
HOST = "registry.example.com"
SERVED = Served("public-tls", (HOST,), "put one there")


def secret(*names: str, age: timedelta = timedelta()) -> dict[str, Any]:
    then = NOW - age
    leaf = certificates.make_leaf(certificates.make_authority("test", then), names, then)
    return {"data": {"tls.crt": base64.b64encode(leaf.certificate).decode()}}


def judged(found: dict[str, Any] | None) -> CertificateFact:
    return certificate_facts.judge(SERVED, found, NOW)


@pytest.mark.parametrize("name", [HOST, "*.example.com"])
def test_a_good_certificate_is_told_with_its_end(name: str) -> None:
    found = judged(secret(name))
    assert (found.reason, found.broken) == ("", False)
    told = condition([found])
    assert (told.status, told.reason) == ("True", "AsExpected")
    assert "on 2027-11-21" in told.message


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (None, "SecretNotFound"),
        ({"data": {}}, "CertificateInvalid"),
        ({"data": {"tls.crt": "bm90aGluZw=="}}, "CertificateInvalid"),
        (secret(HOST, age=timedelta(days=366)), "CertificateExpired"),
        (secret(HOST, age=-timedelta(days=2)), "CertificateNotYetValid"),
        (secret("other.example.com"), "HostNotCovered"),
        (secret("*.com"), "HostNotCovered"),
    ],
    ids=["missing", "empty", "damaged", "expired", "too early", "other host", "wildcard too short"],
)
def test_a_certificate_that_clients_refuse_is_told_with_the_cure(found: dict[str, Any] | None, reason: str) -> None:
    fact = judged(found)
    assert (fact.reason, fact.broken) == (reason, True)
    assert "Secret public-tls" in fact.message
    assert fact.message.endswith("put one there")
    told = condition([judged(secret(HOST)), fact])
    assert (told.status, told.reason) == ("False", reason)


def test_an_end_that_is_near_is_spoken_of_before_it_hurts() -> None:
    fact = judged(secret(HOST, age=timedelta(days=360)))
    assert (fact.reason, fact.broken) == ("ExpiringSoon", False)
    told = condition([fact])
    assert (told.status, told.reason) == ("True", "ExpiringSoon")
    assert "ends on 2026-11-26 12:00Z" in told.message


def test_a_long_list_of_problems_is_cut() -> None:
    told = condition([judged(None)] * 5)
    assert told.message.endswith("; and 2 more")


@pytest.mark.parametrize(
    ("conditions", "trouble"),
    [
        ([], ""),
        ([{"type": "Ready", "status": "True", "reason": "Ready"}], ""),
        ([{"type": "Ready", "status": "False", "reason": "Expired", "message": "over"}], "Expired: over"),
        (
            [
                {"type": "Ready", "status": "False", "reason": "Expired", "message": "over"},
                {"type": "Issuing", "status": "False", "reason": "Failed", "message": "no answer"},
            ],
            "Failed: no answer",
        ),
        ([{"type": "Issuing", "status": "False", "reason": "Issued", "message": "made"}], ""),
        ([{"type": "Issuing", "status": "True", "reason": "Renewing", "message": "soon"}], ""),
    ],
    ids=["nothing", "ready", "not ready", "failed", "issued", "issuing"],
)
def test_what_the_issuer_says_goes_with_a_certificate_that_is_good(conditions: list[Any], trouble: str) -> None:
    served = certificate_facts.issued("public-tls", (HOST,), {"status": {"conditions": conditions}}, "here")
    assert served.trouble == trouble
    fact = certificate_facts.judge(served, secret(HOST), NOW)
    assert (fact.reason, fact.broken) == ("NotRenewed" if trouble else "", False)
    assert trouble in fact.message


@pytest.mark.parametrize(
    ("name", "found", "reason"),
    [
        ("image-registry-tls", secret(HOST, age=timedelta(days=366)), "CertificateExpired"),
        ("image-api-server-tls", secret(HOST, age=-timedelta(days=2)), "CertificateNotYetValid"),
        ("image-registry-tls", secret(HOST), ""),
        ("image-registry-tls", secret(HOST, age=timedelta(days=360)), ""),
        ("image-registry-tls", {"data": {}}, ""),
        ("public-tls", secret(HOST, age=timedelta(days=366)), ""),
    ],
    ids=["expired", "too early", "good", "ends soon", "damaged", "of a route"],
)
def test_servers_whose_certificate_is_out_of_time_are_not_available(
    name: str, found: dict[str, Any], reason: str
) -> None:
    facts = [
        judged(secret(HOST)),
        certificate_facts.judge(Served(name, (HOST,), "it is made anew"), found, NOW),
    ]
    told = certificate_facts.refusing(facts)
    assert (told.reason if told else "") == reason
    assert told is None or (told.status == "False" and f"Secret {name}" in told.message)

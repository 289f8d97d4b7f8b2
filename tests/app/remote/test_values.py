"""What needs no network: names, logins, challenges, addresses, rules, budgets."""

from __future__ import annotations

import base64
import ipaddress
import json
from datetime import UTC, datetime

import pytest

from image_registry.oci.digest import Digest
from image_registry.remote.addresses import AddressRules
from image_registry.remote.budget import Budget
from image_registry.remote.challenges import Challenge, may_see_credentials, parse_challenges
from image_registry.remote.credentials import Keyring, UnreadableCredentials
from image_registry.remote.errors import Blocked, InvalidReference, TooManyRequests
from image_registry.remote.reference import RemoteReference, parse_registry
from image_registry.remote.retrying import retry_after
from image_registry.remote.sources import Mirror, SourceRules

DIGEST = Digest.of(b"x")
parse = RemoteReference.parse


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("busybox", "docker.io/library/busybox"),
        ("busybox:1.36", "docker.io/library/busybox:1.36"),
        ("team/app", "docker.io/team/app"),
        ("index.docker.io/library/busybox", "docker.io/library/busybox"),
        ("quay.io/a/b/c:v1", "quay.io/a/b/c:v1"),
        ("QUAY.io/a:v1", "quay.io/a:v1"),
        ("localhost/a", "localhost/a"),
        ("localhost:5000/a", "localhost:5000/a"),
        ("quay.io:443/a", "quay.io/a"),
        ("192.0.2.1:5000/a", "192.0.2.1:5000/a"),
        ("[2001:DB8::1]:5000/a", "[2001:db8::1]:5000/a"),
        (f"quay.io/a@{DIGEST}", f"quay.io/a@{DIGEST}"),
        (f"quay.io/a:v1@{DIGEST}", f"quay.io/a:v1@{DIGEST}"),
    ],
)
def test_names_are_read_as_all_clients_read_them(text: str, whole: str) -> None:
    assert str(parse(text)) == whole


@pytest.mark.parametrize(
    "text",
    [
        "", ":v1", "a b", "quay.io/", "quay.io/A", "quay.io/a//b", "quay.io/a:" + "t" * 129, "quay.io/a@sha256:00",
        "quay.io/../b", "quay.io:0/a", "quay.io:99999/a", "quay_.io/a", "0x7f.0.0.1/a", "2130706433.:1/a", "127.1:80/a",
        "0177.0.0.1/a", "[::1/a", "[zz]:1/a", "user@quay.io/a", "https://quay.io/a", "quay.io/" + "a/" * 130 + "a",
    ],
)  # fmt: skip
def test_what_names_no_image_is_refused(text: str) -> None:
    with pytest.raises(InvalidReference):
        parse(text)


def test_a_reference_says_what_to_ask_whom() -> None:
    assert parse("busybox").server == "registry-1.docker.io"
    assert parse("quay.io/a").wanted == "latest"
    assert parse(f"quay.io/a:v1@{DIGEST}").wanted == str(DIGEST)
    assert str(parse("quay.io/a:v1").at(DIGEST)) == f"quay.io/a@{DIGEST}"
    assert parse_registry("registry-1.docker.io") == "docker.io"


def auths(**entries: str) -> Keyring:
    """Logins named after the entry; ``__`` stands for what a keyword cannot have."""
    document = {name: {"auth": base64.b64encode(f"{user}:pw".encode()).decode()} for name, user in entries.items()}
    return Keyring.parse(json.dumps({"auths": document}).encode())


def users(keyring: Keyring, reference: str) -> list[str]:
    return [login.username for login in keyring.logins(parse(reference))]


def test_the_most_exact_login_comes_first() -> None:
    ring = auths(**{"quay.io": "host", "quay.io/team": "team", "quay.io/team/app": "app", "*.io": "glob"})
    assert users(ring, "quay.io/team/app") == ["app", "team", "host", "glob"]
    assert users(ring, "quay.io/team/application") == ["team", "host", "glob"]
    assert users(ring, "quay.io/other") == ["host", "glob"]
    assert users(ring, "a.quay.io/other") == []
    assert users(ring, "quay.io:8443/team") == []


def test_docker_hub_has_one_login_under_all_its_names() -> None:
    for name in ("https://index.docker.io/v1/", "docker.io", "index.docker.io", "registry-1.docker.io"):
        assert users(auths(**{name: "me"}), "busybox") == ["me"]


def test_both_kinds_of_documents_and_all_kinds_of_logins_are_read() -> None:
    old = Keyring.parse(b'{"quay.io": {"username": "u", "password": "p", "email": "x"}}')
    assert users(old, "quay.io/a") == ["u"]
    tokens = {"a.io": {"identitytoken": "r"}, "b.io": {"registrytoken": "t"}, "c.io": {"auth": "PHRva2VuPjpy"}}
    ring = Keyring.parse(json.dumps({"auths": tokens}).encode())
    assert ring.logins(parse("a.io/x"))[0].refresh_token == "r"
    assert ring.logins(parse("b.io/x"))[0].registry_token == "t"
    assert ring.logins(parse("c.io/x"))[0].refresh_token == "r"


@pytest.mark.parametrize("text", ["", "[]", "{", '{"auths": []}', "[" * 100_000])
def test_what_is_no_credentials_is_refused_and_not_quoted(text: str) -> None:
    with pytest.raises(UnreadableCredentials):
        Keyring.parse(text.encode())


def test_a_broken_entry_does_not_take_the_others_along() -> None:
    entries = {"a.io": {"auth": "%%%"}, "": {"auth": "eDp5"}, "b.io": 7, "c.io/d e": {}, "quay.io": {"auth": "eDp5"}}
    ring = Keyring.parse(json.dumps({"auths": entries}).encode())
    assert ring.hosts() == ("quay.io",)


def test_a_login_is_shown_without_its_secrets() -> None:
    document = {"a.io": {"username": "u", "password": "canary", "identitytoken": "canary", "registrytoken": "canary"}}
    ring = Keyring.parse(json.dumps({"auths": document}).encode())
    assert len(ring.logins(parse("a.io/x"))) == 1
    assert "canary" not in repr(ring)


def test_challenges_are_read_one_by_one() -> None:
    header = 'Bearer realm="https://a/t",service="s, \\"q\\"",scope="repository:x:pull,push", Basic realm=plain'
    bearer, basic = parse_challenges(header)
    assert bearer == Challenge(
        "bearer", {"realm": "https://a/t", "service": 's, "q"', "scope": "repository:x:pull,push"}
    )
    assert basic == Challenge("basic", {"realm": "plain"})
    assert parse_challenges("") == ()
    assert parse_challenges('Bearer realm="' + "x" * 100_000) == (Challenge("bearer", {}),)


@pytest.mark.parametrize(
    ("realm", "server", "trusted"),
    [
        ("https://quay.io/v2/auth", "https://quay.io", True),
        ("https://auth.docker.io/token", "https://registry-1.docker.io", True),
        ("https://gitlab.com/jwt/auth", "https://registry.gitlab.com", True),
        ("http://quay.io/v2/auth", "https://quay.io", False),
        ("https://evil.io/auth", "https://quay.io", False),
        ("https://evil-quay.io/auth", "https://quay.io", False),
        ("https://quay.io.evil.example/auth", "https://quay.io", False),
        ("https://quay.io@evil.example/auth", "https://quay.io", False),
        ("https://169.254.169.254/", "https://quay.io", False),
        ("https://10.0.0.2/", "https://10.0.0.1", False),
        ("https://10.0.0.1:8443/", "https://10.0.0.1", True),
    ],
)
def test_credentials_are_for_the_registry_and_its_own_token_server(realm: str, server: str, trusted: bool) -> None:
    assert may_see_credentials(realm, server, insecure=False) is trusted


def test_plain_token_servers_are_for_plain_registries() -> None:
    assert may_see_credentials("http://a.example:5000/t", "http://a.example:5000", insecure=True)
    assert not may_see_credentials("http://a.example:5000/t", "https://a.example:5000", insecure=True)
    assert not may_see_credentials("http://a.example:5000/t", "http://a.example:5000", insecure=False)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "::1", "0.0.0.1", "169.254.169.254", "10.0.0.1", "172.16.0.1", "192.168.1.1",
        "100.64.0.1", "fd00::1", "fe80::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::1",
        "224.0.0.1", "ff02::1", "255.255.255.255", "::",
    ],
)  # fmt: skip
def test_addresses_of_the_inside_are_closed(address: str) -> None:
    parsed = ipaddress.ip_address(address)
    assert not AddressRules().permits("registry.example.com", parsed)
    assert AddressRules.of(hosts=["Registry.example.com"]).permits("registry.example.com", parsed)
    assert not AddressRules.of(hosts=["other.example.com"]).permits("registry.example.com", parsed)


def test_public_addresses_and_named_networks_are_open() -> None:
    for address in ("93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "64:ff9b::5db8:d822"):
        assert AddressRules().permits("x", ipaddress.ip_address(address))
    inside = AddressRules.of(["10.1.0.0/16"])
    assert inside.permits("x", ipaddress.ip_address("10.1.2.3"))
    assert inside.permits("x", ipaddress.ip_address("::ffff:10.1.2.3"))
    assert not inside.permits("x", ipaddress.ip_address("10.2.0.1"))


def test_rules_say_whom_to_ask_in_which_order() -> None:
    rules = SourceRules(
        blocked=("bad.example.com", "quay.io/evil", "*.spam.example"),
        mirrors=(
            Mirror("quay.io", ("m1.example.com/q", "m2.example.com")),
            Mirror("quay.io/team", ("m3.example.com/t",), never_contact_source=True),
            Mirror("docker.io", ("m4.example.com",), tags=False),
        ),
    )

    def asked(text: str) -> list[str]:
        return [str(candidate) for candidate in rules.candidates(parse(text))]

    assert asked("quay.io/a/b:1") == ["m1.example.com/q/a/b:1", "m2.example.com/a/b:1", "quay.io/a/b:1"]
    assert asked("quay.io/team/app:1") == ["m3.example.com/t/app:1"]
    assert asked("quay.io/teams/app:1")[-1] == "quay.io/teams/app:1"
    assert asked("busybox:1") == ["docker.io/library/busybox:1"]
    assert asked(f"busybox@{DIGEST}")[0] == f"m4.example.com/library/busybox@{DIGEST}"
    for text in ("bad.example.com/a", "quay.io/evil/x", "a.b.spam.example/x"):
        with pytest.raises(Blocked):
            asked(text)
    assert asked("quay.io/evilx/x")
    everything_blocked = SourceRules(blocked=("m.example",), mirrors=(Mirror("q.io", ("m.example",), True),))
    with pytest.raises(Blocked):
        everything_blocked.candidates(parse("q.io/a"))


def test_only_allowed_registries_are_asked_if_there_are_any() -> None:
    rules = SourceRules(allowed=("quay.io/team", "*.corp.example:5000"), blocked=("a.corp.example:5000",))
    rules.check(parse("quay.io/team/app"))
    rules.check(parse("b.corp.example:5000/x"))
    for text in ("quay.io/other", "b.corp.example/x", "a.corp.example:5000/x", "busybox"):
        with pytest.raises(Blocked):
            rules.check(parse(text))
    assert rules.named_hosts() == {"quay.io"}


class Clock:
    def __init__(self) -> None:
        self.now, self.slept = 1000.0, 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept += seconds


def test_a_host_is_asked_at_its_rate_and_others_are_not_held_up() -> None:
    clock = Clock()
    budget = Budget(2.0, 3, clock=clock, sleep=clock.sleep)
    for _ in range(3):
        budget.enter("a", 10)
    assert clock.slept == 0
    budget.enter("a", 10)
    assert clock.slept == pytest.approx(0.5)
    budget.enter("b", 0)
    assert clock.slept == pytest.approx(0.5)
    with pytest.raises(TooManyRequests):
        budget.enter("a", 0.1)
    clock.now += 60
    budget.enter("a", 0)


def test_a_pause_is_kept_and_ends() -> None:
    clock = Clock()
    budget = Budget(clock=clock, sleep=clock.sleep)
    budget.pause("a", 30)
    budget.pause("a", 5)
    assert budget.wait("a") == pytest.approx(30)
    with pytest.raises(TooManyRequests) as refused:
        budget.enter("a", 29)
    assert refused.value.retry_after == pytest.approx(30)
    budget.enter("a", 31)
    assert clock.slept == pytest.approx(30)


def test_retry_after_is_a_number_or_a_date() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert retry_after({"retry-after": "12"}) == 12
    assert retry_after({"retry-after": "Thu, 01 Jan 2026 00:00:30 GMT"}, now) == 30
    assert retry_after({"retry-after": "Wed, 31 Dec 2025 00:00:00 GMT"}, now) == 0
    assert retry_after({"retry-after": "soon"}) is None
    assert retry_after({}) is None

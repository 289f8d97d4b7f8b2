"""Real registries are asked: what is there comes verified, and what is wrong is said in words."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import pytest

from image_registry.oci.digest import Digest
from image_registry.remote.addresses import AddressRules
from image_registry.remote.asking import Access
from image_registry.remote.credentials import Keyring
from image_registry.remote.errors import (
    Blocked,
    Forbidden,
    Mismatch,
    NotARegistry,
    NotFound,
    TooLarge,
    TooManyRequests,
    Unauthorized,
    Unreachable,
    UnsafeAddress,
    Untrusted,
)
from image_registry.remote.reference import RemoteReference
from image_registry.remote.registry import Registries
from image_registry.remote.sources import Mirror, SourceRules
from tests.app.remote.conftest import REPOSITORY, Clock, Remote, keyring
from tests.app.remote.faulting_proxy import Fault, FaultingProxy
from tests.clients.certificates import Certificates

Make = Callable[..., Registries]
ANYBODY = Access()


def named(host: str, wanted: Digest | str = "v1", path: str = REPOSITORY) -> RemoteReference:
    return RemoteReference(host, path).at(wanted)


def read(client: Registries, reference: RemoteReference, access: Access = ANYBODY, **options: int) -> bytes:
    with client.blob(reference, access, **options) as parts:
        return b"".join(parts)


def test_a_tag_is_fetched_with_what_it_means(client: Make, proxy: FaultingProxy, open_distribution: Remote) -> None:
    content = open_distribution.content
    fetched = client().manifest(named(proxy.host), ANYBODY)
    assert fetched.manifest.digest == content.image
    assert client().digest(named(proxy.host), ANYBODY) == content.image
    index = client().manifest(named(proxy.host, "multi"), ANYBODY).manifest
    assert index.is_index
    assert [entry.digest for entry in index.manifests] == [content.image, content.arm]
    assert client().manifest(named(proxy.host, content.arm), ANYBODY).manifest.digest == content.arm


def test_a_blob_is_the_bytes_that_its_digest_names(
    client: Make, proxy: FaultingProxy, open_distribution: Remote
) -> None:
    content = open_distribution.content
    assert read(client(), named(proxy.host, content.blob), size=len(content.layer)) == content.layer


def test_tags_are_listed_over_all_pages(client: Make, proxy: FaultingProxy) -> None:
    # distribution pages only when asked to; the first page says where the next one is
    proxy.faults.append(
        Fault(
            "tags/list",
            200,
            {"Link": f'</v2/{REPOSITORY}/tags/list?last=latest&n=100>; rel="next"', "Content-Type": "application/json"},
            b'{"tags":["1.0.0","latest"]}',
        )
    )
    assert set(client().tags(named(proxy.host), ANYBODY)) == {"1.0.0", "1.1.0", "latest", "multi", "v1"}
    assert [seen.path.partition("?")[2] for seen in proxy.asked("tags/list")] == ["", "last=latest&n=100"]
    assert len(client().tags(named(proxy.host), ANYBODY, most=3)) == 3


def test_what_is_not_there_is_said(client: Make, proxy: FaultingProxy) -> None:
    with pytest.raises(NotFound, match="hidden"):
        client().manifest(named(proxy.host, "none"), ANYBODY)
    with pytest.raises(NotFound):
        client().tags(named(proxy.host, path="no/such"), ANYBODY)


@pytest.fixture(params=["guarded_distribution", "own"])
def guarded(request: pytest.FixtureRequest) -> Remote:
    """A registry that asks for Basic, and one that asks for tokens."""
    remote: Remote = request.getfixturevalue(request.param)
    return remote


@pytest.fixture
def guarded_proxy(guarded: Remote) -> Iterator[FaultingProxy]:
    with FaultingProxy(guarded.host).running() as running:
        yield running


def test_credentials_open_what_is_closed_without(client: Make, guarded: Remote) -> None:
    plain = Access(guarded.keyring(), insecure=True)
    made = client()
    assert made.manifest(named(guarded.host), plain).manifest.digest == guarded.content.image
    assert read(made, named(guarded.host, guarded.content.blob), plain) == guarded.content.layer
    with pytest.raises(Unauthorized, match="pull Secret"):
        made.manifest(named(guarded.host), Access(insecure=True))
    with pytest.raises(Unauthorized) as refused:
        made.manifest(named(guarded.host), Access(guarded.keyring(password="wrong-canary"), insecure=True))
    assert "wrong-canary" not in str(refused.value)


def test_the_next_login_is_tried_when_the_most_exact_one_is_refused(client: Make, guarded: Remote) -> None:
    wrong = keyring(f"{guarded.host}/{REPOSITORY}", guarded.user, "old")
    both = Access(Keyring.joined([wrong, guarded.keyring()]), insecure=True)
    assert client().manifest(named(guarded.host), both).manifest.digest == guarded.content.image


def test_wrong_credentials_do_not_close_what_is_open_to_all(
    client: Make, own: Remote, proxy: FaultingProxy, open_distribution: Remote
) -> None:
    proxy.faults.append(Fault("manifests", 401, {"WWW-Authenticate": 'Basic realm="x"'}))
    proxy.faults.append(Fault("manifests", 401, {"WWW-Authenticate": 'Basic realm="x"'}))
    access = Access(keyring(proxy.host, own.user, "old"))
    assert client().manifest(named(proxy.host), access).manifest.digest == open_distribution.content.image
    assert "authorization" not in proxy.seen[-1].headers


def test_what_worked_is_remembered(client: Make, guarded: Remote, guarded_proxy: FaultingProxy) -> None:
    """One question for a token, or one refusal, serves the whole import."""
    made, access = client(), Access(guarded.keyring(guarded_proxy.host), insecure=True)
    for wanted in ("v1", "multi", "latest"):
        made.manifest(named(guarded_proxy.host, wanted), access)
    assert sum("authorization" not in seen.headers for seen in guarded_proxy.asked("manifests")) == 1
    assert len(guarded_proxy.asked("/token")) <= 1


def test_a_certificate_of_nobody_is_refused_unless_allowed(
    client: Make, proxy: FaultingProxy, open_distribution: Remote
) -> None:
    with pytest.raises(Untrusted, match="trust its CA"):
        client(trust=False).manifest(named(proxy.host), ANYBODY)
    assert proxy.seen == []
    wanted = open_distribution.content.image
    assert client(trust=False).manifest(named(proxy.host), Access(insecure=True)).manifest.digest == wanted
    rules = SourceRules(insecure=(proxy.host,))
    assert client(rules, trust=False).manifest(named(proxy.host), ANYBODY).manifest.digest == wanted


def test_plain_http_only_for_those_who_allow_it(client: Make, open_distribution: Remote) -> None:
    with pytest.raises(Untrusted):
        client().manifest(named(open_distribution.host), ANYBODY)
    fetched = client().manifest(named(open_distribution.host), Access(insecure=True))
    assert fetched.manifest.digest == open_distribution.content.image


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_passing_failure_is_tried_again(
    client: Make, proxy: FaultingProxy, open_distribution: Remote, clock: Clock, status: int
) -> None:
    proxy.faults += [Fault("manifests", status), Fault("manifests", status)]
    fetched = client().manifest(named(proxy.host), ANYBODY)
    assert fetched.manifest.digest == open_distribution.content.image
    assert len(proxy.asked("manifests")) == 3
    assert sum(clock.slept) > 0.3


def test_retry_after_is_waited_for(client: Make, proxy: FaultingProxy, clock: Clock) -> None:
    proxy.faults.append(Fault("manifests", 429, {"Retry-After": "7"}))
    client().manifest(named(proxy.host), ANYBODY)
    assert sum(clock.slept) >= 7


def test_whoever_is_asked_to_wait_too_long_says_so_and_asks_no_more(
    client: Make, proxy: FaultingProxy, clock: Clock, open_distribution: Remote
) -> None:
    made = client()
    proxy.faults.append(Fault("manifests", 429, {"Retry-After": "3600"}))
    with pytest.raises(TooManyRequests) as first:
        made.manifest(named(proxy.host), ANYBODY)
    assert first.value.retry_after == 3600
    with pytest.raises(TooManyRequests, match="mirror"):
        made.manifest(named(proxy.host, "latest"), ANYBODY)
    assert len(proxy.seen) == 1, "the pause is for the whole host"
    clock.sleep(3601)
    assert made.manifest(named(proxy.host), ANYBODY).manifest.digest == open_distribution.content.image


def test_nobody_at_home_is_unreachable(client: Make) -> None:
    with pytest.raises(Unreachable, match="check the name"):
        client().manifest(named("127.0.0.1:9"), ANYBODY)


def test_a_changed_manifest_is_refused(client: Make, proxy: FaultingProxy, open_distribution: Remote) -> None:
    proxy.faults.append(Fault("manifests", change=True))
    with pytest.raises(Mismatch):
        client().manifest(named(proxy.host, open_distribution.content.image), ANYBODY)
    proxy.faults.append(Fault("manifests", change=True))
    with pytest.raises(Mismatch, match="nothing is taken"):
        client().manifest(named(proxy.host), ANYBODY)


def test_the_last_bytes_of_a_changed_blob_are_given_to_nobody(
    client: Make, proxy: FaultingProxy, open_distribution: Remote
) -> None:
    content = open_distribution.content
    proxy.faults.append(Fault("blobs", change=True))
    got = b""
    with client().blob(named(proxy.host, content.blob), ANYBODY) as parts, pytest.raises(Mismatch):  # noqa: PT012
        for part in parts:
            got += part
    assert len(got) < len(content.layer)


def test_a_blob_goes_on_where_the_connection_broke(
    client: Make, proxy: FaultingProxy, open_distribution: Remote
) -> None:
    content = open_distribution.content
    proxy.faults += [Fault("blobs", cut=300_000), Fault("blobs", cut=100_000)]
    assert read(client(), named(proxy.host, content.blob), size=len(content.layer)) == content.layer
    asked = [seen.headers.get("range") for seen in proxy.asked("blobs")]
    assert len(asked) == 3
    assert asked[0] is None
    assert all(part and part.startswith("bytes=") for part in asked[1:])


def test_more_than_is_wanted_is_not_taken(client: Make, proxy: FaultingProxy, open_distribution: Remote) -> None:
    content = open_distribution.content
    with pytest.raises(Mismatch, match="in its manifest"):
        read(client(), named(proxy.host, content.blob), size=len(content.layer) - 1)
    with pytest.raises(TooLarge):
        read(client(), named(proxy.host, content.blob), limit=1000)
    with pytest.raises(TooLarge):
        client().manifest(named(proxy.host), ANYBODY, limit=100)


def test_no_credentials_follow_a_redirect(
    client: Make, guarded_distribution: Remote, open_distribution: Remote, certificates: Certificates
) -> None:
    """As registries do that keep blobs elsewhere: the address is signed, and the login is nobody's there."""
    content = open_distribution.content
    with (
        FaultingProxy(open_distribution.host, certificates).running() as elsewhere,
        FaultingProxy(guarded_distribution.host, certificates).running() as first,
    ):
        target = f"https://{elsewhere.host}/v2/{REPOSITORY}/blobs/{content.blob}?signature=canary"
        challenge = Fault("blobs", 401, {"WWW-Authenticate": 'Basic realm="x"'})
        first.faults += [challenge, Fault("blobs", 307, {"Location": target})]
        access = Access(guarded_distribution.keyring(first.host))
        assert read(client(), named(first.host, content.blob), access) == content.layer
        assert "authorization" in first.seen[-1].headers
        assert all("authorization" not in seen.headers for seen in elsewhere.seen)


def test_a_redirect_leads_neither_in_circles_nor_to_plain_http(
    client: Make, proxy: FaultingProxy, open_distribution: Remote
) -> None:
    plain = f"http://{open_distribution.host}/v2/{REPOSITORY}/manifests/v1"
    proxy.faults.append(Fault("manifests", 302, {"Location": plain}))
    with pytest.raises(Untrusted, match="without TLS"):
        client().manifest(named(proxy.host), ANYBODY)
    proxy.faults.append(Fault("manifests", 302, {"Location": proxy_path("v1")}, always=True))
    with pytest.raises(NotARegistry, match="circle"):
        client().manifest(named(proxy.host), ANYBODY)


def proxy_path(wanted: str) -> str:
    return f"/v2/{REPOSITORY}/manifests/{wanted}"


@pytest.mark.parametrize(
    "location", ["http://169.254.169.254/", "https://127.0.0.2:1/", "https://0x7f.1/", "file:///x"]
)
def test_a_redirect_reaches_nothing_of_the_inside(client: Make, proxy: FaultingProxy, location: str) -> None:
    proxy.faults.append(Fault("manifests", 302, {"Location": location}))
    with pytest.raises((UnsafeAddress, Untrusted, NotARegistry)):
        client(addresses=AddressRules.of(["127.0.0.1/32"])).manifest(named(proxy.host), ANYBODY)


def test_a_realm_of_somebody_else_is_shown_no_credentials(client: Make, proxy: FaultingProxy) -> None:
    realm = 'Bearer realm="https://tokens.evil.example/token",service="x"'
    proxy.faults.append(Fault("manifests", 401, {"WWW-Authenticate": realm}, always=True))
    access = Access(keyring(proxy.host, "mary", "canary"))
    with pytest.raises(Unauthorized, match="not shown there"):
        client().manifest(named(proxy.host), access)


def test_the_inside_is_closed_unless_it_was_named(client: Make, proxy: FaultingProxy) -> None:
    with pytest.raises(UnsafeAddress, match="administrator"):
        client(addresses=AddressRules()).manifest(named(proxy.host), ANYBODY)
    with pytest.raises(Forbidden):
        client(addresses=AddressRules()).manifest(named(f"localhost:{proxy.port}"), ANYBODY)
    assert proxy.seen == []
    named_host = AddressRules.of(hosts=["127.0.0.1"])
    assert client(addresses=named_host).manifest(named(proxy.host), ANYBODY)


def test_mirrors_are_asked_first_and_the_source_when_they_fail(
    client: Make, proxy: FaultingProxy, open_distribution: Remote, certificates: Certificates
) -> None:
    with FaultingProxy(open_distribution.host, certificates).running() as mirror:
        rules = SourceRules(mirrors=(Mirror("quay.example.com", (f"{mirror.host}/team",)),))
        reference = RemoteReference("quay.example.com", "app").at("v1")
        fetched = client(rules).manifest(reference, ANYBODY)
        assert fetched.reference == reference
        assert fetched.source.registry == mirror.host
        source = SourceRules(mirrors=(Mirror(proxy.host, (mirror.host,)),))
        mirror.faults.append(Fault("manifests", 404))
        assert client(source).manifest(named(proxy.host), ANYBODY).source.registry == proxy.host
        never = SourceRules(mirrors=(dataclasses.replace(source.mirrors[0], never_contact_source=True),))
        mirror.faults.append(Fault("manifests", 404))
        before = len(proxy.seen)
        with pytest.raises(NotFound):
            client(never).manifest(named(proxy.host), ANYBODY)
        assert len(proxy.seen) == before


def test_blocked_registries_are_not_asked(client: Make, proxy: FaultingProxy) -> None:
    for rules in (SourceRules(blocked=(proxy.host,)), SourceRules(allowed=("quay.io",))):
        with pytest.raises(Blocked, match="ask an administrator"):
            client(rules).manifest(named(proxy.host), ANYBODY)
    assert proxy.seen == []

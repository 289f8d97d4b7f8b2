"""Other registries behind an egress proxy: who goes through it, what it is shown, and what it is not."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from image_registry.proxies import Proxies, Proxy
from image_registry.remote.addresses import AddressRules
from image_registry.remote.asking import Access
from image_registry.remote.errors import Blocked, Unreachable, UnsafeAddress
from image_registry.remote.reference import RemoteReference
from image_registry.remote.registry import Registries
from image_registry.remote.sources import SourceRules
from image_registry.remote.wire import Wire
from image_registry.server.proxy_settings import CREDENTIALS, HTTP, HTTPS, NO_PROXY, read_proxies
from image_registry.server.settings import InvalidSettings, Settings
from tests.app.remote.conftest import LOOPBACK, REPOSITORY, Remote
from tests.app.remote.egress_proxy import EgressProxy
from tests.app.remote.faulting_proxy import Fault, FaultingProxy
from tests.clients.certificates import Certificates, make_certificates

FAR = "registry.far.test"
"""A host that only the proxy knows."""

ANYBODY = Access()
Through = Callable[..., Registries]


@pytest.fixture(scope="module")
def far_certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("far"), FAR)


@pytest.fixture
def far(open_distribution: Remote, far_certificates: Certificates) -> Iterator[FaultingProxy]:
    """A registry with TLS in a network that we do not reach."""
    with FaultingProxy(open_distribution.host, far_certificates).running() as running:
        yield running


@pytest.fixture
def egress(far: FaultingProxy, open_distribution: Remote) -> Iterator[EgressProxy]:
    places = {f"{FAR}:443": far.host, f"{FAR}:80": open_distribution.host, f"{FAR}:5000": open_distribution.host}
    with EgressProxy(places).running() as running:
        yield running


@pytest.fixture
def through(far_certificates: Certificates) -> Through:
    def make(proxies: Proxies, addresses: AddressRules = LOOPBACK) -> Registries:
        wire = Wire(addresses, authorities=far_certificates.ca.read_text(), proxies=proxies, connect=2, read=5)
        return Registries(wire, SourceRules(), sleep=lambda _seconds: None)

    return make


def both(egress: EgressProxy, *direct: str, username: str = "", password: str = "") -> Proxies:
    proxy = Proxy.parse(egress.url, username, password)
    return Proxies(proxy, proxy, direct)


def test_a_registry_is_reached_through_a_tunnel_and_tls_is_with_the_registry(
    through: Through, egress: EgressProxy, open_distribution: Remote
) -> None:
    content, client = open_distribution.content, through(both(egress))
    reference = RemoteReference(FAR, REPOSITORY)
    assert client.manifest(reference.at("v1"), ANYBODY).manifest.digest == content.image
    with client.blob(reference.at(content.blob), ANYBODY) as parts:
        assert b"".join(parts) == content.layer
    assert {(method, target) for method, target, _ in egress.seen} == {("CONNECT", f"{FAR}:443")}
    assert all("authorization" not in headers for _, _, headers in egress.seen)


def test_a_registry_without_tls_is_asked_for_by_the_proxy(
    through: Through, egress: EgressProxy, open_distribution: Remote
) -> None:
    fetched = through(both(egress)).manifest(RemoteReference(f"{FAR}:5000", REPOSITORY).at("v1"), Access(insecure=True))
    assert fetched.manifest.digest == open_distribution.content.image
    assert egress.seen[-1][:2] == ("GET", f"{FAR}:5000")


def test_what_is_named_goes_without_the_proxy(through: Through, egress: EgressProxy) -> None:
    with pytest.raises(Unreachable, match="check the name"):
        through(both(egress, "far.test")).manifest(RemoteReference(FAR, REPOSITORY).at("v1"), ANYBODY)
    with pytest.raises(Unreachable):
        through(Proxies()).manifest(RemoteReference(FAR, REPOSITORY).at("v1"), ANYBODY)
    assert egress.seen == []


def test_the_proxy_is_shown_its_credentials_and_nobody_else_is(
    through: Through, egress: EgressProxy, far: FaultingProxy, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    egress.user, egress.password = "cluster", secrets.token_urlsafe(12)
    proxies = both(egress, username="cluster", password=egress.password)
    reference = RemoteReference(FAR, REPOSITORY).at("v1")
    assert through(proxies).manifest(reference, ANYBODY)
    assert through(proxies).manifest(RemoteReference(f"{FAR}:5000", REPOSITORY).at("v1"), Access(insecure=True))
    assert all("proxy-authorization" not in seen.headers for seen in far.seen)
    for password in ("", "wrong-canary"):
        with pytest.raises(Unreachable, match="wants other credentials") as refused:
            through(both(egress, username="cluster", password=password)).manifest(reference, ANYBODY)
        assert "canary" not in str(refused.value)
    shown = f"{proxies} {proxies!r} {caplog.text}"
    assert egress.password not in shown
    assert next(iter(Proxy.parse("http://p", "a", egress.password).headers.values())) not in shown


def test_no_credentials_of_the_proxy_follow_a_redirect_past_it(
    through: Through, egress: EgressProxy, far: FaultingProxy, open_distribution: Remote
) -> None:
    """A registry behind the proxy sends us to one that we reach ourselves."""
    egress.user, egress.password = "cluster", "word"
    with FaultingProxy(open_distribution.host).running() as near:
        target = f"http://{near.host}/v2/{REPOSITORY}/manifests/v1"
        far.faults.append(Fault("manifests", 307, {"Location": target}))
        client = through(both(egress, username="cluster", password="word"))
        assert client.manifest(RemoteReference(FAR, REPOSITORY).at("v1"), Access(insecure=True))
        [seen] = near.seen
        assert not {"authorization", "proxy-authorization"} & seen.headers.keys()


@pytest.mark.parametrize(("status", "kind"), [(403, Blocked), (503, Unreachable)])
def test_a_proxy_that_refuses_is_named(
    through: Through, egress: EgressProxy, status: int, kind: type[Exception]
) -> None:
    egress.refuse = status
    with pytest.raises(kind, match=rf"proxy 127\.0\.0\.1:{egress.port} .*status {status}|status {status}"):
        through(both(egress)).manifest(RemoteReference(FAR, REPOSITORY).at("v1"), ANYBODY)


def test_a_proxy_that_is_away_is_named(through: Through) -> None:
    gone = Proxy.parse("http://127.0.0.1:9")
    with pytest.raises(Unreachable, match=r"through the proxy 127\.0\.0\.1:9"):
        through(Proxies(gone, gone)).manifest(RemoteReference(FAR, REPOSITORY).at("v1"), ANYBODY)


@pytest.mark.parametrize("host", ["169.254.169.254", "10.0.0.1", "[::ffff:10.0.0.1]"])
def test_an_address_of_the_inside_is_asked_for_by_nobody(through: Through, egress: EgressProxy, host: str) -> None:
    with pytest.raises(UnsafeAddress, match="administrator"):
        through(both(egress)).manifest(RemoteReference(host, REPOSITORY).at("v1"), ANYBODY)
    assert egress.seen == []


@pytest.mark.parametrize(
    ("url", "goes_through"),
    [
        ("https://quay.io/v2/", True),
        ("https://mirror.example.com/", False),
        ("https://a.mirror.example.com/", False),
        ("https://notmirror.example.com/", True),
        ("https://only.below.test/", False),
        ("https://below.test/", True),
        ("https://stars.test/", True),
        ("https://x.stars.test/", False),
        ("https://10.1.2.3/", False),
        ("https://11.1.2.3/", True),
        ("https://192.0.2.7:5000/", False),
        ("https://192.0.2.7/", True),
        ("https://[2001:db8::5]/", False),
        ("http://quay.io:8080/", False),
        ("https://localhost:5000/", False),
        ("http://169.254.169.254/latest/meta-data/", False),
        ("http://metadata.google.internal/computeMetadata/v1/", False),
        ("https://127.0.0.1/", False),
        ("https://registry.tools.svc:5000/", False),
        ("https://registry.tools.svc.cluster.local/", False),
        ("http://quay.io/", True),
        ("http://minio:9000/bucket", False),
        ("http://minio.tools:9000/bucket", True),
        ("https://rooted.test/", False),
        ("https://rooted.test./", False),
        ("https://port.test:5000/", False),
        ("https://port.test/", True),
        ("https://blank.test/", False),
    ],
)
def test_who_goes_without_the_proxy(url: str, goes_through: bool) -> None:
    proxy = Proxy.parse("proxy.test:3128")
    entries = "mirror.example.com, .below.test,*.stars.test,10.0.0.0/8,192.0.2.7:5000,2001:db8::/32,QUAY.IO:8080"
    entries += ",rooted.test., port.test.:5000 blank.test"
    assert (Proxies(proxy, proxy, Proxies.entries(entries)).of(url) is not None) is goes_through


def test_everything_goes_without_it_where_a_star_says_so() -> None:
    proxy = Proxy.parse("http://proxy.test:3128")
    assert Proxies(proxy, proxy, ("*",)).of("https://quay.io/") is None
    assert Proxies(https=proxy).of("http://quay.io/") is None, "each kind of request has its own"


def test_settings_are_read_and_shown_without_credentials(tmp_path: Path) -> None:
    (tmp_path / "username").write_text("cluster")
    (tmp_path / "password").write_text("word-canary\n")
    environment = {HTTPS: "https://proxy.test", HTTP: "http://me:url-canary@proxy.test:3128", NO_PROXY: "a.test,b.test"}
    found = read_proxies(environment)
    assert (found.https, found.direct) == (Proxy("https", "proxy.test", 443), ("a.test", "b.test"))
    assert found.http == Proxy("http", "proxy.test", 3128, "me", "url-canary")
    found = read_proxies({**environment, CREDENTIALS: str(tmp_path)})
    assert found.https == Proxy("https", "proxy.test", 443, "cluster", "word-canary")
    base = {"REGISTRY_DATABASE_URL": "sqlite://"}
    shown = str(Settings.from_environment({**base, **environment, CREDENTIALS: str(tmp_path)}).redacted())
    assert "canary" not in shown
    assert "proxy.test:3128" in shown
    for wrong in ("ftp://x:canary@p", "http://:canary@", "http://p:x", "http://p/canary"):
        with pytest.raises(InvalidSettings, match=HTTPS) as refused:
            read_proxies({HTTPS: wrong})
        assert "canary" not in str(refused.value)
    with pytest.raises(InvalidSettings, match=CREDENTIALS):
        read_proxies({**environment, CREDENTIALS: str(tmp_path / "none")})

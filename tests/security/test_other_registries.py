"""Other registries, asked because a user names them: what they are shown, where they lead, and what is believed."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository
from image_registry.remote.addresses import AddressRules
from image_registry.remote.asking import Access
from image_registry.remote.errors import InvalidReference, Mismatch, RemoteError, Unauthorized, UnsafeAddress
from image_registry.remote.reference import RemoteReference
from image_registry.remote.registry import Registries
from tests.app.conftest import database  # noqa: F401 - fixtures
from tests.app.importing.conftest import STREAM, Importing, importing  # noqa: F401 - fixtures
from tests.app.importing.test_pull_through import Pulling, database_url, pulling  # noqa: F401 - fixtures
from tests.app.remote.conftest import (  # noqa: F401 - fixtures
    REPOSITORY,
    Remote,
    certificates,
    client,
    clock,
    guarded_distribution,
    keyring,
    open_distribution,
    proxy,
)
from tests.app.remote.faulting_proxy import Fault, FaultingProxy
from tests.clients.certificates import Certificates

Make = Callable[..., Registries]
PASSWORD = "canary-password"


def image(host: str, wanted: Digest | str = "v1") -> RemoteReference:
    return RemoteReference(host, REPOSITORY).at(wanted)


@pytest.mark.parametrize(
    "realm",
    ["https://tokens.evil.example/t", "http://127.0.0.1/t", "https://169.254.169.254/t", "https://x@evil.example/t"],
)
def test_no_other_registry_sends_credentials_elsewhere(client: Make, proxy: FaultingProxy, realm: str) -> None:  # noqa: F811
    """Row 5 (distribution CVE-2026-33540): a registry names a realm of somebody else, and is believed."""
    proxy.faults.append(
        Fault("manifests", 401, {"WWW-Authenticate": f'Bearer realm="{realm}",service="x"'}, always=True)
    )
    access = Access(keyring(proxy.host, "mary", PASSWORD))
    with pytest.raises(RemoteError) as refused:
        client().manifest(image(proxy.host), access)
    assert PASSWORD not in str(refused.value)
    assert isinstance(refused.value, Unauthorized | RemoteError)
    assert all("authorization" not in seen.headers for seen in proxy.seen)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:1", "127.8.8.8:1", "localhost:1", "[::1]:1", "169.254.169.254:1", "10.0.0.1:1", "192.168.0.1:1",
        "[fd00::1]:1", "[::ffff:127.0.0.1]:1", "0.0.0.0:1",
    ],
)  # fmt: skip
def test_no_address_of_the_inside_is_asked_for_an_image(client: Make, host: str) -> None:  # noqa: F811
    """Row 16 (Quay CVE-2026-32591): whoever names an image reaches the metadata service and what listens locally."""
    with pytest.raises(UnsafeAddress):
        client(addresses=AddressRules()).manifest(RemoteReference.parse(f"{host}/a/b:c"), Access(insecure=True))


@pytest.mark.parametrize("host", ["2130706433.", "0x7f000001", "0x7f.1", "127.1", "0177.0.0.1", "127.0.0.1."])
def test_an_address_that_is_spelled_strangely_is_no_name(host: str) -> None:
    """Row 16 (Quay CVE-2026-32591): addresses in decimal, octal or short form pass a list of names."""
    with pytest.raises(InvalidReference):
        RemoteReference.parse(f"{host}:1/a/b")


def test_a_second_answer_of_the_dns_changes_nothing(
    client: Make,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Row 16 (Quay CVE-2026-32591): a name is harmless when it is looked at, and 127.0.0.1 when it is connected to."""
    asked: list[str] = []
    connected: list[object] = []

    honest, reach = socket.getaddrinfo, socket.socket.connect

    def resolve(host: str, port: int, *rest: Any, **options: Any) -> Any:
        if host != "rebind.example.com":  # a thread of something else
            return honest(host, port, *rest, **options)
        asked.append(host)
        address = "93.184.216.34" if len(asked) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    def connect(self: socket.socket, place: Any) -> None:
        if threading.current_thread() is not threading.main_thread():
            return reach(self, place)
        connected.append(place)
        raise OSError(111, "Connection refused")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket.socket, "connect", connect)
    with pytest.raises(RemoteError):
        client(addresses=AddressRules()).manifest(RemoteReference.parse("rebind.example.com/a/b"), Access())
    assert connected[0] == ("93.184.216.34", 443)
    assert ("127.0.0.1", 443) not in connected


def test_no_mirror_leads_to_what_its_source_may_not(client: Make, proxy: FaultingProxy) -> None:  # noqa: F811
    """Row 17 (Quay 2026-02 and 2026-07): the tags or the next page of a repository lead to an address of the inside."""
    link = {"Link": '<http://169.254.169.254/v2/x/tags/list?n=1>; rel="next"'}
    proxy.faults.append(Fault("tags/list", 200, link, b'{"tags": ["a"]}'))
    assert "a" in client().tags(image(proxy.host), Access())
    assert [seen.path.partition("?")[0] for seen in proxy.seen] == [f"/v2/{REPOSITORY}/tags/list"] * 2


@pytest.mark.parametrize("address", ["http://169.254.169.254/latest", "https://127.0.0.2:1/x", "https://[::1]:1/x"])
def test_no_redirect_of_another_registry_leads_inside(client: Make, proxy: FaultingProxy, address: str) -> None:  # noqa: F811
    """Row 18 (mirror-registry CVE-2026-2376): a registry redirects to an address that would have been refused."""
    proxy.faults.append(Fault("manifests", 307, {"Location": address}))
    with pytest.raises(RemoteError):
        client(addresses=AddressRules.of(["127.0.0.1/32"])).manifest(image(proxy.host), Access())
    assert len(proxy.seen) == 1


def test_a_pull_through_makes_no_repository(pulling: Pulling) -> None:  # noqa: F811
    """Row 19 (Quay CVE-2025-4374): a pull through a proxy cache makes a repository, and rights in it."""
    for path in ("library/busybox/manifests/latest?ns=docker.io", f"nobody/app/blobs/{pulling.content.blob}"):
        assert pulling.client.get(f"/v2/{path}").status_code == 404
    assert [str(item) for item in pulling.importing.streams.repositories(namespaces=None).items] == [str(STREAM)]
    assert pulling.importing.proxy.seen == []


def test_a_manifest_that_lists_a_strangers_layer_does_not_open_it(pulling: Pulling) -> None:  # noqa: F811
    """Row 9 (zot CVE-2024-39897): somebody imports a manifest with the digest of a private layer, and reads it here."""
    pulling.store.put_blob(Repository("secret", "app"), pulling.content.layer, pulling.content.blob)
    pulling.importing.proxy.faults.append(Fault("/blobs/", 404, always=True))
    assert pulling.blob().status_code == 404


def test_nothing_unverified_of_another_registry_is_kept_or_whole(
    pulling: Pulling,  # noqa: F811
    client: Make,  # noqa: F811
    proxy: FaultingProxy,  # noqa: F811
) -> None:
    """Row 57 (generic): what another registry sends is kept under the digest that was asked for."""
    pulling.importing.proxy.faults.append(Fault("/blobs/", change=True))
    flight = pulling.pull_through.blob(STREAM, pulling.content.blob)
    assert flight is not None
    with pytest.raises(Mismatch):
        for _ in flight.chunks():
            pass
    assert pulling.store.stat(pulling.content.blob) is None
    proxy.faults.append(Fault("manifests", change=True))
    with pytest.raises(Mismatch):
        client().manifest(image(proxy.host, pulling.content.image), Access())


def test_credentials_stay_where_a_redirect_leaves(
    client: Make,  # noqa: F811
    guarded_distribution: Remote,  # noqa: F811
    open_distribution: Remote,  # noqa: F811
    certificates: Certificates,  # noqa: F811
) -> None:
    """Row 58 (spec draft, containerd): our own client carries ``Authorization`` along to where it is sent."""
    blob = open_distribution.content.blob
    with (
        FaultingProxy(open_distribution.host, certificates).running() as elsewhere,
        FaultingProxy(guarded_distribution.host, certificates).running() as first,
    ):
        first.faults.append(Fault("blobs", 401, {"WWW-Authenticate": 'Basic realm="x"'}))
        target = f"https://{elsewhere.host}/v2/{REPOSITORY}/blobs/{blob}"
        first.faults.append(Fault("blobs", 307, {"Location": target}))
        with client().blob(image(first.host, blob), Access(guarded_distribution.keyring(first.host))) as parts:
            assert b"".join(parts) == open_distribution.content.layer
        assert elsewhere.seen
        assert all("authorization" not in seen.headers for seen in elsewhere.seen)

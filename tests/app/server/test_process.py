"""Where a process listens."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from image_registry.server.peer import PeerMiddleware
from image_registry.server.process import Profile, _Server, listening_address


def test_an_address_that_somebody_chose_is_taken_as_it_is() -> None:
    assert listening_address("127.0.0.1:5000") == "127.0.0.1:5000"
    assert listening_address("[::1]:5000") == "[::1]:5000"


def test_without_ipv6_every_address_means_every_ipv4_address(monkeypatch: pytest.MonkeyPatch) -> None:
    class NoIPv6(socket.socket):
        def __init__(self, *_: Any) -> None:
            raise OSError(97, "Address family not supported by protocol")

    monkeypatch.setattr(socket, "socket", NoIPv6)
    assert listening_address("[::]:8443") == "0.0.0.0:8443"


def test_every_address_takes_ipv4_callers_too() -> None:
    address = listening_address("[::]:8443")
    if not address.startswith("["):
        assert address == "0.0.0.0:8443"
        return
    with socket.socket(socket.AF_INET6) as server:
        server.bind(("::", 0))
        server.listen(1)
        with socket.create_connection(("127.0.0.1", server.getsockname()[1]), timeout=5):
            connection, (peer, *_) = server.accept()
            connection.close()
    assert peer == "::ffff:127.0.0.1"


@pytest.mark.parametrize(
    ("seen", "told"), [("::ffff:192.0.2.7", "192.0.2.7"), ("192.0.2.7", "192.0.2.7"), ("2001:db8::7", "2001:db8::7")]
)
def test_a_caller_has_one_address_whatever_socket_it_came_by(seen: str, told: str) -> None:
    environ: dict[str, Any] = {"REMOTE_ADDR": seen}
    PeerMiddleware(lambda _environ, _start: [])(environ, lambda *_: None)
    assert environ["REMOTE_ADDR"] == told


def test_the_largest_headers_are_settings() -> None:
    profile = Profile(
        name="x", bind="127.0.0.1:0", workers=1, threads=1, build=lambda: _nothing, max_headers=7, max_header_bytes=70
    )
    configured = _Server(profile).cfg
    assert (configured.limit_request_fields, configured.limit_request_field_size) == (7, 70)


def _nothing(_environ: dict[str, Any], _start: Callable[..., Any]) -> Iterable[bytes]:
    return []

"""Whom connections to other registries believe, and when it is read what the system believes."""

from __future__ import annotations

import ssl

import pytest

from image_registry.proxies import Proxy
from image_registry.remote.addresses import AddressRules
from image_registry.remote.pools import Pools

RULES = AddressRules.of(["0.0.0.0/0"])


def context(pools: Pools, **options: bool) -> ssl.SSLContext:
    found = pools.of(None, **options).connection_pool_kw["ssl_context"]
    assert isinstance(found, ssl.SSLContext)
    return found


def test_what_the_system_trusts_is_read_for_who_has_to_prove_something(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[ssl.SSLContext] = []
    make = ssl.create_default_context

    def noted() -> ssl.SSLContext:
        read.append(make())
        return read[-1]

    monkeypatch.setattr(ssl, "create_default_context", noted)
    pools = Pools(RULES, "", {})
    assert context(pools, insecure=True).verify_mode is ssl.CERT_NONE
    assert not read
    trusting = context(pools, insecure=False)
    assert trusting.verify_mode is ssl.CERT_REQUIRED
    assert trusting.check_hostname
    assert pools.of(None, insecure=False) is pools.of(None, insecure=False)
    assert read == [trusting]


def test_a_proxy_has_to_prove_itself_also_where_the_registry_need_not() -> None:
    found = Pools(RULES, "", {}).of(Proxy.parse("https://proxy.example.com:3128"), insecure=True)
    to_proxy = found.connection_pool_kw["_proxy_config"].ssl_context
    assert to_proxy.verify_mode is ssl.CERT_REQUIRED
    assert found.connection_pool_kw["ssl_context"].verify_mode is ssl.CERT_NONE


def test_authorities_that_are_no_certificates_are_refused_before_anything_is_asked() -> None:
    with pytest.raises(ssl.SSLError):
        Pools(RULES, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", {})

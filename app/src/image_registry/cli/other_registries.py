"""How commands reach registries: as the person who typed them, with their logins, proxies and trusted CAs.

The person names every host, so every address may be asked; it is the serving processes that must not believe names.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from image_registry.cli import given_files
from image_registry.cli.auth_file import keyring, registry_config_option
from image_registry.cli.failures import Wrong
from image_registry.cli.switches import switch
from image_registry.proxies import Proxies, Proxy
from image_registry.remote.addresses import AddressRules
from image_registry.remote.asking import Access
from image_registry.remote.registry import Registries
from image_registry.remote.sources import SourceRules
from image_registry.remote.wire import READ, Wire

F = TypeVar("F", bound=Callable[..., Any])

EVERYWHERE = ("0.0.0.0/0", "::/0")


def trust_options(command: F) -> F:
    """``--insecure`` and ``--certificate-authority``."""
    command = click.option(
        "--certificate-authority", type=click.Path(path_type=Path, dir_okay=False, exists=True), default=None,
        help="File with CAs (PEM) that are trusted beside those of the system.",
    )(command)  # fmt: skip
    return switch(
        "--insecure", default=False, help_="Let plain HTTP and certificates that nobody trusts do, for every registry."
    )(command)


def registry_options(command: F) -> F:
    """Logins and trust."""
    return registry_config_option(trust_options(command))


def wire(
    authority: Path | None, environment: Mapping[str, str] = os.environ, *, more: str = "", read: float = READ
) -> Wire:
    """Connections to anybody, trusting ``more`` CAs, too. Raises :class:`Wrong` for what is no proxy or no CA."""
    text = given_files.authorities(authority) + more
    try:
        return Wire(AddressRules.of(EVERYWHERE), authorities=text, proxies=proxies(environment), read=read)
    except (ValueError, ssl.SSLError):
        raise Wrong("the CA of the cluster is none in PEM; name another one by --certificate-authority") from None


def registries(options: Mapping[str, Any]) -> tuple[Registries, Access]:
    """A client, and with what it asks, of :func:`registry_options`."""
    asking = Access(keyring(options["registry_config"]), insecure=options["insecure"])
    return Registries(wire(options["certificate_authority"]), SourceRules()), asking


def proxies(environment: Mapping[str, str]) -> Proxies:
    """Those of ``HTTP_PROXY``, ``HTTPS_PROXY`` and ``NO_PROXY``, in capitals or not."""
    return Proxies(
        _proxy(environment, "HTTP_PROXY"),
        _proxy(environment, "HTTPS_PROXY"),
        Proxies.entries(_either(environment, "NO_PROXY")),
    )


def _either(environment: Mapping[str, str], name: str) -> str:
    return environment.get(name.lower()) or environment.get(name) or ""


def _proxy(environment: Mapping[str, str], name: str) -> Proxy | None:
    text = _either(environment, name)
    try:
        return Proxy.parse(text) if text else None
    except ValueError as error:
        raise Wrong(f"${name} {error}") from None

"""Where the registry itself is, for commands that ask it and not the Image API: its address, whom to trust, as whom."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click
import urllib3
from urllib3.exceptions import HTTPError, SSLError

from image_registry import __version__
from image_registry.cli import given_files
from image_registry.cli.connection import Place, connect
from image_registry.cli.failures import Failed, NotThere, RightsError, Unreachable, Wrong
from image_registry.cli.hosts import CA, authority, reached
from image_registry.cli.inside import SYSTEM, is_internal
from image_registry.cli.switches import switch
from image_registry.kube.client import ClusterClient

F = TypeVar("F", bound=Callable[..., Any])

CONNECT, TIMEOUT = 5.0, 60.0
"""Seconds to wait for a connection, and for an answer."""


def registry_options(command: F) -> F:
    """``--registry-url``, ``--certificate-authority``, ``--insecure`` and ``--token-file``."""
    for option in (
        click.option(
            "--token-file",
            type=click.Path(path_type=Path, dir_okay=False, exists=True),
            default=None,
            help="Whose token is sent; else that of the kubeconfig or of the Pod.",
        ),
        switch("--insecure", default=False, help_="Do not check the certificate of the registry."),
        click.option(
            "--certificate-authority",
            type=click.Path(path_type=Path, dir_okay=False, exists=True),
            default=None,
            help=f"CA of the registry; else the ConfigMap {CA}, if it can be read, and what the system trusts.",
        ),
        click.option(
            "--registry-url",
            default="",
            metavar="URL",
            help="Address of the registry; else its Service in a Pod, its public host elsewhere.",
        ),
    ):
        command = option(command)
    return command


class Refused(Failed):
    """The registry says no; ``detail`` is what it says besides."""

    def __init__(self, message: str, detail: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Door:
    """The registry at one address. Methods raise what :mod:`~image_registry.cli.failures` has."""

    url: str
    pool: urllib3.PoolManager
    token: str

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The object that the registry answers."""
        headers = {"Accept": "application/json", "User-Agent": f"ac/{__version__}"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            answer = self.pool.request(
                method,
                self.url + path,
                body=None if body is None else json.dumps(body).encode(),
                headers=headers,
                timeout=urllib3.Timeout(connect=CONNECT, read=TIMEOUT),
                retries=urllib3.Retry(total=0, redirect=False, raise_on_status=False),
                redirect=False,
            )
        except HTTPError as error:
            raise Unreachable(f"the registry at {self.url} does not answer: {_why(error)}") from None
        found = _object(answer.data)
        if answer.status < 300 and found is not None:
            return found
        errors = (found or {}).get("errors")
        first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
        message = str(first.get("message") or f"{method} {path} was answered with status {answer.status}")
        if answer.status >= 500 or (answer.status == 404 and not first):
            raise Unreachable(f"the registry at {self.url} cannot do it now, or is none: {message}")
        refusal = f"the registry at {self.url} refused: {message}"
        kinds: dict[int, type[click.ClickException]] = {400: Wrong, 401: RightsError, 403: RightsError, 404: NotThere}
        if (kind := kinds.get(answer.status)) is not None:
            raise kind(refusal)
        detail = first.get("detail")
        raise Refused(refusal, detail if isinstance(detail, dict) else {})


def open_door(options: Mapping[str, Any]) -> Door:
    """The registry that ``options`` of :func:`registry_options` and ``cluster_options`` name."""
    url, token_file = options["registry_url"], options["token_file"]
    client = None if url and token_file else connect(options["kubeconfig"], options["context"])
    token = given_files.token(token_file) if token_file else _token(client)
    url = _url(url or _find(client))
    return Door(url, _pool(client, options["certificate_authority"], insecure=options["insecure"]), token)


def _token(client: ClusterClient | None) -> str:
    found = client.token() if client is not None else ""
    if not found:
        raise RightsError(
            "this user of the kubeconfig has no token, and a registry knows no client certificates: name a file with "
            "one by --token-file (`kubectl create token` makes one), or use a kubeconfig with a token"
        )
    return found


def _find(client: ClusterClient | None) -> str:
    if client is None:
        raise Wrong("no cluster and no --registry-url")
    host = reached(Place(client, client.namespace))
    if is_internal(host) and not client.in_pod:
        raise Unreachable(
            "where is the registry? It has no public host, and this is no Pod: name it by --registry-url, for example "
            f"after `kubectl -n {SYSTEM} port-forward service/image-registry 5000` as https://localhost:5000"
        )
    return host


def _url(text: str) -> str:
    url = text.rstrip("/") if "://" in text else f"https://{text.rstrip('/')}"
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path or parts.query:
        raise click.BadParameter(f"{text!r}: write https://HOST[:PORT]", param_hint="--registry-url")
    if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        raise click.BadParameter(
            "a token is not sent over a connection that everybody can read: write https://", param_hint="--registry-url"
        )
    return url


def _pool(client: ClusterClient | None, ca: Path | None, *, insecure: bool) -> urllib3.PoolManager:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if insecure:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return urllib3.PoolManager(ssl_context=context, assert_hostname=False, cert_reqs=ssl.CERT_NONE)
    bundle = given_files.authorities(ca) or (authority(client) if client is not None else "")
    try:
        if bundle:
            context.load_verify_locations(cadata=bundle)
    except (ValueError, ssl.SSLError) as error:
        raise Unreachable(f"the CA in the ConfigMap {CA} cannot be used: {error}") from None
    return urllib3.PoolManager(ssl_context=context)


def _why(error: HTTPError) -> str:
    reason = getattr(error, "reason", None)
    if isinstance(error, SSLError) or isinstance(reason, SSLError):
        return f"its certificate is not trusted ({reason or error}); name its CA by --certificate-authority"
    return str(reason or error)


def _object(content: bytes) -> dict[str, Any] | None:
    if not content:
        return {}
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None

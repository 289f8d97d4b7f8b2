"""Who calls: from the front proxy's headers, from a bearer token, or nobody (parity reference 2.2; design, D6).

The kube-apiserver authenticates users and tells us in headers, over a connection that it opens with a client
certificate of its own. Anybody can send such headers; only that certificate makes them true. Without it they are not
looked at, as if they had not been sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote_to_bytes

from image_registry.auth.credentials import Bearer, parse_authorization
from image_registry.auth.identity import ANONYMOUS, AuthenticationUnavailable, Identity, InvalidCredentials
from image_registry.image_api.parts import Parts
from image_registry.image_api.status import BadRequest, ServiceUnavailable, Unauthorized
from image_registry.kube.front_proxy import FrontProxyTrust

PEER_SUBJECT = "image_registry.peer_subject"
"""WSGI key: common name of the client certificate that TLS has verified, or ``None``."""

REMOTE_HEADERS = "image_registry.remote_headers"
"""WSGI key: raw ``(name, value)`` pairs. WSGI itself joins repeated headers, so a group with a comma would be two."""

Headers = Sequence[tuple[str, str]]


def identify(environ: Mapping[str, Any], parts: Parts) -> Identity:
    """The caller of this request. Raises :class:`Unauthorized`, :class:`BadRequest`, :class:`ServiceUnavailable`."""
    trust = parts.front_proxy()
    subject = environ.get(PEER_SUBJECT)
    if trust is not None and trust.allows(subject):
        proxied = from_headers(environ.get(REMOTE_HEADERS, ()), trust)
        if proxied is not None:
            return proxied
    if any(key.startswith("HTTP_IMPERSONATE_") for key in environ):
        # passed over, it would be done with all the rights that the caller wanted to be without
        raise BadRequest(
            "only the Kubernetes API server lets a user act as another one (Impersonate-User): send the request there"
        )
    return _from_token(environ.get("HTTP_AUTHORIZATION"), parts)


def from_headers(headers: Headers, trust: FrontProxyTrust) -> Identity | None:
    """Read the headers of a *verified* front proxy; ``None`` if they name nobody.

    Extra keys are lower-cased and then percent-decoded, as their sender encodes them.
    """
    username = next(_values(headers, trust.username_headers), "")
    if not username:
        return None
    extra: dict[str, tuple[str, ...]] = {}
    for prefix in trust.extra_header_prefixes:
        for name, value in headers:
            if name.lower().startswith(prefix.lower()):
                key = _extra_key(name[len(prefix) :])
                extra[key] = (*extra.get(key, ()), _text(value))
    return Identity(
        username,
        uid=next(_values(headers, trust.uid_headers), ""),
        groups=tuple(_values(headers, trust.group_headers)),
        extra=extra,
    )


def _from_token(authorization: str | None, parts: Parts) -> Identity:
    try:
        credentials = parse_authorization(authorization)
        if credentials is None:
            return ANONYMOUS
        if isinstance(credentials, Bearer) and parts.authenticator is not None:
            return parts.authenticator.authenticate_token(credentials.token)
    except InvalidCredentials as error:
        raise Unauthorized(f"Unauthorized: {error}") from None
    except AuthenticationUnavailable as error:
        raise ServiceUnavailable(f"nobody can check credentials right now: {error}", retry_after=5) from error
    raise Unauthorized("Unauthorized: use the Kubernetes API server, or a bearer token that it accepts")


def _values(headers: Headers, names: Iterable[str]) -> Iterator[str]:
    """Every value that is not empty, in the order of ``names`` first."""
    for wanted in names:
        for name, value in headers:
            if name.lower() == wanted.lower() and value:
                yield _text(value)


def _extra_key(encoded: str) -> str:
    key = unquote_to_bytes(encoded.lower())
    try:
        return key.decode("utf-8")
    except UnicodeDecodeError:
        return encoded.lower()


def _text(value: str) -> str:
    """HTTP servers read header bytes as Latin-1; the kube-apiserver writes names in UTF-8."""
    try:
        return value.encode("latin-1").decode("utf-8")
    except (UnicodeEncodeError, UnicodeDecodeError):
        return value

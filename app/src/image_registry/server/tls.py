"""TLS contexts that follow their files.

Certificates rotate while traffic flows (design, D10): kubelet swaps the files of a mounted Secret, and the next
handshake uses the new ones. gunicorn asks for a context per connection, so the answer must be cheap: it is built again
only when a file has changed, looked at once a second at most.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import structlog
from cryptography import x509

from image_registry.server.refusals import InvalidSettings
from image_registry.server.worker import PatientTLSSocket

CHECK_INTERVAL = 1.0
"""Seconds between two looks at the files."""


CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2: keys of their own for each connection, and no encryption apart from its check. TLS 1.3 has no others."""


class ReloadingContext:
    """A server-side TLS context (TLS 1.2 or newer) rebuilt when certificate, key or client CA change.

    ``client_ca`` returns the PEM text of the CAs whose client certificates are verified, or an empty text; certificates
    are optional for the client, but one that is sent must verify.
    """

    def __init__(self, certificate: Path, key: Path, client_ca: Callable[[], str] | None = None) -> None:
        self._certificate = certificate
        self._key = key
        self._client_ca = client_ca
        self._lock = threading.Lock()
        self._checked = 0.0
        self._built_from: tuple[object, ...] = ()
        self._refused: tuple[object, ...] = ()
        self._context: ssl.SSLContext | None = None

    def __call__(self) -> ssl.SSLContext:
        """The current context. A half-written pair of files keeps the previous context in use."""
        now = time.monotonic()
        context = self._context
        if context is not None and now - self._checked < CHECK_INTERVAL:
            return context
        with self._lock:
            if self._context is not None and now - self._checked < CHECK_INTERVAL:
                return self._context
            source = (*(_stamp(path) for path in (self._certificate, self._key)), self._ca())
            if self._context is None or source != self._built_from:
                try:
                    self._context = self._build(str(source[-1]))
                    self._built_from = source
                except (OSError, ssl.SSLError) as error:
                    if self._context is None:
                        raise
                    self._say(source, error)
            self._checked = now
            return self._context

    def _say(self, source: tuple[object, ...], error: OSError) -> None:
        """Once for each state of the files: what is served now will end one day, and nobody would know why."""
        if source != self._refused:
            self._refused = source
            structlog.get_logger().warning(
                "changed TLS files are not used, the ones before them stay in use: see that certificate and key belong "
                "together and are whole",
                certificate=str(self._certificate),
                reason=str(error),
            )

    def _say_if_out_of_date(self) -> None:
        """It is served all the same: some clients do not look, and nobody is helped by no answer at all."""
        leaf, now = x509.load_pem_x509_certificate(self._certificate.read_bytes()), datetime.now(UTC)
        if not leaf.not_valid_before_utc <= now < leaf.not_valid_after_utc:
            structlog.get_logger().warning(
                "clients refuse the certificate because of its dates: renew it, or set the clock",
                certificate=str(self._certificate),
                valid=f"{leaf.not_valid_before_utc:%Y-%m-%dT%H:%MZ} to {leaf.not_valid_after_utc:%Y-%m-%dT%H:%MZ}",
            )

    def _ca(self) -> str:
        return self._client_ca() if self._client_ca else ""

    def _build(self, client_ca: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(CIPHERS)
        context.sslsocket_class = PatientTLSSocket
        context.load_cert_chain(self._certificate, self._key)
        self._say_if_out_of_date()
        if client_ca:
            context.load_verify_locations(cadata=client_ca)
            context.verify_mode = ssl.CERT_OPTIONAL
        return context


def require_pair(certificate: Path, key: Path) -> None:
    """Raise :class:`InvalidSettings` for files that no handshake can be served with: not every client says why."""
    try:
        ReloadingContext(certificate, key)()
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        why = getattr(error, "strerror", None) or str(error)
        raise InvalidSettings(
            f"the certificate {certificate} and the key {key} cannot be used: {why}; see that both are PEM, whole, and "
            "belong together"
        ) from None


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None  # building the context says why
    return status.st_mtime_ns, status.st_ino, status.st_size

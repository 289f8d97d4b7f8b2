"""HTTP to the lab's API server as no client shows it: every status, header and byte of an answer."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; header names in lower case, a repeated header as several pairs."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str:
        """The values of one header, joined; empty if it is missing."""
        return ", ".join(value for key, value in self.headers if key == name)

    def json(self) -> Any:
        """The decoded body; ``None`` if it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


class RawApi:
    """One administrator's requests, one connection for each."""

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        settings = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
        cluster, user = settings["clusters"][0]["cluster"], settings["users"][0]["user"]
        self._address = urlsplit(cluster["server"])
        self._trust = ssl.create_default_context(cadata=_decoded(cluster["certificate-authority-data"]))
        pair = folder / "administrator.pem"
        pair.touch(mode=0o600)
        pair.write_text(_decoded(user["client-certificate-data"]) + _decoded(user["client-key-data"]), encoding="ascii")
        self._trust.load_cert_chain(pair)

    def __call__(
        self, method: str, path: str, body: bytes | dict[str, Any] | None = None, *, timeout: float = 20, **headers: str
    ) -> Answer:
        """Send a request; ``Content_Type="…"`` names a header."""
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if data is not None:
            sent.setdefault("Content-Type", JSON)
        connection = self._connection(timeout)
        try:
            connection.request(method, path, data, sent)
            response = connection.getresponse()
            pairs = tuple((name.lower(), value) for name, value in response.getheaders())
            return Answer(response.status, pairs, response.read())
        finally:
            connection.close()

    def lines(self, path: str, *, timeout: float = 30) -> Iterator[bytes]:
        """The lines of an answer as they come; nothing if it is not 200."""
        connection = self._connection(timeout)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            if response.status == 200:
                yield from response
        finally:
            connection.close()

    def _connection(self, timeout: float) -> http.client.HTTPSConnection:
        assert self._address.hostname
        return http.client.HTTPSConnection(
            self._address.hostname, self._address.port, context=self._trust, timeout=timeout
        )


def _decoded(text: str) -> str:
    return base64.b64decode(text).decode("ascii")

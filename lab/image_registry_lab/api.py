"""Questions to the lab's API server, as its administrator; starting kubectl for each of them would take longer."""

from __future__ import annotations

import http.client
import json
import ssl
from pathlib import Path
from typing import Any

from image_registry_lab import addresses
from image_registry_lab.report import LabError


class Api:
    """Reads and deletes by path. Only ever the lab's own server, by keys that only it accepts."""

    def __init__(self, keys: Path) -> None:
        self._keys = keys

    def ready(self) -> bool:
        """Whether the server says so, every check of its start included."""
        try:
            return self._request("GET", "/readyz")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def get(self, path: str) -> dict[str, Any] | None:
        """An object, or None if there is none. Raises :class:`LabError`."""
        return self._object("GET", path)

    def items(self, path: str) -> list[dict[str, Any]]:
        """The members of a list."""
        found = self.get(path) or {}
        return list(found.get("items") or [])

    def delete(self, path: str) -> None:
        """Delete an object; it may be gone already."""
        self._object("DELETE", path)

    def _object(self, method: str, path: str) -> dict[str, Any] | None:
        try:
            status, body = self._request(method, path)
        except (OSError, http.client.HTTPException) as error:
            raise LabError(f"the API server does not answer at {addresses.LOCAL_API}: {error}") from None
        if status == 404:
            return None
        if status >= 300:
            raise LabError(f"{method} {path}: {status} {body[:300].decode(errors='replace')}")
        found = json.loads(body)
        return found if isinstance(found, dict) else None

    def _request(self, method: str, path: str) -> tuple[int, bytes]:
        context = ssl.create_default_context(cafile=str(self._keys / "ca.crt"))
        context.load_cert_chain(self._keys / "admin.crt", self._keys / "admin.key")
        connection = http.client.HTTPSConnection("127.0.0.1", addresses.API_PORT, timeout=10, context=context)
        try:
            connection.request(method, path, headers={"Accept": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

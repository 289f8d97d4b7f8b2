"""How we log in to OpenStack Swift: by Keystone, or in Swift's own older way."""

from __future__ import annotations

import json
import threading
from typing import Any

import urllib3
from urllib3.exceptions import HTTPError

from image_registry.storage.blob_store import StorageFault
from image_registry.storage.choice import Swift
from image_registry.storage.proxied_pools import Pools


class Access:
    """The address of the account and a token for it, from Keystone or from Swift's own authentication."""

    def __init__(self, http: Pools, settings: Swift) -> None:
        self._http = http
        self._settings = settings
        self._lock = threading.Lock()
        self._found: tuple[str, str] | None = None

    def get(self) -> tuple[str, str]:
        """Address and token; asks for them once."""
        with self._lock:
            if self._found is None:
                version = self._settings.authversion or ("3" if "/v3" in self._settings.authurl else "1")
                self._found = self._keystone() if version == "3" else self._own()
            return self._found

    def forget(self, token: str) -> None:
        """The token is not accepted any more."""
        with self._lock:
            if self._found is not None and self._found[1] == token:
                self._found = None

    def _own(self) -> tuple[str, str]:
        user = (
            f"{self._settings.tenant}:{self._settings.username}" if self._settings.tenant else self._settings.username
        )
        headers = {"X-Auth-User": user, "X-Auth-Key": self._settings.password}
        answer = self._asked("GET", self._settings.authurl, headers=headers)
        return answer.headers["X-Storage-Url"].rstrip("/"), answer.headers["X-Auth-Token"]

    def _keystone(self) -> tuple[str, str]:
        body = json.dumps({"auth": identity(self._settings)}).encode()
        address = f"{self._settings.authurl.rstrip('/')}/auth/tokens"
        answer = self._asked("POST", address, headers={"Content-Type": "application/json"}, body=body)
        catalog = json.loads(answer.data).get("token", {}).get("catalog", [])
        for service in catalog:
            for endpoint in service.get("endpoints", []):
                here = not self._settings.region or endpoint.get("region") == self._settings.region
                if service.get("type") == "object-store" and endpoint.get("interface") == "public" and here:
                    return str(endpoint["url"]).rstrip("/"), answer.headers["X-Subject-Token"]
        raise StorageFault(f"Keystone at {address} names no object-store: check REGISTRY_STORAGE_SWIFT_REGION")

    def _asked(self, method: str, address: str, **options: Any) -> urllib3.BaseHTTPResponse:
        try:
            answer = self._http.request(method, address, **options)
        except HTTPError as error:
            raise StorageFault(f"cannot log in to Swift at {address}: {error}") from error
        if answer.status >= 400:
            raise StorageFault(
                f"cannot log in to Swift at {address}: {answer.status}; check user, password and project"
            )
        return answer


def identity(settings: Swift) -> dict[str, Any]:
    """What Keystone's third version wants to know of who logs in."""
    if settings.applicationcredentialid:
        credential = {"id": settings.applicationcredentialid, "secret": settings.applicationcredentialsecret}
        return {"identity": {"methods": ["application_credential"], "application_credential": credential}}
    domain = {"id": settings.domainid} if settings.domainid else {"name": settings.domain or "Default"}
    user = {"name": settings.username, "password": settings.password, "domain": domain}
    found: dict[str, Any] = {"identity": {"methods": ["password"], "password": {"user": user}}}
    if settings.tenantid:
        found["scope"] = {"project": {"id": settings.tenantid}}
    elif settings.tenant:
        found["scope"] = {"project": {"name": settings.tenant, "domain": domain}}
    return found

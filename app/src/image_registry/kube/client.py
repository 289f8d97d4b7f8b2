"""A small client of the Kubernetes API: JSON over pooled TLS connections.

The official package costs 120 MB on disk and half a second and 50 MiB in every worker; the serving processes ask four
kinds of questions. Answers are plain dictionaries.
"""

from __future__ import annotations

import json
import os
import ssl
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, urlencode

import urllib3
from urllib3.exceptions import (
    HTTPError,
)

from image_registry import __version__
from image_registry.kube import endpoint as endpoints
from image_registry.kube.endpoint import Endpoint
from image_registry.kube.errors import ClusterUnreachable, KubeconfigError, KubeError
from image_registry.kube.explaining import refusal, unreachable

__all__ = ["ClusterClient", "ClusterUnreachable", "KubeError", "KubeconfigError", "object_path"]

CONNECT_TIMEOUT = 3.0
"""Seconds to wait for a connection."""

TIMEOUT = 10.0
"""Seconds to wait for an answer, unless the caller says otherwise."""

LONGEST_LINE = 4 << 20
"""Bytes of one object of a watch; etcd keeps none that is larger."""

POOL_SIZE = 16
"""Idle connections kept per process."""

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]

# Only reads are sent again. A create that got no answer may have happened; its caller knows whether that matters.
_READ_AGAIN = urllib3.Retry(
    total=2, allowed_methods=["GET"], status_forcelist=[429, 502, 503, 504], backoff_factor=0.2, backoff_max=2,
    redirect=False, raise_on_status=False, respect_retry_after_header=False,
)  # fmt: skip
# A review changes nothing, so it may follow a connection that the API server has just closed.
_ASK_AGAIN = _READ_AGAIN.new(total=1, allowed_methods=["POST"], status_forcelist=[])
_ONCE = urllib3.Retry(total=0, redirect=False, raise_on_status=False)


class ClusterClient:
    """Thread-safe. Makes its connections when first used, so it must be built after a fork, not before."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._lock = threading.Lock()
        self._pool: urllib3.PoolManager | None = None
        self._pool_files: object = None
        self._token: tuple[object, str] = (None, "")

    @classmethod
    def from_pod(cls, environment: Mapping[str, str] = os.environ) -> ClusterClient:
        """As the service account of the Pod we run in. Raises :class:`KubeconfigError` outside of one."""
        return cls(endpoints.from_pod(environment))

    @classmethod
    def from_kubeconfig(cls, path: Path, context: str | None = None) -> ClusterClient:
        """As a kubeconfig says that was named by a person. Raises :class:`KubeconfigError`."""
        return cls(endpoints.from_kubeconfig(path, context))

    def apart(self) -> ClusterClient:
        """The same with connections of its own, for what keeps many of them busy."""
        return ClusterClient(self._endpoint)

    @property
    def server(self) -> str:
        """The address of the API server."""
        return self._endpoint.server

    @property
    def namespace(self) -> str:
        """Where its user works; ``default`` if nobody says otherwise."""
        return self._endpoint.namespace or "default"

    @property
    def in_pod(self) -> bool:
        """Whether we speak from inside of the cluster."""
        return self._endpoint.in_pod

    def token(self) -> str:
        """The bearer token we are known by; empty if it is something else. Raises :class:`KubeconfigError`."""
        kind, _, token = self._credentials().get("Authorization", "").partition(" ")
        return token if kind == "Bearer" else ""

    @property
    def _where(self) -> str:
        """For messages: the address, and who named it."""
        return f"{self._endpoint.server} (from {self._endpoint.source})"

    def request(
        self,
        method: Method,
        path: str,
        body: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        timeout: float = TIMEOUT,
        repeatable: bool = False,
    ) -> dict[str, Any]:
        """Send one request and return the object; ``timeout`` in seconds, ``repeatable`` for a POST without effect.

        Raises :class:`KubeError` for an answer that is an error and :class:`ClusterUnreachable` for none.
        """
        headers = self._headers(accept)
        if body is not None:
            headers["Content-Type"] = content_type
        again = _READ_AGAIN if method == "GET" else _ASK_AGAIN if repeatable else _ONCE
        try:
            answer = self._connections().request(
                method,
                self._endpoint.server + path + (f"?{urlencode(query)}" if query else ""),
                body=None if body is None else json.dumps(body).encode(),
                headers=headers,
                timeout=urllib3.Timeout(connect=min(CONNECT_TIMEOUT, timeout), read=timeout),
                retries=again,
                redirect=False,
            )
        except HTTPError as error:
            raise ClusterUnreachable(unreachable(self._where, error)) from None
        document = _object(answer.data or b"{}")
        if answer.status < HTTPStatus.MULTIPLE_CHOICES and document is not None:
            return document
        raise refusal(self._where, answer.status, document, f"{method} {path}")

    def stream(
        self,
        path: str,
        *,
        query: Mapping[str, str],
        accept: str,
        silence: float,
        opened: Callable[[], None] = lambda: None,
    ) -> Iterator[dict[str, Any]]:
        """The objects that a watch sends until the API server ends it; ``opened`` is called when it begins.

        ``silence`` is the longest wait for the next one, in seconds. Raises as :meth:`request` does.
        """
        try:
            answer = self._connections().request(
                "GET",
                f"{self._endpoint.server}{path}?{urlencode(query)}",
                headers=self._headers(accept),
                timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT, read=silence),
                retries=_ONCE,
                redirect=False,
                preload_content=False,
            )
            try:
                if answer.status != HTTPStatus.OK:
                    raise refusal(self._where, answer.status, _object(answer.read(LONGEST_LINE)), f"GET {path}")
                opened()
                yield from _lines(answer)
            finally:
                answer.close()
        except HTTPError as error:
            raise ClusterUnreachable(unreachable(self._where, error)) from None

    def get(self, path: str, **options: Any) -> dict[str, Any]:
        """Read an object or a list."""
        return self.request("GET", path, **options)

    def find(self, path: str, **options: Any) -> dict[str, Any] | None:
        """Read an object; ``None`` if it does not exist."""
        try:
            return self.request("GET", path, **options)
        except KubeError as error:
            if error.not_found:
                return None
            raise

    def create(self, path: str, body: Mapping[str, Any], **options: Any) -> dict[str, Any]:
        """Create an object in the collection at ``path``."""
        return self.request("POST", path, body, **options)

    def replace(self, path: str, body: Mapping[str, Any], **options: Any) -> dict[str, Any]:
        """Write an object; with a ``resourceVersion`` in it, only if nobody else has written since."""
        return self.request("PUT", path, body, **options)

    def merge(self, path: str, body: Mapping[str, Any], **options: Any) -> dict[str, Any]:
        """JSON merge patch (RFC 7386)."""
        return self.request("PATCH", path, body, content_type="application/merge-patch+json", **options)

    def json_patch(self, path: str, steps: Sequence[Mapping[str, Any]], **options: Any) -> dict[str, Any]:
        """JSON patch (RFC 6902): all of its steps, or none."""
        return self.request("PATCH", path, steps, content_type="application/json-patch+json", **options)

    def strategic_merge(self, path: str, body: Mapping[str, Any], *, owner: str, **options: Any) -> dict[str, Any]:
        """Strategic merge patch: entries of lists are found by their merge keys, the others stay."""
        content_type = "application/strategic-merge-patch+json"
        query = {"fieldManager": owner}
        return self.request("PATCH", path, body, query=query, content_type=content_type, **options)

    def apply(self, path: str, body: Mapping[str, Any], *, owner: str, **options: Any) -> dict[str, Any]:
        """Server-side apply: these fields belong to ``owner`` from now on."""
        query = {"fieldManager": owner, "force": "true"}
        return self.request("PATCH", path, body, query=query, content_type="application/apply-patch+yaml", **options)

    def delete(self, path: str, **options: Any) -> dict[str, Any]:
        """Delete an object."""
        return self.request("DELETE", path, **options)

    def _connections(self) -> urllib3.PoolManager:
        files = self._endpoint.files()
        with self._lock:
            if self._pool is None or files != self._pool_files:
                options: dict[str, Any] = {}
                if self._endpoint.server_name:
                    options["server_hostname"] = options["assert_hostname"] = self._endpoint.server_name
                if not self._endpoint.verify:
                    options["assert_hostname"] = False
                    options["cert_reqs"] = ssl.CERT_NONE
                    urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
                self._pool = urllib3.PoolManager(
                    num_pools=1, maxsize=POOL_SIZE, ssl_context=self._endpoint.context(), **options
                )
                self._pool_files = files
            return self._pool

    def _headers(self, accept: str) -> dict[str, str]:
        headers = {"Accept": accept, "User-Agent": f"image-registry/{__version__}", **self._credentials()}
        if request_id := _request_id():
            headers["Audit-ID"] = request_id  # the cluster's audit log then tells for which request we ask
        return headers

    def _credentials(self) -> dict[str, str]:
        found = self._endpoint
        if found.token_file is not None:
            changed = endpoints.stamp(found.token_file)
            with self._lock:
                if changed is None or changed != self._token[0]:
                    try:
                        self._token = (changed, found.token_file.read_text(encoding="ascii").strip())
                    except (OSError, UnicodeDecodeError):
                        raise KubeconfigError(f"cannot read the token {found.token_file} of {found.source}") from None
                return {"Authorization": f"Bearer {self._token[1]}"}
        if found.token:
            return {"Authorization": f"Bearer {found.token}"}
        if found.username:
            return urllib3.make_headers(basic_auth=f"{found.username}:{found.password}")
        return {}


def _request_id() -> str:
    """Of the request that we ask for, if there is one: who never loaded what binds it has bound none."""
    bound = sys.modules.get("structlog.contextvars")  # a program without log lines starts a tenth of a second sooner
    return bound.get_contextvars().get("request_id", "") if bound else ""


def object_path(group_version: str, resource: str, name: str = "", *, namespace: str = "") -> str:
    """The path of an object or, without ``name``, of its collection; ``group_version`` is ``v1`` or ``apps/v1``."""
    root = f"/apis/{group_version}" if "/" in group_version else f"/api/{group_version}"
    scope = f"/namespaces/{quote(namespace, safe='')}" if namespace else ""
    return f"{root}{scope}/{resource}" + (f"/{quote(name, safe='')}" if name else "")


def _object(content: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _lines(answer: urllib3.BaseHTTPResponse) -> Iterator[dict[str, Any]]:
    rest = b""
    for part in answer.stream(1 << 16):
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            document = _object(line)
            if document is None:
                raise ClusterUnreachable("the API server sent a line of a watch that is no object")
            yield document
        if len(rest) > LONGEST_LINE:
            raise ClusterUnreachable("the API server sent an endless line")

# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The cluster that a kubeconfig names, spoken to in plain objects; every failure is one sentence that names the cure.

Private to this collection. It uses the request of the ``kubernetes`` package's dynamic client alone: no discovery (an
aggregated API that is down would break it) and no generated models (they change between major versions). The kubeconfig
is always named: an ambient ``KUBECONFIG``, ``K8S_AUTH_*`` or a Pod's own account is never used.

The package is imported when a cluster is first asked for: it is most of what a task costs before it does anything, and
modules that ask nobody, or ask by the client of ``alauda-image-registry``, do without it.
"""

from __future__ import annotations

import json
import os
import time
import traceback
from typing import Any

from ansible_collections.alauda.registry.plugins.module_utils._credentials import why_refused

PASSING = (429, 500, 502, 503, 504)
"""Statuses after which a read is tried again."""


class ClusterError(Exception):
    """What the cluster, or the way to it, answered instead of what was asked; ``status`` is 0 without an answer."""

    def __init__(self, message: str, status: int = 0, reason: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason

    @property
    def forbidden(self) -> bool:
        """The caller may not do this."""
        return self.status == 403

    @property
    def unreachable(self) -> bool:
        """There was no answer at all, or none to these credentials: nothing else will work either."""
        return self.status in (0, 401)


def missing_library() -> str | None:
    """Why the ``kubernetes`` package can not be used, as a traceback; None if it can."""
    try:
        import kubernetes.dynamic  # noqa: F401 - whether it is there
    except ImportError:
        return traceback.format_exc()
    return None


class Cluster:
    """Requests to one cluster with one set of credentials."""

    def __init__(self, kubeconfig: str, context: str | None = None, timeout: float = 20.0) -> None:
        self.kubeconfig = kubeconfig
        self.context = context
        self._timeout = timeout
        self._source = f"kubeconfig {kubeconfig}" + (f", context {context}" if context else "")
        if not os.path.isfile(kubeconfig) or not os.access(kubeconfig, os.R_OK):
            raise ClusterError(
                f"there is no readable kubeconfig at {kubeconfig}: set registry_kubeconfig to the file of the cluster "
                "that is meant (the KUBECONFIG of the environment is not used, on purpose)"
            )
        from kubernetes import client as kubernetes_client
        from kubernetes import config as kubernetes_config
        from kubernetes.config.config_exception import ConfigException
        from kubernetes.dynamic import DynamicClient

        try:
            api = kubernetes_config.new_client_from_config(
                config_file=kubeconfig, context=context or None, persist_config=False
            )
        except ConfigException as error:
            raise ClusterError(
                f"{self._source} can not be used: {error}. Check the file and the name of the context"
            ) from error
        except Exception as error:
            raise ClusterError(
                f"{self._source} can not be read as a kubeconfig ({type(error).__name__}: {error}): "
                "get a fresh one from the cluster's administrator"
            ) from error
        api.configuration.retries = False  # a refused connection is said at once; passing failures are retried here
        self.server = str(api.configuration.host)
        self._client = DynamicClient(kubernetes_client.ApiClient(api.configuration), discoverer=lambda *_args: None)

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: dict[str, str] | None = None,
        content_type: str = "application/json",
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """The answer as an object; raises :class:`ClusterError`. Reads are tried again when the failure may pass."""
        return json.loads(self.text(method, path, body, query, content_type, timeout) or "{}")

    def text(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: dict[str, str] | None = None,
        content_type: str = "application/json",
        timeout: float | None = None,
    ) -> str:
        """The answer as text, as for logs."""
        tries = 3 if method == "get" else 1
        while True:
            tries -= 1
            try:
                return self._once(method, path, body, query, content_type, timeout or self._timeout)
            except ClusterError as error:
                if not tries or error.status not in PASSING:
                    raise
                time.sleep(0.5)

    def _once(
        self, method: str, path: str, body: Any, query: dict[str, str] | None, content_type: str, timeout: float
    ) -> str:
        import urllib3
        from kubernetes.dynamic.exceptions import DynamicApiError

        try:
            answer = self._client.request(
                method,
                path,
                body=body,
                query_params=list((query or {}).items()),
                content_type=content_type,
                header_params={"Accept": "application/json, */*"},
                serialize=False,
                _request_timeout=timeout,
            )
        except DynamicApiError as error:
            raise self._refused(method, path, error) from None
        except urllib3.exceptions.SSLError as error:
            raise self._untrusted(_short(error)) from None
        except urllib3.exceptions.HTTPError as error:
            raise ClusterError(
                f"the Kubernetes API at {self.server} ({self._source}) does not answer: "
                f"{_short(error)}. Check that the "
                "cluster runs and that this machine reaches the address (network, firewall, proxy)"
            ) from None
        data = answer.data
        return data.decode("utf-8", "replace") if isinstance(data, bytes) else str(data)

    def _refused(self, method: str, path: str, error: Any) -> ClusterError:
        status = int(error.status or 0)
        raw = error.body.decode("utf-8", "replace") if isinstance(error.body, bytes) else str(error.body or "")
        try:
            document = json.loads(raw)
            document = document if isinstance(document, dict) else {}
        except ValueError:
            document = {}
        message = str(document.get("message") or raw.strip() or error.reason)
        reason = str(document.get("reason") or "")
        if status == 0:  # newer clients dress up a failed handshake as an answer
            return self._untrusted(message.partition("\n")[2] or message)
        if status == 401:
            why = why_refused(self.kubeconfig, self.context)
            return ClusterError(
                f"the Kubernetes API at {self.server} does not accept the credentials of {self._source}: {why}. "
                "Get a fresh kubeconfig (or log in again) and run once more",
                status,
                reason,
            )
        if status == 403:
            return ClusterError(
                f"a permission is missing: {message}. Ask a cluster administrator for it, or use an administrator's "
                "kubeconfig",
                status,
                reason,
            )
        return ClusterError(f"{method.upper()} {path}: {message}", status, reason)

    def _untrusted(self, why: str) -> ClusterError:
        return ClusterError(
            f"the Kubernetes API at {self.server} can not be trusted: {why}. The certificate is not of the CA in "
            f"{self._source}: get a fresh kubeconfig, or check that the address belongs to this cluster"
        )

    def get(self, path: str, **query: str) -> dict[str, Any]:
        """The object at ``path``."""
        return self.request("get", path, query=query)

    def find(self, path: str) -> dict[str, Any] | None:
        """The object at ``path``, or None."""
        try:
            return self.get(path)
        except ClusterError as error:
            if error.status == 404:
                return None
            raise

    def items(self, path: str, **query: str) -> list[dict[str, Any]]:
        """Every object of a list, page by page."""
        found: list[dict[str, Any]] = []
        following = ""
        while True:
            page = self.request(
                "get", path, query={"limit": "500", **query, **({"continue": following} if following else {})}
            )
            found.extend(page.get("items") or [])
            following = str((page.get("metadata") or {}).get("continue") or "")
            if not following:
                return found

    def create(self, path: str, body: dict[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
        """Make an object; ``dry_run`` asks the API server for everything but the writing."""
        return self.request("post", path, body=body, query={"dryRun": "All"} if dry_run else {})

    def merge(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Change some fields (JSON merge patch)."""
        return self.request("patch", path, body=body, content_type="application/merge-patch+json")

    def delete(self, path: str, propagation: str = "Background") -> bool:
        """Delete; False if there was nothing."""
        try:
            self.request(
                "delete", path, body={"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": propagation}
            )
        except ClusterError as error:
            if error.status == 404:
                return False
            raise
        return True

    def wait_for_absence(self, path: str, seconds: float) -> bool:
        """Wait until an object is really gone; False if it still is there."""
        deadline = time.monotonic() + seconds
        while self.find(path) is not None:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.5)
        return True

    @property
    def core_api(self) -> Any:
        """The generated client, for what only it offers: streams to a Pod."""
        from kubernetes import client as kubernetes_client

        return kubernetes_client.CoreV1Api(self._client.client)


def _short(error: Exception) -> str:
    """The last cause, without addresses of Python objects."""
    text = str(getattr(error, "reason", None) or error)
    return text.rsplit(">: ", 1)[-1].split(": ", 1)[-1] if "object at 0x" in text else text

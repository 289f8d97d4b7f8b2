# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HTTPS to the registry from wherever Ansible runs: through the API server to a Pod, with the registry's own
certificate.

Private to this collection. A route from outside may not exist, and the API server's own proxy verifies no certificate;
so a port is forwarded and TLS is spoken end to end, with the CA and the name that every client in the cluster uses.
"""

from __future__ import annotations

import http.client
import json
import ssl
from dataclasses import dataclass
from typing import Any

from ansible_collections.alauda.registry.plugins.module_utils._cluster import Cluster

PORT = 5000


class WireError(Exception):
    """The registry did not answer, or not as one that can be trusted."""


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        """The body as an object; empty if it is none."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


class Wire:
    """Requests to one Pod of the registry."""

    def __init__(self, cluster: Cluster, namespace: str, pod: str, authority: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._pod = pod
        self.host = f"image-registry.{namespace}.svc"
        self._trust = ssl.create_default_context(cadata=authority)

    def ask(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Answer:
        """One request on a connection of its own; raises :class:`WireError`."""
        from kubernetes.client.exceptions import ApiException
        from kubernetes.stream import portforward
        from websocket import WebSocketException

        try:
            forward = portforward(
                self._cluster.core_api.connect_get_namespaced_pod_portforward,
                self._pod,
                self._namespace,
                ports=str(PORT),
            )
        except (ApiException, WebSocketException, OSError) as error:
            raise WireError(f"no way to Pod {self._pod}: port forwarding failed ({_short(error)})") from error
        try:
            raw = forward.socket(PORT)
            raw.settimeout(20)
            connection = http.client.HTTPConnection(self.host, PORT, timeout=20)
            connection.sock = self._trust.wrap_socket(raw, server_hostname=self.host)
            connection.request(method, path, body=body or None, headers=headers or {})
            answer = connection.getresponse()
            found = Answer(answer.status, {key.lower(): text for key, text in answer.getheaders()}, answer.read())
            connection.close()
        except ssl.SSLCertVerificationError as error:
            raise WireError(
                f"the certificate of {self.host} is not one that ConfigMap image-registry-ca vouches "
                f"for: {error.verify_message}"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise WireError(f"{self.host}:{PORT}{path} did not answer: {_short(error)}") from error
        finally:
            forward.close()
        return found


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip() or 'no reason given'}"[:300]

# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A push and a pull by a ServiceAccount of its own, and what must be refused: the registry's promise, tried once.

Private to this collection. Everything happens in a namespace that is made for it and deleted afterwards.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import urllib.parse
from collections.abc import Iterator

from ansible_collections.alauda.registry.plugins.module_utils._cluster import Cluster, ClusterError
from ansible_collections.alauda.registry.plugins.module_utils._findings import Finding
from ansible_collections.alauda.registry.plugins.module_utils._wire import Answer, Wire, WireError

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
CURE = "look at the log of Deployment image-registry: it names the request and its reason"


class Trial:
    """One try in one namespace."""

    def __init__(self, cluster: Cluster, wire: Wire) -> None:
        self._cluster = cluster
        self._wire = wire
        self.namespace = f"image-registry-verify-{secrets.token_hex(4)}"
        self._repository = f"/v2/{self.namespace}/trial"

    def findings(self) -> Iterator[Finding]:
        """What did not go as promised."""
        try:
            self._prepare()
            yield from self._steps()
        except WireError as error:
            yield Finding("push", str(error), CURE)
        finally:
            self._cluster.delete(f"/api/v1/namespaces/{self.namespace}")

    def _prepare(self) -> None:
        self._cluster.create("/api/v1/namespaces", {"metadata": {"name": self.namespace}})
        place = f"/api/v1/namespaces/{self.namespace}/serviceaccounts"
        for name in ("pusher", "stranger"):
            self._cluster.create(place, {"metadata": {"name": name}})
        self._cluster.create(
            f"/apis/rbac.authorization.k8s.io/v1/namespaces/{self.namespace}/rolebindings",
            {
                "metadata": {"name": "pusher"},
                "roleRef": {
                    "apiGroup": "rbac.authorization.k8s.io",
                    "kind": "ClusterRole",
                    "name": "system:image-pusher",
                },
                "subjects": [{"kind": "ServiceAccount", "name": "pusher", "namespace": self.namespace}],
            },
        )

    def _steps(self) -> Iterator[Finding]:
        pusher = self._login("pusher", "pull,push")
        if isinstance(pusher, Finding):
            yield pusher
            return
        config = json.dumps(
            {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": []}}
        )
        layer = secrets.token_bytes(512)
        blobs = {_digest(config.encode()): config.encode(), _digest(layer): layer}
        for digest, content in blobs.items():
            answer = self._upload(pusher, digest, content)
            if answer.status != 201:
                yield self._unlike("push", "a blob is pushed", answer, 201)
                return
        described = [
            {"mediaType": kind, "digest": digest, "size": len(content)}
            for kind, (digest, content) in zip((CONFIG, LAYER), blobs.items(), strict=True)
        ]
        manifest = json.dumps(
            {"schemaVersion": 2, "mediaType": MANIFEST, "config": described[0], "layers": described[1:]}
        ).encode()
        bearer = {"Authorization": f"Bearer {pusher}"}
        answer = self._wire.ask(
            "PUT", f"{self._repository}/manifests/1", manifest, {**bearer, "Content-Type": MANIFEST}
        )
        if answer.status != 201:
            yield self._unlike("push", "a manifest is pushed", answer, 201)
            return
        for path, content in ((f"manifests/{_digest(manifest)}", manifest), (f"blobs/{_digest(layer)}", layer)):
            answer = self._wire.ask("GET", f"{self._repository}/{path}", headers={**bearer, "Accept": MANIFEST})
            if answer.status != 200 or answer.body != content:
                yield self._unlike("pull", "what was pushed is pulled, byte by byte", answer, 200)
        yield from self._as_an_object()
        yield from self._refusals()

    def _as_an_object(self) -> Iterator[Finding]:
        path = f"/apis/image.alauda.io/v1/namespaces/{self.namespace}/imagestreams/trial"
        try:
            self._cluster.get(path)
        except ClusterError as error:
            cure = "look at the log of Deployment image-api-server"
            yield Finding("image-api", f"the pushed image is no ImageStream of its namespace: {error}", cure)

    def _refusals(self) -> Iterator[Finding]:
        answer = self._wire.ask("GET", f"{self._repository}/manifests/1", headers={"Accept": MANIFEST})
        if answer.status != 401:
            yield self._unlike("access", "nobody pulls without a token", answer, 401)
        stranger = self._login("stranger", "push")
        if isinstance(stranger, str):
            answer = self._wire.ask(
                "POST", f"{self._repository}/blobs/uploads/", headers={"Authorization": f"Bearer {stranger}"}
            )
            if answer.status not in (401, 403):
                yield self._unlike("access", "nobody pushes without the right to", answer, 403)

    def _login(self, account: str, actions: str) -> str | Finding:
        """The registry's token for a ServiceAccount."""
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}}
        place = f"/api/v1/namespaces/{self.namespace}/serviceaccounts/{account}/token"
        token = self._cluster.create(place, request)["status"]["token"]
        basic = base64.b64encode(f"{account}:{token}".encode()).decode()
        scope = urllib.parse.quote(f"repository:{self.namespace}/trial:{actions}")
        answer = self._wire.ask("GET", f"/v2/token?scope={scope}", headers={"Authorization": f"Basic {basic}"})
        issued = answer.document.get("token") or answer.document.get("access_token")
        if answer.status != 200 or not issued:
            return self._unlike("login", "a ServiceAccount logs in with its token", answer, 200)
        return str(issued)

    def _upload(self, token: str, digest: str, content: bytes) -> Answer:
        bearer = {"Authorization": f"Bearer {token}"}
        began = self._wire.ask("POST", f"{self._repository}/blobs/uploads/", headers=bearer)
        if began.status != 202:
            return began
        parts = urllib.parse.urlsplit(began.headers.get("location", ""))
        query = f"{parts.query}&digest={digest}" if parts.query else f"digest={digest}"
        stream = {**bearer, "Content-Type": "application/octet-stream"}
        return self._wire.ask("PUT", f"{parts.path}?{query}", content, stream)

    @staticmethod
    def _unlike(need: str, promise: str, answer: Answer, wanted: int) -> Finding:
        said = answer.body[:300].decode("utf-8", "replace").strip()
        return Finding(need, f"{promise}: the registry answered {answer.status} instead of {wanted} ({said})", CURE)


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"

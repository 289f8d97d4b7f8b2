"""What a Pod of the cluster knows without asking anybody: its registry's name, and a token of its own."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable

from image_registry.kube import endpoint
from image_registry.remote.credentials import Keyring

SYSTEM = "image-registry-system"

SERVICE = f"image-registry.{SYSTEM}.svc:5000"
"""The name by which a cluster knows its registry."""


def is_internal(host: str) -> bool:
    """A name of a Service, which only the cluster's DNS knows."""
    return host.partition(":")[0].endswith((".svc", ".svc.cluster.local"))


def own_login(hosts: Iterable[str]) -> Keyring:
    """In a Pod the token of its ServiceAccount, for those names that only the cluster knows; nobody else is shown it.

    It is one more login behind those of files: empty elsewhere, and in a Pod without a token.
    """
    names = {host for host in hosts if is_internal(host)}
    try:
        token = (endpoint.SERVICE_ACCOUNT / "token").read_bytes().strip() if names else b""
    except OSError:
        token = b""
    auth = base64.b64encode(b"serviceaccount:" + token).decode()
    return Keyring.parse(json.dumps({"auths": {name: {"auth": auth} for name in names if token}}).encode())

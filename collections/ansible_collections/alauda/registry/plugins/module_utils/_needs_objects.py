# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Needs of an object store: the Secret with its credentials, and the ConfigMap with its CA; keys count, never values.

Private to this collection.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ansible_collections.alauda.registry.plugins.module_utils._cluster import Cluster
from ansible_collections.alauda.registry.plugins.module_utils._findings import Finding
from ansible_collections.alauda.registry.plugins.module_utils._wanted import Wanted

SECRET = "image-registry-private-configuration-user"  # noqa: S105 - its name, which everybody may know
CA_KEY = "ca-bundle.crt"

_S3 = ("S3_ACCESSKEY", "S3_SECRETKEY")
KEYS: dict[str, tuple[tuple[str, ...], ...]] = {
    "s3": (_S3,),
    "ibmcos": (_S3,),
    "oss": (_S3,),
    "gcs": (("GCS_KEYFILE",),),
    "azure": (("AZURE_ACCOUNTKEY",),),
    "swift": (
        ("SWIFT_USERNAME", "SWIFT_PASSWORD"),
        ("SWIFT_APPLICATIONCREDENTIALID", "SWIFT_APPLICATIONCREDENTIALSECRET"),
    ),
}
"""What the Secret must have for each kind: one of these sets, each key with ``REGISTRY_STORAGE_`` before it."""


def credentials(cluster: Cluster, wanted: Wanted) -> Iterator[Finding]:
    """The Secret is there and complete; where a Pod may have an identity of its own, it may be missing as a whole."""
    for kind, sets in KEYS.items():
        store = wanted.value(f"config.storage.{kind}")
        if not isinstance(store, dict) or SECRET in wanted.made:
            continue
        secret = cluster.find(f"/api/v1/namespaces/{wanted.namespace}/secrets/{SECRET}")
        data = (secret or {}).get("data") or {}
        missing = [
            [f"REGISTRY_STORAGE_{key}" for key in keys if not data.get(f"REGISTRY_STORAGE_{key}")] for keys in sets
        ]
        if not all(missing) or (secret is None and _has_identity(kind, store)):
            continue
        where = (
            f"namespace {wanted.namespace} has no Secret {SECRET}"
            if secret is None
            else f"Secret {SECRET} is not complete"
        )
        yield Finding(
            "object-store",
            f"config.storage.{kind} is chosen, and {where}",
            f"put {' and '.join(missing[0])} into it",
        )


def trust(cluster: Cluster, wanted: Wanted) -> Iterator[Finding]:
    """The ConfigMap with the CA of the store is there, with its key."""
    for kind in ("s3", "swift"):
        name = wanted.value(f"config.storage.{kind}.trustedCA.name")
        if not name or name in wanted.made:
            continue
        found = cluster.find(f"/api/v1/namespaces/{wanted.namespace}/configmaps/{name}")
        if not ((found or {}).get("data") or {}).get(CA_KEY):
            yield Finding(
                "object-store",
                f"config.storage.{kind}.trustedCA names {name}, and namespace {wanted.namespace} has no such ConfigMap "
                f"with the key {CA_KEY}",
                f"make it from the CA's certificate in PEM (kubectl create configmap {name} --from-file={CA_KEY}=FILE)",
            )


def _has_identity(kind: str, store: dict[str, Any]) -> bool:
    """Whether the cloud may know the Pod by its ServiceAccount."""
    return kind == "gcs" or (kind == "s3" and not store.get("regionEndpoint"))

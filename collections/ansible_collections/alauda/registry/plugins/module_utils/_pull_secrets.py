# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What pull Secrets say of themselves: for which registries, for whom, until when. Never what they are secret for.

Private to this collection. Pure.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

KEYS = {"kubernetes.io/dockerconfigjson": ".dockerconfigjson", "kubernetes.io/dockercfg": ".dockercfg"}
"""Types of Secrets that kubelet takes, and the key that holds the document."""

MANAGED = "imageregistry.operator.alauda.io/managed-pull-secret"

Document = dict[str, Any]


def rows(secrets: Iterable[Document], accounts: Iterable[Document]) -> list[Document]:
    """One for each Secret, by namespace and name."""
    named: dict[tuple[str, str], set[str]] = defaultdict(set)
    for account in accounts:
        metadata = account["metadata"]
        for entry in account.get("imagePullSecrets") or ():
            named[metadata["namespace"], str(entry.get("name"))].add(str(metadata["name"]))
    found = [_row(secret, named) for secret in secrets]
    return sorted(found, key=lambda row: (row["namespace"], row["name"]))


def _row(secret: Document, named: dict[tuple[str, str], set[str]]) -> Document:
    metadata = secret["metadata"]
    auths = _auths(secret)
    return {
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "hosts": sorted(auths or ()),
        "service_accounts": sorted(named[metadata["namespace"], metadata["name"]]),
        "managed": (metadata.get("labels") or {}).get(MANAGED) == "true",
        "expires": _expiry(auths or {}),
        "readable": auths is not None,
    }


def _auths(secret: Document) -> Document | None:
    """Logins by registry; None if kubelet could not read them either."""
    key = KEYS[secret["type"]]
    try:
        document = json.loads(base64.b64decode((secret.get("data") or {})[key], validate=True))
        auths = document.get("auths") if key == KEYS["kubernetes.io/dockerconfigjson"] else document
    except (KeyError, TypeError, AttributeError, ValueError, binascii.Error):
        return None
    return auths if isinstance(auths, dict) else None


def _expiry(auths: Document) -> str:
    """The earliest end of a token that says when it ends."""
    ends = []
    for entry in auths.values():
        try:
            login = base64.b64decode(entry["auth"]).decode("ascii")
            body = login.partition(":")[2].split(".")[1]
            claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
            ends.append(datetime.fromtimestamp(float(claims["exp"]), UTC))
        except (KeyError, TypeError, IndexError, ValueError, OverflowError, OSError, AttributeError):
            continue
    return min(ends).strftime("%Y-%m-%dT%H:%M:%SZ") if ends else ""

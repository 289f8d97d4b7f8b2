# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Says why an API server may have refused a kubeconfig's credentials: an expiry that can be read is named with its
date.

Private to this collection.
"""

from __future__ import annotations

import base64
import binascii
import json
from datetime import UTC, datetime
from typing import Any

try:
    import yaml
    from cryptography import x509

    READABLE = True
except ImportError:
    READABLE = False

UNKNOWN = "they expired, were revoked, or belong to another cluster"


def why_refused(kubeconfig: str, context: str | None, now: datetime | None = None) -> str:
    """A half sentence; never anything of the credentials themselves."""
    if not READABLE:
        return UNKNOWN
    moment = now or datetime.now(UTC)
    try:
        with open(kubeconfig, encoding="utf-8") as stream:
            user = _user(yaml.safe_load(stream), context)
        expiry = _certificate_expiry(user)
        if expiry is not None and expiry < moment:
            return f"the client certificate expired on {expiry:%Y-%m-%d %H:%M} UTC"
        expiry = _token_expiry(user)
        if expiry is not None and expiry < moment:
            return f"the token expired on {expiry:%Y-%m-%d %H:%M} UTC"
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError, binascii.Error):
        return UNKNOWN
    return UNKNOWN


def _user(document: dict[str, Any], context: str | None) -> dict[str, Any]:
    wanted = context or document["current-context"]
    chosen = next(entry["context"] for entry in document["contexts"] if entry["name"] == wanted)
    return next(entry["user"] for entry in document["users"] if entry["name"] == chosen["user"])


def _certificate_expiry(user: dict[str, Any]) -> datetime | None:
    if user.get("client-certificate-data"):
        data = base64.b64decode(user["client-certificate-data"])
    elif user.get("client-certificate"):
        with open(user["client-certificate"], "rb") as stream:
            data = stream.read()
    else:
        return None
    certificate = x509.load_pem_x509_certificate(data)
    if hasattr(certificate, "not_valid_after_utc"):
        return certificate.not_valid_after_utc
    return certificate.not_valid_after.replace(tzinfo=UTC)


def _token_expiry(user: dict[str, Any]) -> datetime | None:
    token = str(user.get("token") or "")
    if not token and user.get("tokenFile"):
        with open(user["tokenFile"], encoding="utf-8") as stream:
            token = stream.read().strip()
    parts = token.split(".")
    if len(parts) != 3:
        return None
    claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    return datetime.fromtimestamp(claims["exp"], UTC) if "exp" in claims else None

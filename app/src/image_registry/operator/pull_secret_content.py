"""The Secret of a ServiceAccount: how it is written, and what can be read of it again. Pure.

The token is not kept by anybody but the Secret: what is remembered is whose it is, until when it is good and by which
key it was signed. A digest beside the content tells that somebody has edited it, without anybody knowing the content.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

PREFIX = "imageregistry.operator.alauda.io"
LABEL = f"{PREFIX}/managed-pull-secret"
ACCOUNT = f"{PREFIX}/internal-registry-auth-token.service-account"
BINDING = f"{PREFIX}/internal-registry-auth-token.binding"
DIGEST = f"{PREFIX}/content-digest"
REFERENCE = f"{PREFIX}/internal-registry-pull-secret-ref"
"""Annotation of a ServiceAccount: the name of its Secret."""

TYPE = "kubernetes.io/dockerconfigjson"
KEY = ".dockerconfigjson"
USER = "<token>"
LONGEST_LIFE = 7 * 86400.0
"""Seconds that no token of ours is good for, whatever a cluster makes of the hour that is asked for."""

LONGEST_BASE = 58
"""Characters of the ServiceAccount's name in that of its Secret."""

SHAPE = re.compile(r"^(?P<base>.+)-dockercfg-[a-z0-9]{5}$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a Secret's token says of itself; nothing of it is believed about anybody but for renewing it."""

    hosts: frozenset[str]
    account: str
    account_uid: str
    secret_uid: str
    audiences: frozenset[str]
    key: str
    issued: float
    expires: float


def name_of(account: str, suffix: str) -> str:
    """The name of a new Secret."""
    return f"{account[:LONGEST_BASE].rstrip('.-')}-dockercfg-{suffix}"


def may_be_named(account: str, name: str) -> bool:
    """Whether this name is one that :func:`name_of` gives."""
    found = SHAPE.match(name)
    return found is not None and found["base"] == account[:LONGEST_BASE].rstrip(".-")


def metadata(account: str, account_uid: str) -> dict[str, Any]:
    """Labels, annotations and owner of a Secret."""
    owner = {"apiVersion": "v1", "kind": "ServiceAccount", "name": account, "uid": account_uid}
    return {
        "labels": {LABEL: "true"},
        "annotations": {ACCOUNT: account, BINDING: "bound"},
        "ownerReferences": [owner],
    }


def document(hosts: Iterable[str], token: str) -> str:
    """The base64 of ``.dockerconfigjson``; without a token there are no hosts in it."""
    login = base64.b64encode(f"{USER}:{token}".encode()).decode()
    auths = {host: {"auth": login} for host in sorted(hosts)} if token else {}
    return base64.b64encode(json.dumps({"auths": auths}, separators=(",", ":")).encode()).decode()


def digest(encoded: str) -> str:
    """What is written beside the content."""
    return f"sha256:{hashlib.sha256(encoded.encode()).hexdigest()}"


def read(secret: Mapping[str, Any]) -> Content | None:
    """``None`` for what the operator would not have written.

    Whoever may edit Secrets in a namespace of their own writes what they like, digest and claims included, so nothing
    in here may end the work for others: neither by a failure nor by a time that is none.
    """
    notes = (secret.get("metadata") or {}).get("annotations") or {}
    encoded = (secret.get("data") or {}).get(KEY)
    if not isinstance(encoded, str) or notes.get(DIGEST) != digest(encoded):
        return None
    try:
        auths = json.loads(base64.b64decode(encoded))["auths"]
        logins = {entry["auth"] for entry in auths.values()}
        (login,) = logins
        user, _, token = base64.b64decode(login).decode("ascii").partition(":")
        head, body, signature = token.split(".")
        header, claims = _part(head), _part(body)
        bound, audiences = claims["kubernetes.io"], claims["aud"]
        issued, expires = float(claims["iat"]), float(claims["exp"])
        if user != USER or not signature or not 0 < expires - issued <= LONGEST_LIFE or not math.isfinite(issued):
            return None
        return Content(
            hosts=frozenset(auths),
            account=str(bound["serviceaccount"]["name"]),
            account_uid=str(bound["serviceaccount"]["uid"]),
            secret_uid=str(bound["secret"]["uid"]),
            audiences=frozenset(audiences if isinstance(audiences, list) else [audiences]),
            key=str(header.get("kid") or ""),
            issued=issued,
            expires=expires,
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None


def _part(encoded: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))

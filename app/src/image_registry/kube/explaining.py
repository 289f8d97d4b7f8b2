"""What a failure to talk to the API server means, and what a person can do about it."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    ReadTimeoutError,
    SSLError,
)

from image_registry.kube.errors import KubeError


def unreachable(server: str, error: HTTPError) -> str:
    """Why there was no answer; ``server`` is the address and who named it."""
    cause = error.reason if isinstance(error, MaxRetryError) and error.reason else error
    where = f"the Kubernetes API at {server}"
    match cause:
        case SSLError():
            return f"no trusted connection to {where}: {_innermost(cause)}; check its CA, its name and the clock"
        case NameResolutionError():
            return f"the name of {where} cannot be resolved; check the address and the DNS of this machine"
        case NewConnectionError():
            return f"cannot connect to {where}: {_innermost(cause)}; check that it runs, and the address"
        case ConnectTimeoutError():
            return f"{where} does not answer; check the address, firewalls and NetworkPolicies"
        case ReadTimeoutError():
            return f"{where} took a request but sent no answer in time; look at its load and its log"
        case _:
            return f"the connection to {where} broke: {_innermost(cause)}; try again"


def refusal(server: str, status: int, found: Mapping[str, Any] | None, asked: str) -> KubeError:
    """The error that an answer is; ``found`` is its object, if it is one, and ``asked`` method and path."""
    document = found or {}
    reason = str(document.get("reason") or "")
    said = str(document.get("message") or f"status {status}")
    if status == HTTPStatus.UNAUTHORIZED:
        said = f"the cluster at {server} refuses the credentials: they have expired or were revoked; get new ones"
    elif status == HTTPStatus.FORBIDDEN:
        said = f"a permission is missing: {said}; give it to this user by a Role or ClusterRole and bind it"
    elif not document:
        said = f"{server} answered {asked} with status {status} and no object: is it an API server?"
    return KubeError(status, reason, said)


def _innermost(error: BaseException) -> str:
    while error.__cause__ is not None or error.__context__ is not None:
        inner = error.__cause__ or error.__context__
        if inner is None:
            break
        error = inner
    if isinstance(error, OSError) and error.strerror and not isinstance(error, ssl.SSLError):
        return error.strerror
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    return str(error) or type(error).__name__

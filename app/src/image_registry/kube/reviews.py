"""The two questions that decide everything: who does this token belong to, and may this user do that?

TokenReview (authentication.k8s.io/v1) and SubjectAccessReview (authorization.k8s.io/v1), as plain values. Asked with
our own identity, which needs the ClusterRole ``system:auth-delegator``. Nothing is remembered here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from image_registry.kube.client import ClusterClient

TIMEOUT = 5.0
"""Seconds: somebody waits for the answer."""


@dataclass(frozen=True, slots=True)
class ReviewedUser:
    """``UserInfo`` of authentication.k8s.io/v1."""

    username: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReviewedAccess:
    """``SubjectAccessReviewStatus`` of authorization.k8s.io/v1."""

    allowed: bool
    reason: str = ""


class TokenReviewer:
    """Asks the API server whose token this is."""

    def __init__(self, client: ClusterClient) -> None:
        self._client = client

    def review(self, token: str, audience: str | None = None) -> ReviewedUser | None:
        """The user, or ``None`` if the token is not good for ``audience`` (default: the API server's own).

        Raises :class:`~image_registry.kube.errors.KubeError` and
        :class:`~image_registry.kube.errors.ClusterUnreachable`.
        """
        spec: dict[str, Any] = {"token": token}
        if audience is not None:
            spec["audiences"] = [audience]
        answer = self._client.create(
            "/apis/authentication.k8s.io/v1/tokenreviews",
            {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec},
            timeout=TIMEOUT,
            repeatable=True,
        )
        status = _mapping(answer.get("status"))
        user = _mapping(status.get("user"))
        if status.get("authenticated") is not True or not user.get("username"):
            return None
        # an authenticator that knows nothing of audiences leaves them out: then the token is the API server's alone
        if audience is not None and audience not in _texts(status.get("audiences")):
            return None
        return ReviewedUser(
            str(user["username"]),
            str(user.get("uid") or ""),
            _texts(user.get("groups")),
            {str(key): _texts(values) for key, values in _mapping(user.get("extra")).items()},
        )


class AccessReviewer:
    """Asks the API server whether a user may do something."""

    def __init__(self, client: ClusterClient) -> None:
        self._client = client

    def review(self, user: ReviewedUser, attributes: Mapping[str, str]) -> ReviewedAccess:
        """The decision about ``ResourceAttributes``. Raises as :meth:`TokenReviewer.review` does."""
        spec = {
            "user": user.username,
            "uid": user.uid,
            "groups": list(user.groups),
            "extra": {key: list(values) for key, values in user.extra.items()},
            "resourceAttributes": {key: value for key, value in attributes.items() if value},
        }
        answer = self._client.create(
            "/apis/authorization.k8s.io/v1/subjectaccessreviews",
            {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec},
            timeout=TIMEOUT,
            repeatable=True,
        )
        status = _mapping(answer.get("status"))
        allowed = status.get("allowed") is True and status.get("denied") is not True
        return ReviewedAccess(allowed, str(status.get("reason") or status.get("evaluationError") or ""))


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _texts(value: object) -> tuple[str, ...]:
    return tuple(str(item) for item in value) if isinstance(value, Sequence) and not isinstance(value, str) else ()

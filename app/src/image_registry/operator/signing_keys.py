"""By which keys the cluster checks tokens: a token of another key is refused long before it ends.

kube-apiserver publishes them. Of several, each learns of a new key in its turn, so a key counts until two answers in
a row do not name it. Where another one signs than those who answer, what they say is about other tokens than ours.
"""

from __future__ import annotations

from collections import deque

import structlog

from image_registry.kube.client import ClusterClient
from image_registry.kube.errors import KubeError

PATH = "/openid/v1/jwks"
FORM = "application/jwk-set+json"
"""The only form in which they are given."""


class SigningKeys:
    """Read by one thread, asked by many."""

    def __init__(self) -> None:
        self._answers: deque[frozenset[str]] = deque(maxlen=2)
        self._issued: set[str] = set()
        self._about_ours = True
        self._unknown = False
        self.good: frozenset[str] | None = None
        """``None`` if that is not known."""

    def read(self, client: ClusterClient) -> bool:
        """Ask; says whether the answer is another one. Raises KubeError and ClusterUnreachable for what passes."""
        before = self.good
        try:
            found = client.get(PATH, accept=FORM).get("keys") or ()
        except KubeError as error:
            if error.passing:
                raise
            self._answers.clear()
            self.good = None
            if not self._unknown:
                structlog.get_logger().warning(
                    "the keys of tokens are not known: after a change of keys pulls fail until tokens are renewed",
                    reason=str(error),
                )
            self._unknown = True
            return before is not None
        self._unknown = False
        if now := frozenset(str(key.get("kid")) for key in found):
            self._answers.append(now)
        known = frozenset[str]().union(*self._answers)
        issued, self._issued = self._issued, set()
        if issued:  # what was issued a moment ago is good
            self._about_ours = issued <= known
        self.good = known if known and self._about_ours else None
        return self.good != before

    def issued(self, key: str) -> bool:
        """A token was signed by this key; says whether that is a surprise."""
        self._issued.add(key)
        return self.good is not None and key not in self.good

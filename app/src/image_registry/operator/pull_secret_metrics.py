"""Numbers of managed pull Secrets."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge

PREFIX = "image_registry_operator_pull_secrets"


class PullSecretMetrics:
    """Gauges ask when somebody looks."""

    def __init__(
        self,
        registry: CollectorRegistry,
        managed: Callable[[], float],
        due: Callable[[], float],
        ends: Callable[[], float],
    ) -> None:
        self._written = Counter(
            f"{PREFIX}_written", "Tokens written into Secrets, by why.", ["reason"], registry=registry
        )
        self._failures = Counter(f"{PREFIX}_failures", "Attempts that failed.", registry=registry)
        self._calls = Counter(f"{PREFIX}_api_calls", "Requests to the kube-apiserver.", registry=registry)
        Gauge(PREFIX, "Pull Secrets with a token.", registry=registry).set_function(managed)
        Gauge(f"{PREFIX}_queue", "ServiceAccounts and namespaces to be looked at now.", registry=registry).set_function(
            due
        )
        Gauge(f"{PREFIX}_next_expiry_seconds", "Seconds until the first token ends.", registry=registry).set_function(
            ends
        )

    def wrote(self, reason: str) -> None:
        """A Secret has a new token."""
        self._written.labels(reason).inc()

    def failed(self) -> None:
        """Something is tried again."""
        self._failures.inc()

    def called(self) -> None:
        """The kube-apiserver is asked."""
        self._calls.inc()

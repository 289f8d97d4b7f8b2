"""What an error of Helm means: one reason, the sentence, and what to do. Pure."""

from __future__ import annotations

from image_registry.operator.conditions import Problem
from image_registry.operator.helm import Outcome

_KNOWN = (
    # what Helm says, reason, what to do, whether the next try may work
    ("don't meet the specifications of the schema", "ConfigurationInvalid", "correct the specification", False),
    (
        "invalid ownership metadata",
        "ObjectExists",
        "delete or rename the object, or name it in the specification",
        False,
    ),
    ("is invalid:", "ConfigurationInvalid", "correct the specification", False),
    (
        "no matches for kind",
        "DefinitionMissing",
        "install the definitions of the Gateway API (gateway) or cert-manager (issuerRef), or leave that field empty",
        False,
    ),
    ("forbidden", "PermissionDenied", "give the operator's ServiceAccount what its chart gives it", False),
    ("hooks failed", "BootstrapFailed", "see kubectl -n {namespace} get jobs,pods", True),
    ("timed out waiting", "ApplyTimedOut", "see kubectl -n {namespace} get pods", True),
    ("context deadline exceeded", "ApplyTimedOut", "see kubectl -n {namespace} get pods", True),
)
OTHER = (
    "ApplyFailed",
    "it is tried again; see kubectl -n {namespace} logs deployment/cluster-image-registry-operator",
    True,
)


def problem_of(outcome: Outcome, namespace: str) -> Problem:
    """A sentence of the chart itself names its own cure, in the words of values."""
    error = outcome.error
    if outcome.by_chart:
        return Problem("ConfigurationInvalid", error.replace("config.", "spec."))
    for words, reason, cure, passing in _KNOWN:
        if words in error:
            return Problem(reason, f"{error}; {cure.format(namespace=namespace)}", passing)
    reason, cure, passing = OTHER
    return Problem(reason, f"{error}; {cure.format(namespace=namespace)}", passing)

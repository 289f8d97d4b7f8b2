"""Records of the global cluster by which the platform makes a release again, where nobody led us there. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from image_registry.migration.case import Case
from image_registry.migration.generations import GATEWAY_PLUGIN
from image_registry.migration.install_records import CLUSTER_NAME, MODULE_NAME

_MODULES = "kubectl --kubeconfig <global> {verb} moduleinfoes.cluster.alauda.io"


def records_elsewhere(case: Case) -> Iterator[str]:
    """Commands by which a person finds and removes them; nothing where the global cluster was asked."""
    if case.inventory.global_cluster or case.installation is None or not case.installation.records:
        return
    cluster = case.inventory.cluster or "<this cluster>"
    selector = f"-l {CLUSTER_NAME}={cluster},{MODULE_NAME}={case.installation.name}"
    yield f"{_MODULES.format(verb='delete')} {selector}"
    if case.inventory.retired_gateway is not None:
        # the rest of its module's name is documented nowhere
        yield (
            f"{_MODULES.format(verb='get')} -l {CLUSTER_NAME}={cluster} -L {MODULE_NAME}, and "
            f"delete the one whose module begins with {GATEWAY_PLUGIN}"
        )

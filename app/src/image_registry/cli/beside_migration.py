"""Commands that delete are refused while a migration is under way, as the modules of the collection are.

Only what is confirmed is refused: who looks changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from image_registry.cli import output
from image_registry.cli.connection import NoCluster, connect
from image_registry.cli.failures import Unreachable, Wrong
from image_registry.kube.errors import ClusterUnreachable, KubeError
from image_registry.migration.generations import NAMESPACE
from image_registry.migration.holding import NAME
from image_registry.migration.under_way import find, name_of, refusal

F = TypeVar("F", bound=Callable[..., Any])

GO_ON, TAKE_BACK = "ac adm migrate run", "ac adm migrate rollback"


def acceptance_option(command: F) -> F:
    """``--accept-migration``."""
    return click.option(
        "--accept-migration",
        default="",
        metavar="DIGEST",
        help="Of the plan of a migration that is under way, if this is meant beside it: else it is refused.",
    )(command)


def refuse(options: Mapping[str, Any]) -> None:
    """Raises :class:`Wrong` for what is confirmed while a migration is under way that ``--accept-migration`` names not,
    and :class:`Unreachable` where nobody answers whether one is.

    Who may not see that, or names no cluster, is told so, and goes on.
    """
    if not options["confirm"]:
        return
    accepted = options["accept_migration"]
    try:
        held = find(connect(options["kubeconfig"], options["context"]))
    except NoCluster as error:
        output.warn(f"whether a migration is under way can not be seen: {error}")
        return
    except (KubeError, ClusterUnreachable, Unreachable) as error:
        if not (isinstance(error, KubeError) and error.forbidden) and not accepted:
            raise Unreachable(
                f"whether a migration is under way can not be seen: {error}; nothing was done. Run it again when the "
                "cluster answers; or name the plan beside which this is meant (--accept-migration), or any word"
            ) from None
        output.warn(
            f"whether a migration is under way can not be seen: {error}. It takes the right to list leases "
            f"(coordination.k8s.io), or to get {NAMESPACE}/{NAME}"
        )
        return
    for lease in held:
        if accepted != name_of(lease):
            wrong = f"--accept-migration names {accepted}, which is not that one. " if accepted else ""
            how = f"{wrong}If this is meant nevertheless: --accept-migration={name_of(lease)}"
            raise Wrong(refusal(lease, how, go_on=GO_ON, take_back=TAKE_BACK))

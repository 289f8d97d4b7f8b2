"""Which cluster a command speaks to: the one that was named, as kubectl finds it, or the one whose Pod it runs in.

``ac`` is typed by people, so it looks where kubectl looks; the serving processes never do.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from image_registry.cli.failures import UNREACHABLE, Unreachable
from image_registry.cli.switches import bare
from image_registry.kube.client import ClusterClient
from image_registry.kube.errors import KubeconfigError

__all__ = [
    "UNREACHABLE",
    "NoCluster",
    "Place",
    "Unreachable",
    "cluster_options",
    "connect",
    "dry_run_option",
    "here",
    "place_options",
]

F = TypeVar("F", bound=Callable[..., Any])


class NoCluster(Unreachable):
    """Nothing names a cluster: no option, no file, and this is no Pod."""


def cluster_options(command: F) -> F:
    """``--kubeconfig`` and ``--context``."""
    command = click.option("--context", default=None, metavar="NAME", help="Context of the kubeconfig.")(command)
    return click.option(
        "--kubeconfig",
        type=click.Path(path_type=Path, dir_okay=False),
        default=None,
        help="Else $KUBECONFIG, ~/.kube/config, or the ServiceAccount of the Pod.",
    )(command)


def place_options(command: F) -> F:
    """The cluster, and the namespace in it."""
    command = cluster_options(command)
    return click.option(
        "-n", "--namespace", default=None, metavar="NAME", help="Else that of the context, or of the Pod."
    )(command)


class DryRun(click.Option):
    """Bare, it takes no word behind it."""

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        """As :class:`~image_registry.cli.switches.Switch`."""
        super().add_to_parser(parser, ctx)
        bare(parser, self.opts, "server")


def dry_run_option(command: F) -> F:
    """``--dry-run``, as kubectl writes it. The server decides, and stores nothing."""
    return click.option(
        "--dry-run",
        cls=DryRun,
        type=click.Choice(("none", "server", "client")),
        is_flag=False,
        flag_value="server",
        default="none",
        help="Let the server check and answer, and store nothing. Both `server` and `client` mean that.",
        callback=lambda _context, _option, value: value != "none",
    )(command)


@dataclass(frozen=True, slots=True)
class Place:
    """A cluster and a namespace in it."""

    client: ClusterClient
    namespace: str


def here(options: Mapping[str, Any]) -> Place:
    """What :func:`place_options` say. Raises :class:`Unreachable`."""
    client = connect(options["kubeconfig"], options["context"])
    return Place(client, options.get("namespace") or client.namespace)


def connect(
    kubeconfig: Path | None, context: str | None, environment: Mapping[str, str] = os.environ, home: Path | None = None
) -> ClusterClient:
    """A client of the cluster. Raises :class:`Unreachable` for a kubeconfig that cannot be used, and for none."""
    try:
        path = kubeconfig or _ambient(environment, home or Path.home())
        if path is not None:
            return ClusterClient.from_kubeconfig(path, context)
    except KubeconfigError as error:
        raise Unreachable(f"no cluster to speak to: {error} (--kubeconfig, $KUBECONFIG, ~/.kube/config)") from None
    try:
        return ClusterClient.from_pod(environment)
    except KubeconfigError:
        raise NoCluster(
            "no cluster to speak to: there is no ~/.kube/config, and this is no Pod with a token of its own; "
            "name a kubeconfig by --kubeconfig or $KUBECONFIG"
        ) from None


def _ambient(environment: Mapping[str, str], home: Path) -> Path | None:
    """Where kubectl looks; of several files in $KUBECONFIG the first that exists."""
    named = [Path(part) for part in environment.get("KUBECONFIG", "").split(os.pathsep) if part]
    if named:
        return next((path for path in named if path.exists()), named[0])
    usual = home / ".kube" / "config"
    return usual if usual.exists() else None

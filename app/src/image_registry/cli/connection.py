"""Which cluster a command speaks to: the one that was named, as kubectl finds it, or the one whose Pod it runs in.

``ac`` is typed by people, so it looks where kubectl looks; the serving processes never do.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from image_registry.kube.client import ClusterClient
from image_registry.kube.errors import KubeconfigError

F = TypeVar("F", bound=Callable[..., Any])

UNREACHABLE = 4
"""Exit code: the cluster, or the registry in it, does not answer."""


class Unreachable(click.ClickException):
    """Nobody to talk to."""

    exit_code = UNREACHABLE


def cluster_options(command: F) -> F:
    """``--kubeconfig`` and ``--context``."""
    command = click.option("--context", default=None, metavar="NAME", help="Context of the kubeconfig.")(command)
    return click.option(
        "--kubeconfig",
        type=click.Path(path_type=Path, dir_okay=False),
        default=None,
        help="Else $KUBECONFIG, ~/.kube/config, or the ServiceAccount of the Pod.",
    )(command)


def connect(
    kubeconfig: Path | None, context: str | None, environment: Mapping[str, str] = os.environ, home: Path | None = None
) -> ClusterClient:
    """A client of the cluster. Raises :class:`Unreachable` for a kubeconfig that cannot be used, and for none."""
    try:
        path = kubeconfig or _ambient(environment, home or Path.home())
        if path is not None:
            return ClusterClient.from_kubeconfig(path, context)
        return ClusterClient.from_pod(environment)
    except KubeconfigError as error:
        raise Unreachable(f"no cluster to speak to: {error} (--kubeconfig, $KUBECONFIG, ~/.kube/config)") from None


def _ambient(environment: Mapping[str, str], home: Path) -> Path | None:
    """Where kubectl looks; of several files in $KUBECONFIG the first that exists."""
    named = [Path(part) for part in environment.get("KUBECONFIG", "").split(os.pathsep) if part]
    if named:
        return next((path for path in named if path.exists()), named[0])
    usual = home / ".kube" / "config"
    return usual if usual.exists() else None

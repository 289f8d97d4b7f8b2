"""``ac version``: of this program, of the cluster, and of the registry in it."""

from __future__ import annotations

import platform
from typing import Any

import click

from image_registry import __version__
from image_registry.cli.connection import cluster_options, connect
from image_registry.cli.failures import Unreachable
from image_registry.cli.image_api import GROUP, VERSION
from image_registry.cli.output import document, note, output_option
from image_registry.cli.switches import switch
from image_registry.kube.client import ClusterClient
from image_registry.kube.errors import ClusterUnreachable, KubeconfigError, KubeError


@click.command()
@switch("--short", default=False, help_="The number of this program alone.")
@switch("--client", "alone", default=False, help_="Of this program alone; no cluster is asked.")
@output_option("json", "yaml")
@cluster_options
def version(*, short: bool, alone: bool, form: str | None, **options: Any) -> None:
    """Print the versions of this program, of the cluster and of its registry, as far as they can be asked."""
    if short:
        click.echo(__version__)
        return
    system = f"{platform.system()} {platform.machine()}"
    found: dict[str, Any] = {
        "client": {"version": __version__, "python": platform.python_version(), "platform": system}
    }
    if form is None:
        click.echo(f"ac {__version__} (Python {platform.python_version()}, {system})")
    if not alone:
        _ask(found, options, plain=form is None)
    if form is not None:
        document(form, found)


def _ask(found: dict[str, Any], options: dict[str, Any], *, plain: bool) -> None:
    """Who cannot be asked is told about, and hinders nothing: the program's own version is known anyway."""
    try:
        client = connect(options["kubeconfig"], options["context"])
        found["cluster"] = {"version": _cluster(client), "server": client.server}
        if plain:
            click.echo(f"Kubernetes {found['cluster']['version']} ({client.server})")
        found["registry"] = {"version": _registry(client)}
        if plain:
            click.echo(f"Image registry {found['registry']['version']} ({VERSION})")
    except (Unreachable, KubeError, ClusterUnreachable, KubeconfigError) as error:
        named = options["kubeconfig"] is not None or options["context"] is not None
        text = error.message if isinstance(error, Unreachable) else str(error)
        if named:
            raise Unreachable(text) from None
        note(f"{'the registry' if 'cluster' in found else 'the cluster'} was not asked: {text}")


def _cluster(client: ClusterClient) -> str:
    return str(client.get("/version").get("gitVersion", "unknown"))


def _registry(client: ClusterClient) -> str:
    """What the description of the Image API says of itself."""
    try:
        info = client.get(f"/openapi/v3/apis/{VERSION}").get("info", {})
    except KubeError as error:
        if error.not_found:
            raise Unreachable(f"the Image API is not served: look at `kubectl get apiservice v1.{GROUP}`") from None
        raise
    return str(info.get("version", "unknown"))

"""``ac registry login|info``: the login of the cluster is the login of its registry."""

from __future__ import annotations

import base64
import time
from http import HTTPStatus
from pathlib import Path
from typing import Any

import click

from image_registry.cli import auth_file, hosts
from image_registry.cli.connection import Place, here, place_options
from image_registry.cli.failures import Failed, RightsError, Unreachable, Wrong
from image_registry.cli.inside import is_internal
from image_registry.cli.other_registries import trust_options, wire
from image_registry.cli.output import document, note, output_option, warn
from image_registry.cli.switches import switch
from image_registry.kube.client import object_path
from image_registry.remote.errors import RemoteError
from image_registry.remote.errors import Unreachable as NoAnswer
from image_registry.remote.reference import parse_registry

USER = "user"
"""Any name will do beside a token; this one stands in the files of others, too."""


@click.group()
def registry() -> None:
    """The registry of the cluster."""


@registry.command()
@click.option(
    "--registry",
    "host",
    default="",
    metavar="HOST[:PORT]",
    help="Else that of the Service in a Pod, its public name elsewhere.",
)
@click.option(
    "--to", "-a", "--registry-config", "to", type=click.Path(path_type=Path), default=None,
    help="File to write, `-` for the output. Else as clients look for it (see above).",
)  # fmt: skip
@click.option(
    "-z", "--service-account", "account", default="", metavar="NAME",
    help="Write a token of this ServiceAccount of the namespace instead of your own.",
)  # fmt: skip
@click.option("--duration", default="", metavar="DURATION", help="How long the token of --service-account lives: 24h.")
@switch("--skip-check", default=False, help_="Do not try the login.")
@trust_options
@place_options
def login(**options: Any) -> None:
    """Write a login for the registry, from the token that you speak to the cluster with.

    podman, docker, skopeo, nerdctl, helm and crane read it. Written is the file named by --to, else
    $REGISTRY_AUTH_FILE, else $DOCKER_CONFIG/config.json, else what is there of ~/.docker/config.json and podman's
    auth.json, else the former. Everything else in the file stays. In a Pod it is the token of its ServiceAccount.
    The login ends when the token does: log in again then.
    """
    place = here(options)
    username, password = _credentials(place, options)
    host = parse_registry(options["host"]) if options["host"] else hosts.reached(place)
    if not options["skip_check"]:
        _try(host, username, password, place, options)
    to = options["to"]
    if to is not None and str(to) == "-":
        auth = base64.b64encode(f"{username}:{password}".encode()).decode()
        document("json", {"auths": {host: {"auth": auth}}})
        return
    file = auth_file.target(to)
    auth_file.save(file, host, username, password)
    if program := auth_file.programs_for(file, host):
        warn(
            f"{file} makes clients ask the program docker-credential-{program}, which knows nothing of this login; "
            "write to a file of its own by --to, and name that to the client"
        )
    click.echo(f"Saved credentials for {host} into {file}")


def _credentials(place: Place, options: dict[str, Any]) -> tuple[str, str]:
    if options["account"]:
        return USER, _token_of(place, options["account"], options["duration"])
    if options["duration"]:
        raise Wrong("--duration is for --service-account: your own token lives as long as it does")
    token = place.client.token()
    if not token:
        raise RightsError(
            f"you speak to {place.client.server} with a client certificate or a password, and the registry takes "
            "tokens alone; write one of a ServiceAccount by --service-account=NAME"
        )
    return USER, token


def _token_of(place: Place, account: str, duration: str) -> str:
    spec: dict[str, Any] = {}
    if duration:
        spec["expirationSeconds"] = _seconds(duration)
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    where = object_path("v1", "serviceaccounts", account, namespace=place.namespace)
    return str(place.client.create(f"{where}/token", body)["status"]["token"])


def _seconds(text: str) -> int:
    from image_registry.pruning.rules import InvalidRule, parse_duration

    try:
        return parse_duration(text)
    except InvalidRule as error:
        raise Wrong(f"--duration: {error}") from None


def _try(host: str, username: str, password: str, place: Place, options: dict[str, Any]) -> None:
    """Raises :class:`RightsError`, :class:`Unreachable` and :class:`Failed` unless the registry takes the login."""
    auth = base64.b64encode(f"{username}:{password}".encode()).decode()
    status = _ask(host, {"Authorization": f"Basic {auth}"}, place, options)
    if status == HTTPStatus.UNAUTHORIZED:
        raise RightsError(
            f"{host} does not accept this token, and nothing was written; is it the registry of this cluster?"
        )
    if status != HTTPStatus.OK:
        raise Failed(f"{host} answered {status} at /v2/, and nothing was written; is it a registry?")


def _ask(host: str, headers: dict[str, str], place: Place, options: dict[str, Any]) -> int:
    """The status of /v2/. Raises :class:`Unreachable`."""
    more = hosts.authority(place.client) if options["certificate_authority"] is None and not options["insecure"] else ""
    link = wire(options["certificate_authority"], more=more)
    schemes = ("https", "http") if options["insecure"] else ("https",)
    failure: RemoteError = NoAnswer(host)
    for scheme in schemes:
        try:
            with link.send("GET", f"{scheme}://{host}/v2/", headers, insecure=options["insecure"]) as answer:
                return answer.status
        except RemoteError as error:
            failure = error
    cure = (
        "It is a name of the cluster's inside: log in by a route (--registry), or --skip-check"
        if is_internal(host)
        else "Name its CA by --certificate-authority, or --skip-check"
    )
    raise Unreachable(f"{failure}; nothing was written. {cure}")


@registry.command()
@switch("--internal", default=False, help_="The name that Pods and nodes use.")
@switch("--public", default=False, help_="The name outside of the cluster; an error if it has none.")
@switch("--check", default=False, help_="Ask the registry whether it answers there.")
@click.option("-q", "--quiet", is_flag=True, help="With --check: print nothing.")
@output_option("json", "yaml", "wide")
@trust_options
@place_options
def info(*, internal: bool, public: bool, check: bool, quiet: bool, form: str | None, **options: Any) -> None:
    """Print the name of the registry: the public one if there is one, else that of the cluster's inside."""
    if internal and public:
        raise Wrong("--internal and --public: choose one")
    place = here(options)
    found = hosts.find(place)
    if public and not found.public:
        raise Failed(
            "the registry has no public name: no route leads to it (spec.defaultRoute or spec.routes of the Config "
            "cluster); --internal is the other one"
        )
    host = found.internal if internal else found.best
    said: dict[str, Any] = {"internal": found.internal, "public": found.public}
    if check:
        begun = time.monotonic()
        status = _ask(host, {}, place, options)
        if status not in (HTTPStatus.OK, HTTPStatus.UNAUTHORIZED):
            raise Unreachable(
                f"{host} answered {status} at /v2/: is it out of order? Look at the Deployment image-registry"
            )
        said["check"] = {"host": host, "status": int(status), "milliseconds": round((time.monotonic() - begun) * 1000)}
    if form in ("json", "yaml"):
        document(form, said)
    elif form == "wide":
        for name, value in (("Internal", found.internal), ("Public", found.public or "<none>")):
            click.echo(f"{name + ':':<10}{value}")
    elif not quiet:
        click.echo(host)
    if check and not quiet and form not in ("json", "yaml"):
        note(f"{host} answers, in {said['check']['milliseconds']} ms")

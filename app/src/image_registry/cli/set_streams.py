"""``ac set image-lookup`` and ``ac set image``; everything else of ``set`` is kubectl's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from image_registry.cli.connection import Place, dry_run_option, here, place_options
from image_registry.cli.failures import NotThere, Wrong
from image_registry.cli.image_api import Document, Named, dry, kind_name, listed, path
from image_registry.cli.kubectl import Shared, hand_over
from image_registry.cli.output import document, output_option, rows, written
from image_registry.cli.switches import switch
from image_registry.cli.wishes import DOCKER, SOURCES, kind_of, source
from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.pod_templates import WORKLOADS, Workload

ANY_STREAM = "alpha.image.policy.alauda.io/resolve-names"
"""Annotation of a workload whose short names are looked up in all streams."""


@click.group("set", cls=Shared)
def set_group() -> None:
    """Change image streams, or workloads by image streams; everything else is kubectl's."""


@set_group.command("image-lookup")
@click.argument("names", nargs=-1, metavar="[STREAM|KIND/NAME]...", help="Streams, or workloads.")
@switch("--enabled", default=True, help_="Or, with =false, do not look names up.")
@switch("--all", "everything", default=False, help_="All streams of the namespace.")
@switch("--list", "show", default=False, help_="Show which streams are looked up, and change nothing.")
@dry_run_option
@output_option("json", "yaml", "name")
@place_options
def image_lookup(
    *, names: tuple[str, ...], enabled: bool, everything: bool, show: bool, dry_run: bool, form: str | None,
    **options: Any,
) -> None:  # fmt: skip
    """Let Pods name an image of a stream without its registry: `image: app:v1`.

    Of a stream, for all Pods of its namespace; of a workload (deploy/web), for its Pods and all streams. Without names
    it is shown which streams are looked up. The registry must be installed with local names.
    """
    place = here(options)
    if show or not (names or everything):
        _list(place, names, form)
        return
    if names and everything:
        raise Wrong("--all and names: choose one")
    streams = [str(item["metadata"]["name"]) for item in listed(place.client, "imagestreams", place.namespace)]
    for name in names or streams:
        if "/" in name:
            found, called = _annotate(place, name, enabled=enabled, dry_run=dry_run)
        else:
            named = Named.parse(name, place.namespace)
            where = path("imagestreams", named.stream, namespace=named.namespace)
            change = {"spec": {"lookupPolicy": {"local": enabled}}}
            found = place.client.merge(where, change, query=dry(dry_run))
            called = kind_name("imagestream", named.stream)
        written(form, found, called, "image lookup updated", dry_run=dry_run)


def _list(place: Place, names: tuple[str, ...], form: str | None) -> None:
    found = [dict(item) for item in listed(place.client, "imagestreams", place.namespace)]
    missing = set(names) - {item["metadata"]["name"] for item in found}
    if missing:
        raise NotThere(f"there is no image stream {', '.join(sorted(missing))} in namespace {place.namespace}")
    shown = [item for item in found if not names or item["metadata"]["name"] in names]
    if form in ("json", "yaml"):
        document(form, {"kind": "List", "apiVersion": "v1", "items": shown})
        return
    rows(("NAME", "LOCAL"), ((item["metadata"]["name"], _local(item)) for item in shown))


def _local(item: Mapping[str, Any]) -> str:
    return "true" if item.get("spec", {}).get("lookupPolicy", {}).get("local") else "false"


def _annotate(place: Place, text: str, *, enabled: bool, dry_run: bool) -> tuple[Document, str]:
    kind, _, name = text.partition("/")
    known = _workload(kind)
    where = object_path(known.group_version, known.resource, name, namespace=place.namespace)
    value = "*" if enabled else None
    found = place.client.merge(where, {"metadata": {"annotations": {ANY_STREAM: value}}}, query=dry(dry_run))
    return found, f"{known.kind.lower()}/{name}"


_SHORT = {"po": "Pod", "rc": "ReplicationController", "deploy": "Deployment", "ds": "DaemonSet"}
_SHORT |= {"sts": "StatefulSet", "rs": "ReplicaSet", "cj": "CronJob"}


def _workload(kind: str) -> Workload:
    """Raises :class:`Wrong`."""
    wanted = _SHORT.get(kind.lower(), kind).lower()
    for known in WORKLOADS:
        if wanted in (known.kind.lower(), known.resource, f"{known.resource}.{known.group_version.partition('/')[0]}"):
            return known
    raise Wrong(f"{kind!r} is no kind that has Pods: one of {', '.join(known.kind.lower() for known in WORKLOADS)}")


@set_group.command("image", context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
@click.argument(
    "words", nargs=-1, type=click.UNPROCESSED, metavar="KIND/NAME CONTAINER=IMAGE...", help="As kubectl has it."
)
@click.option(
    "--source", "said", default=None, metavar="KIND",
    help=f"What the images are: {', '.join(SOURCES)}. Else images of a registry, as kubectl has it.",
)  # fmt: skip
@place_options
def image(*, words: tuple[str, ...], said: str | None, **options: Any) -> None:
    """Change images of a workload, named by tags of image streams if --source says so.

    \b
      ac set image deploy/web main=app:v2 --source=imagestreamtag

    What a tag means now is looked up and written; kubectl does the writing, and takes all of its own options.
    """
    place = here(options) if said is not None else None
    kind = "" if said is None else kind_of("", said)
    passed = [_resolved(place, word, kind) if place else word for word in words]
    chosen = {
        "--namespace": options["namespace"],
        "--kubeconfig": options["kubeconfig"],
        "--context": options["context"],
    }
    hand_over(["set", "image", *passed, *(f"{name}={value}" for name, value in chosen.items() if value)])


def _resolved(place: Place, word: str, kind: str) -> str:
    container, equals, text = word.partition("=")
    if word.startswith("-") or not equals or "/" in container:
        return word
    wanted = source(text, kind, place.namespace)
    return f"{container}={pull_name(place.client, wanted)}"


def pull_name(client: ClusterClient, wanted: Mapping[str, str]) -> str:
    """What to pull for a source, by its digest. Raises :class:`NotThere`."""
    if wanted["kind"] == DOCKER:
        return wanted["name"]
    resource = "imagestreamtags" if wanted["kind"] == "ImageStreamTag" else "imagestreamimages"
    found = client.find(path(resource, wanted["name"], namespace=wanted["namespace"]))
    reference = (found or {}).get("image", {}).get("dockerImageReference", "")
    if not reference:
        raise NotThere(f"{wanted['namespace']}/{wanted['name']} is not there, or means no image yet")
    return str(reference)

"""``ac tag``: make tags mean what a source means, and take tags away."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from image_registry.cli.connection import Place, dry_run_option, here, place_options
from image_registry.cli.failures import FAILED, NotThere, Wrong
from image_registry.cli.image_api import VERSION, Document, Named, dry, kind_name, path
from image_registry.cli.output import document, note, output_option, problem
from image_registry.cli.switches import switch
from image_registry.cli.wishes import (
    DOCKER,
    SOURCES,
    STREAM_IMAGE,
    STREAM_TAG,
    import_options,
    kind_of,
    policies,
    source,
)
from image_registry.kube.errors import KubeError


@click.command("tag")
@click.argument("names", nargs=-1, required=True, metavar="SOURCE DESTINATION...", help="Names (see above).")
@click.option("--source", "said", default=None, metavar="KIND", help=f"What the source is: {', '.join(SOURCES)}.")
@switch("--alias", default=False, help_="Follow the source, a tag of the same stream: mean what it means from now on.")
@switch("--reference", default=False, help_="Only point to the source: nothing is imported.")
@switch("-d", "--delete", "gone", default=False, help_="Take the tags away that are named, with their history.")
@switch(
    "--confirm", default=False, help_="With --delete: do it. Without, nothing is changed and what would go is shown."
)
@import_options
@dry_run_option
@output_option("json", "yaml", "name")
@place_options
@click.pass_context
def tag(context: click.Context, /, *, names: tuple[str, ...], gone: bool, form: str | None, **options: Any) -> None:
    """Let tags of image streams mean a source: a tag, an image of a stream, or an image of another registry.

    \b
      ac tag app:v2 app:prod                    app:prod means what app:v2 means now
      ac tag --alias app:v2 app:prod            … and follows it
      ac tag team-a/app:v2 team-b/app:v2        from another namespace, if you may pull there
      ac tag quay.io/team/app:1 app:1           import it
      ac tag app@sha256:0123… app:before        something of the history
      ac tag -d app:old --confirm               take a tag away

    Without --alias the image is pinned: the tag does not move when the source does. Streams that are not there are
    created. --delete without --confirm shows what would go and changes nothing, as everything that deletes.
    """
    if not gone and len(names) < 2:
        raise Wrong("a source and at least one destination are needed: ac tag SOURCE DESTINATION...")
    place = here(options)
    if gone:
        _take_away(context, place, names, form, confirm=options["confirm"] and not options["dry_run"])
        return
    origin, *destinations = names
    for text in destinations:
        destination = Named.parse(text, place.namespace)
        if destination.digest:
            raise Wrong(f"{text!r} is an image: the destination is a tag, <stream>:<tag>")
        destination = destination.tagged()
        wish = _wish(place, origin, destination, options)
        found = _put(place, destination, wish, dry_run=options["dry_run"])
        _say(form, found, destination, wish, dry_run=options["dry_run"])


def _wish(place: Place, origin: str, destination: Named, options: Mapping[str, Any]) -> Document:
    """What is wanted of the destination. Raises :class:`Wrong`, :class:`NotThere`."""
    kind = kind_of(origin, options["said"])
    wanted = source(origin, kind, place.namespace)
    if options["alias"]:
        if kind != STREAM_TAG or f"{wanted['namespace']}/{wanted['name'].partition(':')[0]}" != destination.repository:
            raise Wrong(f"--alias follows tags of one stream: {origin!r} is no tag of {destination.repository}")
        if wanted["name"] == destination.short:
            raise Wrong(f"{destination} cannot follow itself")
    elif kind == STREAM_TAG and not options["reference"]:
        wanted = _pinned(place, wanted)
    if kind != DOCKER and (options["scheduled"] or options["insecure"]):
        raise Wrong("--scheduled and --insecure are for images of other registries")
    reference = {"reference": True} if options["reference"] else {}
    return {"name": destination.tag, "from": wanted, **reference, **policies(options)}


def _pinned(place: Place, wanted: dict[str, str]) -> dict[str, str]:
    """The image that a tag means now."""
    found = place.client.find(path("imagestreamtags", wanted["name"], namespace=wanted["namespace"]))
    if found is None and place.client.find(path("imagetags", wanted["name"], namespace=wanted["namespace"])) is None:
        raise NotThere(
            f"there is no tag {wanted['namespace']}/{wanted['name']}; if it is an image of another registry, write its "
            "host, or --source=docker"
        )
    digest = (found or {}).get("image", {}).get("metadata", {}).get("name", "")
    if not digest:
        raise NotThere(
            f"tag {wanted['namespace']}/{wanted['name']} means no image yet; look at its conditions: "
            f"kubectl -n {wanted['namespace']} describe itag {wanted['name']}"
        )
    return {**wanted, "kind": STREAM_IMAGE, "name": f"{wanted['name'].partition(':')[0]}@{digest}"}


def _put(place: Place, destination: Named, wish: Document, *, dry_run: bool) -> Document:
    """Write the tag, whether or not it is there. Annotations of the tag stay."""
    where = path("imagestreamtags", destination.short, namespace=destination.namespace)
    body: Document = {
        "apiVersion": VERSION,
        "kind": "ImageStreamTag",
        "metadata": {"name": destination.short, "namespace": destination.namespace},
        "tag": wish,
    }
    before = place.client.find(where)
    if before is not None:
        annotations = before["metadata"].get("annotations")
        body["metadata"].update({"annotations": annotations} if annotations and before.get("tag") else {})
        try:
            return place.client.replace(where, body, query=dry(dry_run))
        except KubeError as error:
            if not error.not_found:
                raise
    return place.client.create(path("imagestreamtags", namespace=destination.namespace), body, query=dry(dry_run))


def _say(form: str | None, found: Document, destination: Named, wish: Document, *, dry_run: bool) -> None:
    if form in ("json", "yaml"):
        document(form, found)
        return
    if form == "name":
        click.echo(kind_name("imagestreamtag", destination.short))
        return
    origin = wish["from"]
    name = origin["name"] if origin["kind"] == DOCKER else f"{origin['namespace']}/{origin['name']}"
    how = "follows" if origin["kind"] == STREAM_TAG and not wish.get("reference") else "set to"
    would = " (dry run)" if dry_run else ""
    click.echo(f"Tag {destination} {how} {name}{would}")


def _take_away(
    context: click.Context, place: Place, names: tuple[str, ...], form: str | None, *, confirm: bool
) -> None:
    tags = [Named.parse(text, place.namespace) for text in names]
    for named in tags:
        if not named.tag or named.digest:
            raise Wrong(f"{named} is no tag: write [<namespace>/]<stream>:<tag>; `ac delete images` deletes images")
    if not confirm:
        note("Dry run: nothing is deleted. Use --confirm to delete.")
    missing = 0
    for named in tags:
        found = place.client.find(path("imagetags", named.short, namespace=named.namespace))
        if found is None:
            problem(f"there is no tag {named}")
            missing += 1
            continue
        if confirm:
            place.client.delete(path("imagestreamtags", named.short, namespace=named.namespace))
        if form == "name":
            click.echo(kind_name("imagestreamtag", named.short))
            continue
        history = len(found.get("status", {}).get("items", ()))
        meant = f", which meant {history} {'image' if history == 1 else 'images'}" if history else ""
        click.echo(f"{'Deleted' if confirm else 'Would delete'} tag {named}{meant}")
    if missing:
        context.exit(NotThere.exit_code if missing == len(tags) else FAILED)

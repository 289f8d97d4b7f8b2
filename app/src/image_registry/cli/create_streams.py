"""``ac create imagestream`` and ``ac create imagestreamtag``."""

from __future__ import annotations

from typing import Any

import click

from image_registry.cli.connection import dry_run_option, here, place_options
from image_registry.cli.failures import Wrong
from image_registry.cli.image_api import VERSION, Named, dry, kind_name, path
from image_registry.cli.kubectl import Shared
from image_registry.cli.output import output_option, written
from image_registry.cli.switches import switch
from image_registry.cli.wishes import DOCKER, STREAM_IMAGE, STREAM_TAG, import_options, policies, source


@click.group(cls=Shared)
def create() -> None:
    """Create an image stream or a tag; everything else is kubectl's."""


@create.command("imagestream")
@click.argument("name", help="The stream.")
@switch("--lookup-local", default=False, help_="Pods of the namespace may name it without a registry.")
@dry_run_option
@output_option("json", "yaml", "name")
@place_options
def stream(*, name: str, lookup_local: bool, dry_run: bool, form: str | None, **options: Any) -> None:
    """Create an image stream, into which images are pushed or imported."""
    place = here(options)
    named = Named.parse(name, place.namespace)
    if named.tag or named.digest:
        raise Wrong(f"{name!r} is a tag or an image: `ac create imagestreamtag` makes tags")
    body = {
        "apiVersion": VERSION,
        "kind": "ImageStream",
        "metadata": {"name": named.stream, "namespace": named.namespace},
        "spec": {"lookupPolicy": {"local": lookup_local}},
    }
    found = place.client.create(path("imagestreams", namespace=named.namespace), body, query=dry(dry_run))
    written(form, found, kind_name("imagestream", named.stream), "created", dry_run=dry_run)


@create.command("imagestreamtag")
@click.argument("name", metavar="STREAM:TAG", help="The tag.")
@click.option(
    "--from", "other", default="", metavar="STREAM:TAG|STREAM@DIGEST", help="Another tag, or an image of a stream."
)
@click.option("--from-image", "image", default="", metavar="IMAGE", help="An image of any registry; it is imported.")
@click.option(
    "-A", "--annotation", "annotations", multiple=True, metavar="NAME=VALUE", help="Annotation of the tag. Repeatable."
)
@switch("--reference", default=False, help_="Only point there: nothing is imported.")
@import_options
@dry_run_option
@output_option("json", "yaml", "name")
@place_options
def tag(*, name: str, other: str, image: str, dry_run: bool, form: str | None, **options: Any) -> None:
    """Create a tag; its stream is created with it if it is not there. A tag that is there is not changed."""
    place = here(options)
    named = Named.parse(name, place.namespace)
    if not named.tag or named.digest:
        raise Wrong(f"{name!r} is no tag: write <stream>:<tag>")
    if other and image:
        raise Wrong("--from and --from-image: choose one")
    wish: dict[str, Any] = {"name": named.tag, **policies(options)}
    if options["reference"]:
        wish["reference"] = True
    if image:
        wish["from"] = source(image, DOCKER, named.namespace)
    elif other:
        wish["from"] = source(other, STREAM_IMAGE if "@" in other else STREAM_TAG, place.namespace)
    annotations = dict(_pair(text) for text in options["annotations"])
    body = {
        "apiVersion": VERSION,
        "kind": "ImageStreamTag",
        "metadata": {
            "name": named.short,
            "namespace": named.namespace,
            **({"annotations": annotations} if annotations else {}),
        },
        "tag": wish,
    }
    found = place.client.create(path("imagestreamtags", namespace=named.namespace), body, query=dry(dry_run))
    written(form, found, kind_name("imagestreamtag", named.short), "created", dry_run=dry_run)


create.add_command(stream, "is")
create.add_command(tag, "istag")


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise Wrong(f"--annotation {text!r}: write <name>=<value>")
    return name, value

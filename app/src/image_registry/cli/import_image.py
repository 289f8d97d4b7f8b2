"""``ac import-image``: tell the registry to look at another one, and show what it found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from image_registry.cli.connection import dry_run_option, here, place_options
from image_registry.cli.failures import FAILED, NotThere, Wrong
from image_registry.cli.image_api import VERSION, Named, dry, kind_name, path
from image_registry.cli.output import document, output_option, problem, rows, warn
from image_registry.cli.switches import switch
from image_registry.cli.wishes import DOCKER, import_options, policies
from image_registry.remote.reference import RemoteReference

WAIT = 3600.0
"""Seconds: a whole repository over a slow line takes its time, and the server ends what is hopeless."""


@click.command("import-image")
@click.argument("name", metavar="STREAM[:TAG]", help="The tag to import into, else latest.")
@click.option("--from", "source", default="", metavar="IMAGE", help="Image, or with --all repository, to import.")
@switch("--confirm", default=False, help_="Create the stream or the tag if it is not there.")
@switch("--all", "everything", default=False, help_="Every tag: of the repository, or that the stream wants.")
@import_options
@dry_run_option
@output_option("json", "yaml", "name")
@place_options
@click.pass_context
def import_image(context: click.Context, /, *, name: str, dry_run: bool, form: str | None, **options: Any) -> None:
    """Import an image of another registry into a tag, now.

    A tag that has a source is imported from there again; one that is new needs --from and --confirm. What the tag
    meant before stays in its history.
    """
    place = here(options)
    named = Named.parse(name, place.namespace)
    if named.digest:
        raise Wrong(f"{name!r} is an image: write <stream>[:<tag>]")
    stream = place.client.find(path("imagestreams", named.stream, namespace=named.namespace))
    if stream is None and not options["confirm"]:
        raise NotThere(f"there is no image stream {named.repository}: --confirm creates it")
    spec = _spec(named, stream, options)
    body = {
        "apiVersion": VERSION,
        "kind": "ImageStreamImport",
        "metadata": {"name": named.stream, "namespace": named.namespace},
        "spec": {"import": True, **spec},
    }
    where = path("imagestreamimports", namespace=named.namespace)
    found = place.client.create(where, body, query=dry(dry_run), timeout=WAIT)
    failed = _show(found, named, form, dry_run=dry_run)
    if failed:
        context.exit(FAILED)


def _spec(named: Named, stream: Mapping[str, Any] | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """What is asked for. Raises :class:`Wrong`, :class:`NotThere`."""
    wanted = (stream or {}).get("spec", {})
    source, policy = options["source"], policies(options)
    if source:
        RemoteReference.parse(source)
    if options["everything"]:
        if named.tag:
            raise Wrong("--all is for every tag: leave out the tag")
        whole = source or wanted.get("dockerImageRepository", "")
        if whole:
            return {"repository": {"from": {"kind": DOCKER, "name": whole}, **policy}}
        images = [_again(tag, policy) for tag in wanted.get("tags", ()) if _imported(tag)]
        if not images:
            raise NotThere(f"no tag of {named.repository} is imported from anywhere: name a repository by --from")
        return {"images": images}
    tag = named.tag or "latest"
    known = next((entry for entry in wanted.get("tags", ()) if entry["name"] == tag), None)
    if known is not None and not _imported(known):
        kind = known.get("from", {}).get("kind", "nothing")
        raise Wrong(f"tag {named.repository}:{tag} points to {kind} and is not imported; change it by `ac tag`")
    if known is None:
        return {"images": [_new(named, tag, source, policy, options, stream=stream)]}
    before = known["from"]["name"]
    if source and source != before and not options["confirm"]:
        raise Wrong(f"tag {named.repository}:{tag} is imported from {before}: --confirm changes that")
    return {"images": [_again(known, policy, source)]}


def _new(
    named: Named, tag: str, source: str, policy: Mapping[str, Any], options: Mapping[str, Any], *,
    stream: Mapping[str, Any] | None,
) -> dict[str, Any]:  # fmt: skip
    if stream is not None and not options["confirm"]:
        raise NotThere(f"image stream {named.repository} has no tag {tag} that is imported: --confirm creates it")
    if not source:
        raise Wrong(f"nothing says where {named.repository}:{tag} is to come from: name an image by --from")
    return {"from": {"kind": DOCKER, "name": source}, "to": {"name": tag}, **policy}


def _imported(tag: Mapping[str, Any]) -> bool:
    return tag.get("from", {}).get("kind") == DOCKER and not tag.get("reference")


def _again(tag: Mapping[str, Any], policy: Mapping[str, Any], source: str = "") -> dict[str, Any]:
    """As the tag wants it, apart from what the options say."""
    importing = {**tag.get("importPolicy", {}), **policy.get("importPolicy", {})}
    return {
        "from": {"kind": DOCKER, "name": source or tag["from"]["name"]},
        "to": {"name": tag["name"]},
        **({"importPolicy": importing} if importing else {}),
        "referencePolicy": policy.get("referencePolicy") or tag.get("referencePolicy") or {"type": "Source"},
    }


def _show(found: Mapping[str, Any], named: Named, form: str | None, *, dry_run: bool) -> int:
    """Print; returns how many failed."""
    results = list(_results(found))
    failed = [result for result in results if result["status"].get("status") != "Success"]
    if form in ("json", "yaml"):
        document(form, found)
    elif form == "name":
        click.echo(kind_name("imagestream", named.stream))
    else:
        done = "would be imported (dry run)" if dry_run else "imported"
        click.echo(f"{kind_name('imagestream', named.stream)} {done if len(failed) < len(results) else 'not imported'}")
        rows(("TAG", "IMAGE", "RESULT"), (_row(result) for result in results))
    for result in failed:
        status = result["status"]
        problem(f"{result.get('tag') or named.repository}: {status.get('reason', '')}: {status.get('message', '')}")
    more = found.get("status", {}).get("repository", {}).get("additionalTags", ())
    if more:
        warn(f"{len(more)} more tags of the repository were left out: {', '.join(sorted(more)[:10])}")
    return len(failed)


def _results(found: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    status = found.get("status", {})
    yield from status.get("images", ())
    whole = status.get("repository")
    if whole is not None:
        if whole.get("status", {}).get("status") != "Success":
            yield {"tag": "", "status": whole.get("status", {})}
        yield from whole.get("images", ())


def _row(result: Mapping[str, Any]) -> tuple[str, str, str]:
    status = result["status"]
    image = result.get("image", {}).get("metadata", {}).get("name", "<none>")
    done = "imported" if status.get("status") == "Success" else str(status.get("reason", "failed"))
    return result.get("tag") or "<all>", image, done

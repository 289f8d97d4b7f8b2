"""``ac get images`` and ``ac delete images``: what repositories hold, by repository and tag."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import click

from image_registry.cli.connection import Place, here, place_options
from image_registry.cli.failures import FAILED, NotThere, Wrong, explained
from image_registry.cli.image_api import GROUP, Document, Named, kind_name, listed, path
from image_registry.cli.kubectl import Shared
from image_registry.cli.output import FORMS, document, note, output_option, problem, rows, since
from image_registry.cli.prune_output import SHORT
from image_registry.cli.switches import confirm_option, switch
from image_registry.kube.errors import KubeError
from image_registry.measures import size
from image_registry.remote.reference import parse_registry

NO_EFFECT = "Accepted for scripts of before; changes nothing."


@dataclass(frozen=True, slots=True)
class Tagged:
    """What a tag of a repository means now."""

    repository: str
    tag: str
    digest: str
    created: str
    reference: str

    def document(self) -> Document:
        """For programs."""
        return {
            "repository": self.repository,
            "tag": self.tag,
            "digest": self.digest,
            "created": self.created,
            "imageReference": self.reference,
        }


@click.group(cls=Shared)
def get() -> None:
    """Show images by repository and tag; everything else is kubectl's, image streams too."""


@get.command("images")
@click.argument("repositories", nargs=-1, metavar="[STREAM]...", help="Streams; else all of them.")
@click.option("-A", "--all-namespaces", "everywhere", is_flag=True, help="Of all namespaces.")
@switch("--no-headers", default=False, help_="Rows alone.")
@output_option(*FORMS)
@place_options
@click.option("--registry-url", default="", help=NO_EFFECT)
@click.option("--catalog-page-size", default="", help=NO_EFFECT)
@switch("--fast", default=False, help_=NO_EFFECT)
def get_images(
    *, repositories: tuple[str, ...], everywhere: bool, no_headers: bool, form: str | None, **options: Any
) -> None:
    """Show repositories and their tags; `-o wide` also digest and age.

    Of the namespace, or of all by -A, which needs the right to list imagestreams in all of them. The objects behind
    it are shown by kubectl: image streams (`ac get imagestreams`), tags (`ac get istag`), and Images of the whole
    cluster (`ac get images.image.alauda.io`).
    """
    place = here(options)
    if everywhere and repositories:
        raise Wrong("--all-namespaces and names: choose one")
    wanted = [Named.parse(text, place.namespace) for text in repositories]
    found = sorted(
        _wanted(place, wanted)
        if wanted
        else _tags(listed(place.client, "imagestreams", "" if everywhere else place.namespace)),
        key=lambda tagged: (tagged.repository, tagged.tag),
    )
    if form in ("json", "yaml"):
        document(form, {"kind": "RepositoryTagList", "items": [tagged.document() for tagged in found]})
    elif form == "name":
        for tagged in found:
            click.echo(kind_name("imagestreamtag", f"{tagged.repository.partition('/')[2]}:{tagged.tag}"))
    elif not found:
        note("No images found" if everywhere else f"No images found in namespace {place.namespace}.")
    elif form == "wide":
        lines = ((tagged.repository, tagged.tag, tagged.digest, since(tagged.created)) for tagged in found)
        rows(("REPOSITORY", "TAG", "DIGEST", "AGE"), lines, headers=not no_headers)
    else:
        rows(("REPOSITORY", "TAG"), ((tagged.repository, tagged.tag) for tagged in found), headers=not no_headers)


def _wanted(place: Place, wanted: list[Named]) -> Iterator[Tagged]:
    for named in wanted:
        stream = place.client.get(path("imagestreams", named.stream, namespace=named.namespace))
        yield from (tagged for tagged in _tags([stream]) if named.tag in ("", tagged.tag))


def _tags(streams: Iterator[Mapping[str, Any]] | list[Document]) -> Iterator[Tagged]:
    for stream in streams:
        metadata = stream["metadata"]
        for history in stream.get("status", {}).get("tags", ()):
            items = history.get("items") or ()
            newest = items[0] if items else {}
            if newest:
                yield Tagged(
                    f"{metadata['namespace']}/{metadata['name']}",
                    history["tag"],
                    newest.get("image", ""),
                    newest.get("created", ""),
                    newest.get("dockerImageReference", ""),
                )


@click.group(cls=Shared)
def delete() -> None:
    """Delete images of repositories; everything else is kubectl's."""


@delete.command("images")
@click.argument("names", nargs=-1, metavar="[REPOSITORY:TAG|REPOSITORY@DIGEST]...", help="As --repo.")
@click.option(
    "--repo", "repos", multiple=True, metavar="NAMESPACE/NAME:TAG",
    help="A tag, or by @<digest> an image, of a repository; a registry in front is left out. Repeatable.",
)  # fmt: skip
@confirm_option("Delete.")
@output_option("json", "yaml", "name")
@place_options
@click.option("--registry-url", default="", help=NO_EFFECT)
@click.pass_context
def delete_images(
    context: click.Context, /, *, names: tuple[str, ...], repos: tuple[str, ...], confirm: bool, form: str | None,
    **options: Any,
) -> None:  # fmt: skip
    """Delete tags, or images, of repositories.

    A tag goes with its history; other tags of the same image stay. An image goes from its repository if no tag and no
    other image there needs it. Bytes come back with the next garbage collection, if nobody else has the image. Needs
    the ClusterRole system:image-deleter, or admin, in the namespace.
    """
    place = here(options)
    if not (names or repos):
        raise Wrong("name at least one image: <namespace>/<name>:<tag>, or <namespace>/<name>@<digest>")
    wanted = [Named.parse(_local(text), place.namespace) for text in (*repos, *names)]
    for named in wanted:
        if not (named.tag or named.digest):
            raise Wrong(f"{named} is a whole repository: name a tag or a digest; `kubectl delete is` deletes streams")
    if not confirm:
        note("Dry run: nothing is deleted. Use --confirm to delete.")
    results = [_delete(place, named, confirm=confirm) for named in wanted]
    _show(results, form, confirm=confirm)
    codes = {result["code"] for result in results}
    if codes != {0}:
        context.exit(codes.pop() if len(codes) == 1 else FAILED)


def _local(text: str) -> str:
    """Without a registry in front. Raises :class:`Wrong` for an Image of the cluster."""
    if text.startswith(("sha256:", "sha512:")):
        raise Wrong(f"{text} is an Image of the whole cluster: `kubectl delete images.{GROUP}` deletes those")
    first, slash, rest = text.partition("/")
    if slash and "/" in rest:
        parse_registry(first)
        return rest
    return text


def _delete(place: Place, named: Named, *, confirm: bool) -> Document:
    """What happened, or would; an error is told and the others go on."""
    resource = "imagestreamimages" if named.digest else "imagestreamtags"
    where = path(resource, named.short, namespace=named.namespace)
    result: Document = {"name": str(named), "resource": resource, "code": 0}
    try:
        found = place.client.get(where)
        image = found.get("image", {})
        result |= {"digest": image.get("metadata", {}).get("name", ""), "size": _size(image)}
        body = None if confirm else {"apiVersion": "v1", "kind": "DeleteOptions", "dryRun": ["All"]}
        place.client.request("DELETE", where, body)
    except KubeError as error:
        if error.not_found:
            failure: click.ClickException = NotThere(f"there is no {named}")
        else:
            failure = explained(error)
        return result | {"code": failure.exit_code, "error": failure.message}
    return result


def _size(image: Mapping[str, Any]) -> int:
    return int(image.get("dockerImageMetadata", {}).get("Size") or sum(
        layer.get("size", 0) for layer in image.get("dockerImageLayers", ())
    ))  # fmt: skip


def _show(results: list[Document], form: str | None, *, confirm: bool) -> None:
    for result in results:
        if "error" in result:
            problem(f"{result['name']}: {result['error']}")
    done = [result for result in results if "error" not in result]
    if form in ("json", "yaml"):
        document(form, {"kind": "ImageDeletion", "dryRun": not confirm, "items": results})
    elif form == "name":
        for result in done:
            click.echo(kind_name(result["resource"].removesuffix("s"), result["name"].partition("/")[2]))
    else:
        for result in done:
            what = "image" if result["resource"] == "imagestreamimages" else "tag"
            said = "Deleted" if confirm else "Would delete"
            image = f" ({result['digest'][:SHORT]}, {size(result['size'])})" if result["digest"] else ""
            click.echo(f"{said} {what} {result['name']}{image}")

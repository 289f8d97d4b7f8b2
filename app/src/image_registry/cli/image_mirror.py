"""``ac image mirror``: copy images between registries and folders, few or all of a platform's."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from image_registry.cli import given_files
from image_registry.cli.auth_file import keyring
from image_registry.cli.failures import FAILED, Failed, Wrong, told
from image_registry.cli.inside import own_login
from image_registry.cli.mirror_output import Watcher, show_plan, show_report
from image_registry.cli.other_registries import registry_options, wire
from image_registry.cli.output import output_option
from image_registry.cli.switches import switch
from image_registry.mirroring.applying import Watching
from image_registry.mirroring.in_registry import Client
from image_registry.mirroring.journal import Journal
from image_registry.mirroring.limits import PER_STORE, STORES, Limits
from image_registry.mirroring.mirror import Mirror
from image_registry.mirroring.places import DOCKER, paired, parse_mapping, parse_mappings, parse_place
from image_registry.mirroring.places import Mapping as ImageMapping
from image_registry.mirroring.planner import tags_to_be_written_twice
from image_registry.mirroring.wishes import InvalidPattern, Wishes, wishes
from image_registry.remote.asking import Access
from image_registry.remote.budget import Budget
from image_registry.remote.credentials import Keyring
from image_registry.remote.registry import Registries
from image_registry.remote.sources import SourceRules
from image_registry.remote.writing import Writing

F = TypeVar("F", bound=Callable[..., Any])

PATIENCE, ANSWER = 300.0, 300.0
"""Seconds: how long a registry may keep us waiting, and how long it may take to put a large blob in its place."""

NO_LIMIT = 1_000_000

PATTERNS = {"platforms": "--filter-by-os", "tags": "--tag-filter"}

OLDER = "Accepted for scripts of other clients; what is copied is always verified."


@click.command("mirror")
@click.argument("words", nargs=-1, metavar="SRC DST [DST …] | SRC=DST …", help="From where to where.")
@click.option(
    "-f", "--filename", type=click.File(encoding="utf-8"), default=None,
    help="File of mappings, one SRC=DST a line; - is the standard input.",
)  # fmt: skip
@click.option(
    "--filter-by-os", default="", metavar="REGEX",
    help="Of indexes only images whose os/architecture[/variant] it is found in. The digest of the index changes.",
)  # fmt: skip
@switch("--keep-manifest-list", default=False, help_="Let an index stay an index when one image of it is left.")
@click.option(
    "--tag-filter", "tag_filters", multiple=True, metavar="REGEX",
    help="Where SRC means several tags: only those that it fits as a whole. Repeatable.",
)  # fmt: skip
@click.option(
    "--referrers/--skip-referrers", default=True, show_default=True,
    help="Also signatures, attestations and lists of contents: referrers, and tags that cosign makes.",
)  # fmt: skip
@click.option("--dir", "folder", type=click.Path(path_type=Path, file_okay=False), default=Path(), help="Of file://.")
@click.option(
    "--from-dir", type=click.Path(path_type=Path, file_okay=False), default=None,
    help="Of file:// sources, if that is another one.",
)  # fmt: skip
@switch("--dry-run", default=False, help_="Show what would be sent to whom; nothing is changed.")
@switch("--continue-on-error", default=False, help_="Go on with other images when one fails.")
@switch("--skip-missing", default=False, help_="A source that does not exist is no error.")
@switch("--skip-mount", default=False, help_="Send blobs instead of taking them over from other repositories.")
@switch("--skip-multiple-scopes", default=False, help_="Ask for no token of two repositories; nothing is mounted.")
@switch("--force", default=False, help_="Send everything, also what is there.")
@click.option(
    "--journal", type=click.Path(path_type=Path, dir_okay=False), default=None,
    help="File where what is done is written down, so that the next run need not ask for it.",
)  # fmt: skip
@click.option(
    "--max-per-registry", type=click.IntRange(1, 64), default=PER_STORE, show_default=True,
    help="Requests at once for each registry.",
)  # fmt: skip
@click.option(
    "--max-registry", type=click.IntRange(1, 16), default=STORES, show_default=True, help="Registries at once."
)
@click.option(
    "--max-requests-per-second", "rate", type=click.FloatRange(0), default=0, show_default=True,
    help="For each registry; 0 is no limit.",
)  # fmt: skip
@output_option("json", "yaml")
@registry_options
@switch("--skip-verification", default=False, help_=OLDER)
@click.pass_context
def mirror(context: click.Context, /, words: tuple[str, ...], **options: Any) -> None:
    """Copy images from one registry to others, to folders and back.

    \b
    SRC and DST: [docker://]<host>/<path>[:<tag>|@<digest>]
                 file://<path>[:<tag>]        a folder as `oc image mirror` makes it, below --dir
                 oci:<folder>[:<name>]        an OCI image layout
    SRC may mean several tags: app:*  app:1.*  app:1.0,1.1. Then DST is written without a tag.

    Each blob is sent once, verified while it is sent, and not at all if it is there. What breaks off goes on where it
    stopped, also in the next run. Exit code 0: every image is at its target; 1: some are not, and the report says why.
    """
    with told():
        mappings = _mappings(words, options)
        limits = Limits(options["max_per_registry"], options["max_registry"])
        with Journal(None if options["dry_run"] else options["journal"]) as journal:
            engine = Mirror(_client(mappings, options), _wishes(options), limits, journal)
            with Watcher(sys.stderr, quiet=options["form"] is not None) as watcher:
                prepared = engine.prepare(mappings, watcher.looking)
                if options["dry_run"]:
                    watcher.stop()
                    context.exit(show_plan(prepared, options["form"]))
                twice = tags_to_be_written_twice(prepared.plan)
                if twice:
                    raise Failed(f"several images are to be {', '.join(twice[:5])}; give them different tags")
                watcher.planned(prepared.plan)
                report = engine.apply(
                    prepared,
                    Watching(watcher.sent, watcher.image),
                    continue_on_error=options["continue_on_error"],
                )
        show_report(report, options["form"])
        context.exit(0 if report.good else FAILED)


def _mappings(words: Sequence[str], options: Mapping[str, Any]) -> list[ImageMapping]:
    target = options["folder"]
    source = options["from_dir"] or target
    found: list[ImageMapping] = []
    if options["filename"] is not None:
        file = options["filename"]
        found += parse_mappings(given_files.lines(file, file.name), source, target)
    if any("=" in word for word in words):
        found += [parse_mapping(word, source, target) for word in words]
    elif len(words) > 1:
        first = parse_place(words[0], source)
        found += [paired(first, parse_place(word, target)) for word in words[1:]]
    elif words:
        raise Wrong(f"where is {words[0]} to go? Write a second name, or {words[0]}=<target>")
    if not found:
        raise Wrong("nothing to copy: write SRC DST, SRC=DST, or -f with a file of mappings")
    return list(dict.fromkeys(found))


def _wishes(options: Mapping[str, Any]) -> Wishes:
    try:
        return wishes(
            platforms=options["filter_by_os"],
            tags=options["tag_filters"],
            keep_list=options["keep_manifest_list"],
            referrers=options["referrers"],
            skip_missing=options["skip_missing"],
            force=options["force"],
        )
    except InvalidPattern as error:
        raise Wrong(f"{PATTERNS[error.parameter]} {error}") from None


def _client(mappings: Sequence[ImageMapping], options: Mapping[str, Any]) -> Client:
    rate = options["rate"] or NO_LIMIT
    registries = Registries(
        wire(options["certificate_authority"], read=ANSWER), SourceRules(), Budget(rate, max(int(rate), 1))
    )
    places = [place for mapping in mappings for place in (mapping.source, mapping.target) if place.kind == DOCKER]
    logins = Keyring.joined([keyring(options["registry_config"]), own_login(place.root for place in places)])
    access = Access(logins, insecure=options["insecure"], patience=PATIENCE)
    mounts = not (options["skip_mount"] or options["skip_multiple_scopes"])
    return Client(registries, Writing(registries.questions), access, mounts)

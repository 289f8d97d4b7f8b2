"""``ac adm prune images``: show what may go, and with ``--confirm`` let it go."""

from __future__ import annotations

import sys
import time
from typing import Any

import click

from image_registry.cli import beside_migration
from image_registry.cli.connection import cluster_options, connect
from image_registry.cli.failures import RightsError, Unreachable
from image_registry.cli.output import warn
from image_registry.cli.prune_output import FORMS, Output, output
from image_registry.cli.reading import Reading
from image_registry.cli.switches import switch
from image_registry.kube.client import ClusterClient
from image_registry.kube.errors import ClusterUnreachable, KubeconfigError, KubeError, NoRegistry, RightsMissing
from image_registry.kube.image_references import CustomField, UnknownResource
from image_registry.pruning.applying import Executor
from image_registry.pruning.gathering import check_rights, find_hosts, make_plan, read_usage
from image_registry.pruning.outcome import Outcome
from image_registry.pruning.planner import Planner
from image_registry.pruning.rules import InvalidRule, Rules, parse_duration, parse_patterns
from image_registry.pruning.schedule import CRONJOB, NAMESPACE, read_schedule

NO_EFFECT = "Accepted for scripts of other pruners; changes nothing."

PLAN_SHOWN = 4
"""Log level of kubectl from which programs say what they do."""


@click.command("images")
@switch("--confirm", default=False, help_="Delete. Without it nothing is changed and the plan is shown.")
@switch("--all", "all_images", default=True, help_="Also images that were not pushed into this registry.")
@click.option(
    "--keep-younger-than", default="60m", metavar="DURATION",
    help="What is younger stays. Not given: as the schedule says, else 60m.",
)  # fmt: skip
@click.option(
    "--keep-tag-revisions", type=click.IntRange(0), default=3,
    help="Newest images of each tag stay. Not given: as the schedule says, else 3.",
)  # fmt: skip
@switch("--prune-over-size-limit", default=False, help_="Only images beyond the limit of their namespace (LimitRange).")
@click.option(
    "-n", "--namespace", "namespaces", multiple=True, metavar="NAME",
    help="Only streams of this namespace; then no Image object is deleted. Repeatable.",
)  # fmt: skip
@click.option(
    "--whitelist", multiple=True, metavar="REGEX",
    help="What it is found in stays: <ns>/<name>, <ns>/<name>:<tag>, <ns>/<name>@<digest>. Repeatable.",
)  # fmt: skip
@click.option(
    "--image-field", "fields", multiple=True, metavar="GROUP/VERSION/RESOURCE=PATH",
    help="Where objects of a custom resource name an image that is in use. Repeatable.",
)  # fmt: skip
@click.option(
    "--registry-host", "hosts", multiple=True, metavar="HOST[:PORT]",
    help="One more name of this registry: of a route, or of the registry before it. Repeatable.",
)  # fmt: skip
@click.option("--registry-url", default="", metavar="URL", help="One more name of this registry.")
@switch(
    "--local-usage", default=False,
    help_="With --namespace: look for workloads only there. What others use is not protected.",
)  # fmt: skip
@click.option("--num-workers", type=click.IntRange(1, 64), default=5, show_default=True, help="Deletions at a time.")
@click.option("-o", "--output", "form", type=click.Choice(FORMS), default=None, help="Form of the report.")
@beside_migration.acceptance_option
@cluster_options
@switch("--prune-registry", default=True, help_=NO_EFFECT)
@switch("--ignore-invalid-refs", default=False, help_=NO_EFFECT)
@switch("--force-insecure", default=False, help_=NO_EFFECT)
@click.option("--certificate-authority", default="", help=NO_EFFECT)
@click.option("--catalog-page-size", default="", help=NO_EFFECT)
@click.option(
    "-v", "--loglevel", type=click.IntRange(0), default=0, help="From 4 on, show the plan of a real run, too."
)
@click.pass_context
def images(context: click.Context, /, **options: Any) -> None:
    """Delete images that nothing uses.

    An image stays while a workload of the cluster names or runs it, while it is one of the newest of its tag, while
    it is young, or while something that stays needs it. The report names for every image who keeps it.

    What the schedule (CronJob image-pruner) excludes stays here too, and its names of the registry and its fields of
    custom resources count.

    \b
    Exit codes:
      0  done; or, without --confirm, shown
      1  something of the plan could not be deleted; all the rest was
      2  wrong options: an expression, a path, a resource that is not there; or a migration is under way
      3  rights are missing, each is named; nothing was done
      4  the cluster or the Image API does not answer
    """
    rules = _rules(context, options)
    options["hosts"] = tuple(host for host in options["hosts"] if host)
    fields = _fields(tuple(field for field in options["fields"] if field))
    beside_migration.refuse(options)
    shown = output(options["form"], confirm=options["confirm"], planned=options["loglevel"] >= PLAN_SHOWN)
    try:
        client = connect(options["kubeconfig"], options["context"])
        schedule = read_schedule(client)
        if schedule.unread and options["local_usage"]:  # else the right to list all CronJobs is asked for, and named
            _do_without(context, options)
        rules = schedule.held(
            rules,
            age_given=_is_given(context, "keep_younger_than"),
            revisions_given=_is_given(context, "keep_tag_revisions"),
        )
        fields += _fields(schedule.image_fields)
        planner, local = _plan(
            client, rules, fields, {**options, "hosts": (*options["hosts"], *schedule.registry_hosts)}
        )
        shown.begin(planner.plan)
        if not options["confirm"]:
            shown.end(planner.plan, None)
            return
        outcome = _execute(client, planner, fields, options, shown, local=local)
    except RightsMissing as error:
        named = "\n".join(f"  {right}" for right in error.rights)
        raise RightsError(
            f"these rights are missing; nothing was done:\n{named}\n"
            "bind the ClusterRole system:image-pruner to this user or ServiceAccount"
            + (", and a role that lists the resources of --image-field" if fields else "")
        ) from None
    except UnknownResource as error:
        raise click.UsageError(str(error), context) from None
    except KubeError as error:
        if error.forbidden:
            raise RightsError(str(error)) from None
        raise Unreachable(str(error)) from None
    except (NoRegistry, ClusterUnreachable, KubeconfigError, ValueError) as error:
        raise Unreachable(str(error)) from None
    shown.end(planner.plan, outcome)
    if outcome.failed or outcome.stopped:
        context.exit(1)


def _rules(context: click.Context, options: dict[str, Any]) -> Rules:
    """Raises UsageError."""
    over = options["prune_over_size_limit"]
    given = [name for name in ("keep_younger_than", "keep_tag_revisions") if _is_given(context, name)]
    if over and given:
        raise click.UsageError(
            f"--prune-over-size-limit looks at sizes alone: leave out --{given[0].replace('_', '-')}", context
        )
    if options["local_usage"] and not options["namespaces"]:
        raise click.UsageError("--local-usage needs --namespace", context)
    try:
        return Rules(
            now=int(time.time()),
            keep_younger_than=0 if over else parse_duration(options["keep_younger_than"]),
            keep_tag_revisions=options["keep_tag_revisions"],
            all_images=options["all_images"],
            over_limit=over,
            namespaces=frozenset(options["namespaces"]),
            allowed=parse_patterns(options["whitelist"]),
        )
    except InvalidRule as error:
        raise click.UsageError(str(error), context) from None


_AGES = {"keep_younger_than": "--keep-younger-than", "keep_tag_revisions": "--keep-tag-revisions"}


def _do_without(context: click.Context, options: dict[str, Any]) -> None:
    """What a schedule that may not be read excludes is not known. Raises RightsError unless every rule is named."""
    ages = {} if options["prune_over_size_limit"] else _AGES
    names = {**ages, "whitelist": "--whitelist", "hosts": "--registry-host", "fields": "--image-field"}
    silent = ", ".join(said for name, said in names.items() if not _is_given(context, name))
    if not silent:
        return
    why = f"the schedule (CronJob {NAMESPACE}/{CRONJOB}) may not be read, so what it keeps and excludes is not known"
    if not options["confirm"]:
        warn(f"{why}: --confirm is refused without {silent}")
        return
    raise RightsError(
        f"{why}; nothing was done. Ask for the right to list cronjobs.batch in namespace {NAMESPACE}, or name the "
        f"rules yourself: {silent} (--whitelist='^$' where nothing is excluded, --registry-host='' and "
        "--image-field='' where the registry has no other name and no custom resource names images)"
    )


def _is_given(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


def _fields(texts: tuple[str, ...]) -> list[CustomField]:
    try:
        return [CustomField.parse(text) for text in texts]
    except ValueError as error:
        raise click.UsageError(f"--image-field: {error}") from None


def _plan(
    client: ClusterClient, rules: Rules, fields: list[CustomField], options: dict[str, Any]
) -> tuple[Planner, bool]:
    local = options["local_usage"]
    check_rights(client, rules, fields, confirm=options["confirm"], local_usage=local)
    with Reading(sys.stderr) as reading:
        hosts = find_hosts(client, rules, (*options["hosts"], options["registry_url"]))
        usage = read_usage(client, hosts, rules, fields, local=local, progress=reading.read)
        return make_plan(client, rules, usage, progress=reading.read), local


def _execute(
    client: ClusterClient,
    planner: Planner,
    fields: list[CustomField],
    options: dict[str, Any],
    shown: Output,
    *,
    local: bool,
) -> Outcome:
    rules, hosts = planner.plan.rules, planner.plan.usage.hosts
    usage = read_usage(client, hosts, rules, fields, local=local)  # what is used by now
    return Executor(client, planner, usage, workers=options["num_workers"], tell=shown.done).run()

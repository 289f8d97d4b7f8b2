"""RENAME_IMAGES and BACKFILL: asked of this registry, whose Pods have the storage and the database (ADR 80)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from image_registry.migration.actions import Context, Outcome, Saved, StepFailed
from image_registry.migration.exceptions import Exceptions
from image_registry.migration.frozen_content import renames, surveyed
from image_registry.migration.item_results import ACCEPTED, FAILED, GOOD, ItemResult, ResultFile, results_path
from image_registry.migration.plan import Step
from image_registry.migration.registry_access import in_bodies, target_of
from image_registry.oci.reference import is_ours

AT_ONCE = 400
"""Streams that one request lets be forgotten."""


class RenameImages:
    """A :class:`~image_registry.migration.actions.Doer`: links under new names to bytes that are there."""

    def foresee(self, step: Step, context: Context) -> str:
        del context
        return f"link {len(step.parameters['names'])} repositories under their new names; no byte is copied"

    def before(self, step: Step, context: Context) -> Saved:
        del step, context
        return {}  # the registry writes down what it links

    def do(self, step: Step, saved: Saved, context: Context) -> Outcome:
        del saved
        return self._ask(step, context, undo=False)

    def undo(self, step: Step, saved: Saved, context: Context) -> Outcome:
        del saved
        return self._ask(step, context, undo=True)

    def _ask(self, step: Step, context: Context, *, undo: bool) -> Outcome:
        registry, names = target_of(context), dict(step.parameters["names"])
        began, refused = context.clock(), dict[str, str]()
        links = repositories = 0
        for portion in in_bodies(names):
            report = registry.run("rename", {"names": portion, "confirm": True, "undo": undo}, context)
            refused |= report["refused"]
            links, repositories = links + report["links"], repositories + report["repositories"]
        spent = context.clock() - began
        exceptions, path = Exceptions(context), results_path(context.folder, step)
        results = [
            ItemResult(
                image=old,
                outcome=FAILED if old in refused else GOOD,
                cause=refused.get(old, ""),
                target=new,
                id=f"rename:{old}",
                accepted=exceptions.by(f"rename:{old}") if old in refused else "",
                seconds=spent,
            )
            for old, new in sorted(names.items())
        ]
        with ResultFile(path, anew=True) as file:
            file.add(results)
        what = "links of {} repositories removed" if undo else "repositories linked: {}"
        kept = f"; {len(refused)} left as they are, because they were pushed to since" if undo and refused else ""
        detail = f"{what.format(repositories)}, {links} links in {spent:.1f} s, 0 bytes copied{kept}; each in {path}"
        if undo:
            return Outcome(detail)
        return Outcome(detail, open=tuple(r.id for r in results if r.outcome == FAILED and not r.accepted))


class Backfill:
    """A :class:`~image_registry.migration.actions.Doer`: streams, tags and Images in full, from the storage."""

    def foresee(self, step: Step, context: Context) -> str:
        del context
        return f"make streams, tags and {step.parameters.get('images', 0)} Images from the storage"

    def before(self, step: Step, context: Context) -> Saved:
        del step, context
        return {}

    def do(self, step: Step, saved: Saved, context: Context) -> Outcome:
        del saved
        report = target_of(context).run("rebuild", {"confirm": True}, context)
        path, exceptions = results_path(context.folder, step), Exceptions(context)
        results = list(_results(report, exceptions))
        with ResultFile(path, anew=True) as file:
            file.add(results)
        if not report["complete"]:
            raise StepFailed(
                f"{len(report['unreadable'])} repositories of the storage cannot be read: "
                f"{'; '.join(report['unreadable'][:3])}. Mend the storage and run again; the others are done"
            )
        told = sum(report["totals"].values())
        return Outcome(
            f"{report['repositories']} streams, {report['tags']} tags, {report['manifests']} manifests, "
            f"{report['images']} new Images in {report['seconds']:.1f} s; {told} things told, each in {path}"
        )

    def undo(self, step: Step, saved: Saved, context: Context) -> Outcome:
        del saved
        registry, forgotten, kept = target_of(context), 0, dict[str, str]()
        names = iter(_streams(context))
        while portion := list(islice(names, AT_ONCE)):
            report = registry.run("forget", {"streams": portion, "confirm": True}, context)
            forgotten += report["streams"]
            kept |= report["kept"]
        with ResultFile(results_path(context.folder, step)) as file:
            file.add(
                ItemResult(image=name, outcome="kept", cause=why, id=f"stream:{name}") for name, why in kept.items()
            )
        said = (
            f"; {len(kept)} kept: {', '.join(f'{name} ({why})' for name, why in list(kept.items())[:5])}"
            if kept
            else ""
        )
        return Outcome(f"{forgotten} streams forgotten, no byte removed{said}")


def _streams(context: Context) -> Iterator[str]:
    names = renames(context)
    for repository in surveyed(context).repositories():
        target = names.get(repository.name, repository.name)
        if target and is_ours(target):
            yield target


def _results(report: Mapping[str, Any], exceptions: Exceptions) -> Iterator[ItemResult]:
    for found in report["found"]:
        repository, subject = found["repository"], found["subject"]
        mark = "@" if ":" in subject else ":"
        name = f"{repository}{mark}{subject}" if repository else subject
        accepted = exceptions.by(f"backfill:{name}", repository, (subject,))
        yield ItemResult(
            image=name,
            outcome=ACCEPTED if accepted else "told",
            cause=f"{found['kind']}: {found['detail']}",
            id=f"backfill:{name}",
            accepted=accepted,
        )
    for text in report["unreadable"]:
        yield ItemResult(image=text.partition(":")[0], outcome=FAILED, cause=text)

"""Findings about what lies in the registry and who uses it: names that cannot stay, broken images, workloads."""

from __future__ import annotations

from collections.abc import Iterator

from image_registry.migration.case import Case
from image_registry.migration.choices import Way
from image_registry.migration.content import OLD_MANIFEST
from image_registry.migration.findings import Finding, blocking, note, warning
from image_registry.migration.rewriting import repository_of, rewrites
from image_registry.migration.spelling import Said

HARMLESS = frozenset({"unlinked blob", "strange name"})
"""What the storage's own look reports, and what this registry reads all the same."""


def content_findings(case: Case) -> Iterator[Finding]:
    """Everything about images."""
    summary = case.summary
    if summary is None:
        yield blocking(
            "no-survey",
            case.inventory.namespace,
            "what lies in the registry was not surveyed to its end",
            f"run {case.choices.spelling(Said.DO_SURVEY)}, and again if it was interrupted",
        )
    elif not summary.repositories:
        yield warning(
            "empty", summary.place, "there is no image in the registry", "see whether the right place was surveyed"
        )
    yield from _names(case)
    yield from _problems(case)
    yield from _namespaces(case)
    yield from _workloads(case)


def _names(case: Case) -> Iterator[Finding]:
    for rename in case.renames:
        if rename.new:
            if not rename.chosen:
                yield blocking(
                    "nested-path",
                    rename.old,
                    f"names here have exactly two parts; it would become {rename.new}",
                    f"accept it, or choose another name ({case.choices.spelling(Said.RENAME, f'{rename.old}=…')})",
                )
        else:
            yield blocking(
                "no-name",
                rename.old,
                f"it has no name that this registry can have ({rename.why})",
                f"choose one ({case.choices.spelling(Said.RENAME, f'{rename.old}=<namespace>/<name>')})",
            )


def _problems(case: Case) -> Iterator[Finding]:
    for name, problem in case.problems:
        about = f"{name}@{problem.subject}" if ":" in problem.subject else f"{name}/{problem.subject}"
        if problem.kind == OLD_MANIFEST and case.way is Way.REUSE:
            yield note(
                "old-manifest", about, problem.detail, "nothing: it is served as it is, and cannot be pushed anew"
            )
        elif problem.kind in HARMLESS:
            yield note(_rule(problem.kind), about, problem.detail)
        else:
            yield blocking(
                _rule(problem.kind),
                about,
                problem.detail,
                "push the image again, delete the tag, or accept that it is left behind",
            )
    if case.more_problems:
        yield blocking(
            "more-problems",
            "content",
            f"{case.more_problems} more problems of images are in the survey's file",
            "see them there; accept them together",
        )


def _rule(kind: str) -> str:
    return kind.replace(" ", "-")


def _namespaces(case: Case) -> Iterator[Finding]:
    known = set(case.inventory.namespaces)
    if not known:
        return
    for namespace in case.namespaces:
        if namespace not in known:
            yield warning(
                "dead-namespace",
                namespace,
                "images are left of a namespace that does not exist any more",
                "nobody can be given rights to them: make the namespace, or leave them behind",
            )


def _workloads(case: Case) -> Iterator[Finding]:
    new = {name: name for name in case.names} | dict(case.new_names)
    found = rewrites(case.inventory.consumers, host=case.choices.host, moving=case.moving_hosts, renames=new)
    for rewrite in found:
        if rewrite.by_hand and rewrite.changes:
            yield warning("kept-by-others", rewrite.object, rewrite.by_hand, "change its source in the same step")
        elif rewrite.by_hand:
            yield blocking("not-rewritable", rewrite.object, rewrite.by_hand, "change it by hand, then accept this")
    for consumer in case.inventory.consumers:
        for use in consumer.uses:
            missing = _missing(case, use.image)
            if missing:
                yield warning(
                    "broken-reference",
                    f"{consumer.object}{use.pointer}",
                    missing,
                    "correct or remove it: no Pod of it can start now",
                )
    for entry in case.inventory.unread:
        if entry.what.startswith("consumers: "):
            yield blocking(
                "consumers-unread",
                entry.what.removeprefix("consumers: "),
                f"who uses images is not known: {entry.why}",
                f"give the right to {entry.right}" if entry.right else "try again",
            )


def _missing(case: Case, image: str) -> str:
    """Why an image cannot be had from the registry as it is."""
    if case.summary is None:
        return ""
    repository = repository_of(image)
    held = case.tags_in_use.get(repository)
    if held is None:
        return f"there is no repository {repository}"
    rest = image.rpartition("://")[2].partition("/")[2][len(repository) :]
    wanted = rest.rpartition("@")[2] if "@" in rest else rest.removeprefix(":") or "latest"
    return "" if wanted in held else f"there is no {wanted} in {repository}"

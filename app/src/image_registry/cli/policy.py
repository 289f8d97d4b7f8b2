"""``ac adm policy``: roles of the registry (and any other) given to users, groups and ServiceAccounts, and taken back.

A binding that has the role is used again, so that names of bindings stay few; not so one that a program keeps as it is
(a chart's, the operator's), which would take the addition back. What is taken back here can be given again by the
command's counterpart: it is done at once, unless ``--dry-run``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

from image_registry.cli.connection import Place, dry_run_option, here, place_options
from image_registry.cli.failures import NotThere, Wrong
from image_registry.cli.image_api import Document, dry
from image_registry.cli.output import output_option, warn, written
from image_registry.kube.client import object_path
from image_registry.kube.errors import KubeError
from image_registry.kube.listing import items

RBAC = "rbac.authorization.k8s.io"
VERSION = f"{RBAC}/v1"
MANAGED_BY = "app.kubernetes.io/managed-by"
ATTEMPTS = 20
"""Names that are tried for a new binding."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A role for subjects: in a namespace, or in the whole cluster if that is empty."""

    role: str
    kind: str
    """Of the role."""
    namespace: str
    subjects: tuple[Document, ...]
    binding: str = ""

    @property
    def resource(self) -> str:
        """Of its bindings."""
        return "rolebindings" if self.namespace else "clusterrolebindings"

    def path(self, name: str = "") -> str:
        """Of a binding, or of all."""
        return object_path(VERSION, self.resource, name, namespace=self.namespace)

    def is_of(self, binding: Mapping[str, Any]) -> bool:
        """Whether a binding gives this role."""
        found = binding.get("roleRef", {})
        return (found.get("kind"), found.get("name")) == (self.kind, self.role)


@click.group()
def policy() -> None:
    """Who may do what with images."""


def add(place: Place, wanted: Wanted, form: str | None, *, dry_run: bool) -> None:
    """Give the role; who has it keeps it."""
    _warn_of_missing(place, wanted)
    bindings = _bindings(place, wanted)
    chosen = next((found for found in bindings if _may_be_used(found, wanted)), None)
    missing = [subject for subject in wanted.subjects if chosen is None or subject not in _subjects(chosen)]
    if chosen is None:
        found = _create(place, wanted, dry_run=dry_run)
    elif missing:
        changed = {**chosen, "subjects": [*_subjects(chosen), *missing]}
        found = place.client.replace(wanted.path(_name(chosen)), changed, query=dry(dry_run))
    else:
        found = chosen
    said = f"{wanted.kind} {wanted.role} given to {_named(wanted.subjects)}" + _where(wanted)
    written(form, found, f"{wanted.resource[:-1]}.{RBAC}/{_name(found)}", f"updated: {said}", dry_run=dry_run)


def remove(place: Place, wanted: Wanted, form: str | None, *, dry_run: bool) -> None:
    """Take the role back wherever it was given there. Raises :class:`NotThere` if nobody named has it."""
    done = 0
    for binding in _bindings(place, wanted):
        if wanted.binding and _name(binding) != wanted.binding:
            continue
        kept = [subject for subject in _subjects(binding) if subject not in wanted.subjects]
        if len(kept) == len(_subjects(binding)):
            continue
        done += 1
        _warn_of_keeper(binding, wanted)
        where, name = wanted.path(_name(binding)), f"{wanted.resource[:-1]}.{RBAC}/{_name(binding)}"
        if kept:
            found = place.client.replace(where, {**binding, "subjects": kept}, query=dry(dry_run))
            said = f"updated: {wanted.kind} {wanted.role} taken from {_named(wanted.subjects)}" + _where(wanted)
        else:
            place.client.request("DELETE", where, query=dry(dry_run))
            found, said = binding, f"deleted: nobody is left who had {wanted.kind} {wanted.role} by it" + _where(wanted)
        written(form, found, name, said, dry_run=dry_run)
    if not done:
        raise NotThere(f"no binding{_where(wanted)} gives {wanted.kind} {wanted.role} to {_named(wanted.subjects)}")


def _may_be_used(binding: Mapping[str, Any], wanted: Wanted) -> bool:
    """Whether somebody can be added to stay: the binding that was named, or any that is nobody's program's."""
    if wanted.binding:
        return _name(binding) == wanted.binding
    return not _keeper(binding)


def _keeper(binding: Mapping[str, Any]) -> str:
    """The program that keeps a binding as it is; empty for one that people made."""
    metadata = binding["metadata"]
    owners = [f"{owner.get('kind')} {owner.get('name')}" for owner in metadata.get("ownerReferences") or ()]
    return str((metadata.get("labels") or {}).get(MANAGED_BY) or ", ".join(owners))


def _warn_of_keeper(binding: Mapping[str, Any], wanted: Wanted) -> None:
    if keeper := _keeper(binding):
        warn(
            f"{wanted.resource[:-1]} {_name(binding)} is kept by {keeper}, which may give {wanted.kind} {wanted.role} "
            "back: change it there to have it stay"
        )


def _where(wanted: Wanted) -> str:
    return f" in namespace {wanted.namespace}" if wanted.namespace else " in all namespaces"


def _bindings(place: Place, wanted: Wanted) -> list[Document]:
    found = items(place.client, wanted.path(), limit=500)
    return [dict(binding) for binding in found if isinstance(binding, Mapping) and wanted.is_of(binding)]


def _create(place: Place, wanted: Wanted, *, dry_run: bool) -> Document:
    body: Document = {
        "apiVersion": VERSION,
        "kind": "RoleBinding" if wanted.namespace else "ClusterRoleBinding",
        "metadata": {},
        "roleRef": {"apiGroup": RBAC, "kind": wanted.kind, "name": wanted.role},
        "subjects": list(wanted.subjects),
    }
    for number in range(ATTEMPTS):
        name = wanted.binding or (wanted.role if number == 0 else f"{wanted.role}-{number - 1}")
        try:
            return place.client.create(wanted.path(), {**body, "metadata": {"name": name}}, query=dry(dry_run))
        except KubeError as error:
            if not error.conflict or wanted.binding:
                raise
    raise Wrong(f"{ATTEMPTS} bindings are named like the role {wanted.role}: name yours by --rolebinding-name")


def _warn_of_missing(place: Place, wanted: Wanted) -> None:
    namespace = wanted.namespace if wanted.kind == "Role" else ""
    resource = "roles" if wanted.kind == "Role" else "clusterroles"
    try:
        if place.client.find(object_path(VERSION, resource, wanted.role, namespace=namespace)) is None:
            warn(f"there is no {wanted.kind} {wanted.role}: the binding gives nothing until there is")
    except KubeError as error:
        if not error.forbidden:  # who may bind a role need not be able to read it
            raise


def _subjects(binding: Mapping[str, Any]) -> list[Document]:
    return list(binding.get("subjects") or ())


def _name(binding: Mapping[str, Any]) -> str:
    return str(binding["metadata"]["name"])


def _named(subjects: Sequence[Document]) -> str:
    return ", ".join(
        f"{subject['kind']} " + (f"{subject['namespace']}/" if "namespace" in subject else "") + subject["name"]
        for subject in subjects
    )


def _subject(kind: str, name: str) -> Document:
    parts = name.split(":")
    if kind == "User" and name.startswith("system:serviceaccount:") and len(parts) == 4 and all(parts):
        return {"kind": "ServiceAccount", "namespace": parts[2], "name": parts[3]}
    return {"kind": kind, "apiGroup": RBAC, "name": name}


def _command(verb: str, kind: str, *, everywhere: bool) -> click.Command:
    """One of the eight."""
    gives = verb == "add"
    scope, way = ("cluster-role" if everywhere else "role"), ("to" if gives else "from")
    name = f"{verb}-{scope}-{way}-{kind.lower()}"
    run: Callable[..., None] = add if gives else remove

    def command(*, role: str, names: tuple[str, ...], accounts: tuple[str, ...] = (), dry_run: bool, form: str | None,
                binding: str, role_namespace: str = "", **options: Any) -> None:  # fmt: skip
        place = here(options)
        own = [{"kind": "ServiceAccount", "namespace": place.namespace, "name": account} for account in accounts]
        subjects = (*(_subject(kind, text) for text in names), *own)
        if not subjects:
            raise Wrong(f"name at least one {kind.lower()}" + (", or a ServiceAccount by -z" if kind == "User" else ""))
        if role_namespace and role_namespace != place.namespace:
            raise Wrong(f"--role-namespace={role_namespace}: a Role can be bound in its own namespace alone (-n)")
        wanted = Wanted(
            role, "Role" if role_namespace else "ClusterRole", "" if everywhere else place.namespace, subjects, binding
        )
        run(place, wanted, form, dry_run=dry_run)

    where = "in all namespaces" if everywhere else "in the namespace"
    ends = " A binding of nobody is deleted." if not gives else " A binding that people made is used again."
    command.__doc__ = f"""{"Give a role to" if gives else "Take a role from"} {kind.lower()}s {where}.{ends}

    Roles of the registry: system:image-puller, system:image-pusher, system:image-deleter, system:image-pruner,
    system:image-signature-writer, system:image-registry-catalog-reader, system:image-registry-metrics-reader.
    """
    decorated: Callable[..., Any] = place_options(output_option("json", "yaml", "name")(dry_run_option(command)))
    decorated = click.option(
        "--rolebinding-name",
        "binding",
        default="",
        metavar="NAME",
        help="The binding; else one that people made, or a new one.",
    )(decorated)
    if kind == "User":
        decorated = click.option(
            "-z", "--serviceaccount", "accounts", multiple=True, metavar="NAME",
            help="A ServiceAccount of the namespace. Repeatable.",
        )(decorated)  # fmt: skip
    if not everywhere:
        decorated = click.option(
            "--role-namespace", default="", metavar="NAME", help="The role is a Role of this namespace, no ClusterRole."
        )(decorated)
    decorated = click.argument("names", nargs=-1, metavar=f"{kind.upper()}...", help=f"The {kind.lower()}s.")(decorated)
    decorated = click.argument("role", help="The role.")(decorated)
    return click.command(name)(decorated)


for everywhere in (False, True):
    for verb in ("add", "remove"):
        for subject in ("User", "Group"):
            policy.add_command(_command(verb, subject, everywhere=everywhere))

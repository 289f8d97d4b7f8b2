"""Who names images of the legacy registry, place by place, and who runs them.

Kinds and places of images are those of :mod:`~image_registry.kube.pod_templates`; what an object says is read by
:mod:`~image_registry.kube.image_references`, as a prune reads it. Here one kind that may not be listed stops no other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from image_registry.kube.image_references import OVER, CustomField, ImageReference, Unreadable, references_in, texts_in
from image_registry.kube.pod_templates import WORKLOADS, image_fields, pod_of
from image_registry.migration.facts import ConsumerFact, ObjectName, UseFact
from image_registry.migration.reading import Reader, at, name_of, objects, text, words
from image_registry.pruning.references import Hosts, digest_in

_KEEPERS = (
    ("annotations", "argocd.argoproj.io/tracking-id", "Argo CD"),
    ("labels", "argocd.argoproj.io/instance", "Argo CD"),
    ("labels", "kustomize.toolkit.fluxcd.io/name", "Flux"),
    ("labels", "helm.toolkit.fluxcd.io/name", "Flux"),
    ("annotations", "meta.helm.sh/release-name", "Helm"),
    ("labels", "helm.sh/release-name", "a platform release"),
)
"""Marks of tools that write an object again from elsewhere."""


class Consumers:
    """What was found, and which Secrets the Pods of those objects pull with."""

    def __init__(self, hosts: Hosts) -> None:
        self.hosts = hosts
        self.found: list[ConsumerFact] = []
        self.secrets: dict[tuple[str, str], set[str]] = defaultdict(set)

    def read(self, reader: Reader, fields: Sequence[CustomField]) -> None:
        """Every kind that runs Pods, then the fields of custom resources."""
        for known in WORKLOADS:
            for document in reader.list(f"consumers: {known.resource}", known.group_version, known.resource):
                name = name_of(document, known.kind, known.group_version)
                secrets = objects(at(pod_of(known, document), "spec", "imagePullSecrets"))
                for entry in secrets:
                    self.secrets[name.namespace, text(entry.get("name"))].add(str(name))
                references = tuple(references_in(known, document))
                uses = tuple(
                    UseFact(field.pointer, field.image, f"{field.section}[{field.name}]")
                    for field in image_fields(known, document)
                    if field.image and self.hosts.is_ours(field.image)
                )
                account = text(at(pod_of(known, document), "spec", "serviceAccountName")) or "default"
                named = tuple(text(entry.get("name")) for entry in secrets)
                self._add(name, document, uses, references, named, account)
        for field in fields:
            for document in reader.list(f"consumers: {field.resource}", field.group_version, field.resource):
                kind = text(document.get("kind")) or field.resource
                uses, strange = _custom(field, document, self.hosts)
                self._add(name_of(document, kind, field.group_version), document, uses, strange, ())

    def _add(
        self,
        name: ObjectName,
        document: Mapping[str, Any],
        uses: tuple[UseFact, ...],
        references: Sequence[ImageReference | Unreadable],
        secrets: tuple[str, ...],
        account: str = "",
    ) -> None:
        running = {
            digest_in(found.text): None
            for found in references
            if isinstance(found, ImageReference)
            and found.running
            and any(self.hosts.is_ours(said) for said in (found.text, *found.names))
        }
        unreadable = ""
        for found in references:
            if isinstance(found, Unreadable) and any(any(self.hosts.search(said)) for said in found.texts):
                unreadable = found.why
        if not uses and not unreadable and not any(running):
            return
        self.found.append(
            ConsumerFact(
                name,
                uses,
                tuple(digest for digest in running if digest),
                _controller(document),
                _kept_by(document),
                secrets,
                unreadable,
                _over(name.kind, document),
                account,
            )
        )


def _custom(
    field: CustomField, document: Mapping[str, Any], hosts: Hosts
) -> tuple[tuple[UseFact, ...], tuple[Unreadable, ...]]:
    uses, strange = [], []
    for way, value in field.path.places(document):
        pointer = "".join("/" + str(key).replace("~", "~0").replace("/", "~1") for key in way)
        if isinstance(value, str):
            if hosts.is_ours(value):
                uses.append(UseFact(pointer, value, field.path.text))
        else:
            strange.append(Unreadable("", f"{field.path.text} is no text", tuple(texts_in(value))))
    return tuple(uses), tuple(strange)


def _over(kind: str, document: Mapping[str, Any]) -> bool:
    if kind == "Pod":
        return at(document, "status", "phase") in OVER
    ended = [text(entry.get("type")) for entry in objects(at(document, "status", "conditions")) if _is_true(entry)]
    return kind == "Job" and bool({"Complete", "Failed"} & set(ended))


def _is_true(condition: Mapping[str, Any]) -> bool:
    return condition.get("status") == "True"


def _controller(document: Mapping[str, Any]) -> str:
    owners = objects(at(document, "metadata", "ownerReferences"))
    found = next((owner for owner in owners if owner.get("controller") is True), None)
    return f"{text(found.get('kind'))} {text(found.get('name'))}" if found else ""


def _kept_by(document: Mapping[str, Any]) -> str:
    return next(_keepers(document), "")


def _keepers(document: Mapping[str, Any]) -> Iterator[str]:
    for member, key, tool in _KEEPERS:
        value = words(at(document, "metadata", member)).get(key)
        if value:
            yield f"{tool} ({value[:100]})"

"""Who still names the registry before, asked again before it is stopped and before it is given up.

The plan knows those that were there when it was made. Weeks may lie between, in which somebody deploys what an old file
says; its Pods run, as long as the registry before does.
"""

from __future__ import annotations

from collections.abc import Iterator

from image_registry.kube.image_references import CustomField
from image_registry.kube.pod_templates import WORKLOADS
from image_registry.migration.actions import Context
from image_registry.migration.consumers import Consumers
from image_registry.migration.gates import Item
from image_registry.migration.plan import Step
from image_registry.migration.reading import Reader
from image_registry.pruning.references import Hosts

_KINDS = frozenset(known.kind for known in WORKLOADS)


def remaining_uses(step: Step, context: Context) -> Iterator[Item]:
    """Each object that names one of the hosts which end with the registry before; what cannot be read is one, too."""
    reader, consumers = Reader(context.client), Consumers(Hosts(step.parameters["hosts"]))
    consumers.read(reader, [CustomField.parse(text) for text in step.parameters["fields"]])
    for consumer in consumers.found:
        if consumer.over:
            continue  # it pulls nothing any more, and its template may not be changed
        if consumer.controller.partition(" ")[0] in _KINDS:
            continue  # its maker is asked, and makes it anew
        if not consumer.uses and not consumer.unreadable:
            continue  # it runs what it has: nothing is pulled for it by that name
        named = ", ".join(dict.fromkeys(use.image for use in consumer.uses)) or consumer.unreadable
        cause = (
            f"it names {named}, which nobody can pull when the registry before is gone: let it name {context.plan.host}"
        )
        yield Item(f"consumer:{consumer.object}", str(consumer.object), cause)
    for entry in reader.unread:
        what = entry.what.removeprefix("consumers: ")
        yield Item(f"consumers-unread:{what}", what, f"who uses images is not known: {entry.why}")

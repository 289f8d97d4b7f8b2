"""A run or a rollback of a migration in a process of its own, which ends itself by SIGKILL where it is told to.

Objects are those of a real API server. Not real is what cannot be there: a registry is installed by nobody (its values
lie in a file), no image is moved (those actions have tests of their own), and nobody waits for the seconds that a
cluster takes.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from image_registry.kube.client import ClusterClient
from image_registry.migration.actions import Context, Doer, Outcome, Saved
from image_registry.migration.doing import DOERS
from image_registry.migration.execution import Stopped, phases_until, rollback, run
from image_registry.migration.facts import ObjectName
from image_registry.migration.opening import Asked, open_migration
from image_registry.migration.phases import Action, Phase
from image_registry.migration.plan import Step

INGRESSES = "/apis/networking.k8s.io/v1/namespaces/image-registry-system/ingresses"
DATA = (Action.COPY_IMAGES, Action.RENAME_IMAGES, Action.BACKFILL, Action.COMPARE_TAGS)


@dataclass(frozen=True)
class FileSettings:
    """A named fake of Helm and the operator: values in a file, written whole or not at all."""

    path: Path

    def current(self) -> Mapping[str, Any] | None:
        found: Mapping[str, Any] | None = json.loads(self.path.read_text()) if self.path.exists() else None
        return found

    def write(self, values: Mapping[str, Any], tell: Callable[[str], None]) -> None:
        tell("  values written")
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(values))
        new.replace(self.path)

    def resting(self) -> Mapping[str, Any]:
        return {}

    def remove(self, tell: Callable[[str], None], resting: Mapping[str, Any]) -> None:
        del resting
        tell("  removed")
        self.path.unlink(missing_ok=True)

    @property
    def keeper(self) -> str:
        return "operator"

    def unusable(self) -> str:
        return ""

    def below(self) -> Mapping[str, Any]:
        return {}

    def by_hand(self, values: Mapping[str, Any]) -> str:
        del values
        return ""

    def take_over(self, objects: Iterable[ObjectName]) -> None:
        del objects


@dataclass(frozen=True)
class RoutedSettings(FileSettings):
    """The same, with the Ingresses that the chart makes of these values, and none beside them."""

    client: ClusterClient
    helm: str
    chart: str

    def write(self, values: Mapping[str, Any], tell: Callable[[str], None]) -> None:
        command = [self.helm, "template", "image-registry", self.chart, "--namespace=image-registry-system"]
        command += ["--kube-version=1.37"]
        done = subprocess.run(
            [*command, "--values=-"], input=json.dumps(values), capture_output=True, text=True, check=True
        )
        wanted = {
            item["metadata"]["name"]: item for item in yaml.safe_load_all(done.stdout) if item["kind"] == "Ingress"
        }
        known = {item["metadata"]["name"]: item for item in self.client.get(INGRESSES)["items"]}
        for name, item in wanted.items():
            if name in known:
                self.client.merge(f"{INGRESSES}/{name}", {"spec": item["spec"]})
            else:
                self.client.create(INGRESSES, item)
        for name in known.keys() - wanted.keys():
            self.client.delete(f"{INGRESSES}/{name}")
        super().write(values, tell)

    def remove(self, tell: Callable[[str], None], resting: Mapping[str, Any]) -> None:
        for item in self.client.get(INGRESSES)["items"]:
            self.client.delete(f"{INGRESSES}/{item['metadata']['name']}")
        super().remove(tell, resting)


class Pretended:
    """A named fake of what moves data."""

    def foresee(self, step: Step, context: Context) -> str:  # noqa: ARG002
        return step.title

    def before(self, step: Step, context: Context) -> Saved:  # noqa: ARG002
        return {}

    def do(self, step: Step, saved: Saved, context: Context) -> Outcome:  # noqa: ARG002
        return Outcome()

    def undo(self, step: Step, saved: Saved, context: Context) -> Outcome:  # noqa: ARG002
        return Outcome()


@dataclass(frozen=True)
class Gates(Pretended):
    """What asks registries is pretended; what asks the cluster about Ingresses is asked."""

    def do(self, step: Step, saved: Saved, context: Context) -> Outcome:
        return DOERS[Action.GATE].do(step, saved, context) if step.parameters["gate"] == "routes" else Outcome()


@dataclass(frozen=True)
class Mortal:
    """An action that ends the process: before it, in its middle as far as a step has one, or behind it."""

    inner: Doer
    step: str
    where: str

    def foresee(self, step: Step, context: Context) -> str:
        return self.inner.foresee(step, context)

    def before(self, step: Step, context: Context) -> Saved:
        return self.inner.before(step, context)

    def do(self, step: Step, saved: Saved, context: Context) -> Outcome:
        self._die(step, "before")
        found = self.inner.do(step, saved, context)
        self._die(step, "after")
        return found

    def undo(self, step: Step, saved: Saved, context: Context) -> Outcome:
        self._die(step, "before")
        found = self.inner.undo(step, saved, context)
        self._die(step, "after")
        return found

    def _die(self, step: Step, where: str) -> None:
        if (step.id, where) == (self.step, self.where):
            os.kill(os.getpid(), signal.SIGKILL)


def main(what: str, kubeconfig: str, folder: str, until: str, step: str = "", where: str = "") -> int:
    """Run or roll back."""
    place = Path(folder)
    client = ClusterClient.from_kubeconfig(Path(kubeconfig))
    asked = Asked(plan=place / "plan.json", journal=place / "journal", client=client, accepted=("cutover/by-hand/*",))
    routed = place / "routed.json"  # where the Ingresses of this registry are looked at: Helm, and the chart
    values = place / "values.json"
    settings = (
        RoutedSettings(values, client, **json.loads(routed.read_text())) if routed.exists() else FileSettings(values)
    )
    found = open_migration(asked)
    context = replace(
        found.context,
        settings=settings,
        tell=print,
        sleep=lambda seconds: time.sleep(min(seconds, 0.05)),
    )
    doers = {
        action: Mortal(doer, step, where)
        for action, doer in {**DOERS, **dict.fromkeys(DATA, Pretended()), Action.GATE: Gates()}.items()
    }
    try:
        if what == "run":
            run(context, found.journal, doers, phases_until(Phase(until)))
        else:
            rollback(context, found.journal, doers)
    except Stopped as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

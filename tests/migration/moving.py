"""One harness for every variant: a legacy registry with images behind a host, moved by our playbooks.

Objects are those of a real kube-apiserver; both registries, the bucket and ansible-playbook are real processes. Named
fakes stand for nodes (``two_registries``), for the ingress controller (``front``) and for minutes (``nobody_sleeps``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from image_registry.kube.client import object_path
from image_registry_lab.legacy.variants import HOST, NAMESPACE, VARIANTS, Variant
from tests.collection.controller import Played
from tests.migration.bucket import bucket
from tests.migration.front import Front
from tests.migration.history import History
from tests.migration.mortal import MortalController
from tests.migration.pulling import INSECURE, Images, Pulls, flat
from tests.migration.sentry import Sentry
from tests.operator.conftest import CHART, program
from tests.operator.storages import TARGET
from tests.operator.test_legacy_registry import token_of
from tests.operator.test_migration_run import everything
from tests.operator.whole import ACCEPTED, Whole, whole_migration

MIGRATE, ROLLBACK = "playbooks/migrate.yml", "playbooks/rollback.yml"
LEASE = object_path("coordination.k8s.io/v1", "leases", "image-registry-migration", namespace=NAMESPACE)
LONGEST = 1500
"""Seconds of one run; a whole migration took 600 where fifteen times as much was to be done as there are processors."""
THIS = "one/image-registry-system"
"""What a confirmation names: the cluster of the inventory, and the namespace of this registry."""
KNOWN = ("nested-path:*",)
"""What blocks a plan in every variant, and is accepted by its name."""
MEANWHILE = "team-a/app:v1"
"""Somebody may push it while the others are pulled."""


@dataclass
class Moving:
    """A migration by playbooks, and everybody who is concerned."""

    whole: Whole
    controller: MortalController
    front: Front
    sentry: Sentry | None = None
    """Who applies the release again, where the variant has that."""

    @property
    def history(self) -> History:
        return History(self.controller.folder / "migration")

    def move(self, *tags: str, **more: Any) -> Played:
        """Up to the cutover, or the phases of these tags."""
        return self.controller.play(MIGRATE, options=_options(tags), **more)

    def refused(self, *tags: str, **more: Any) -> str:
        """What a run says that must not come to its end."""
        return self.controller.refused(MIGRATE, options=_options(tags), **more)

    def last(self) -> dict[str, Any]:
        """What has to be said for the last phases; the day of watching is over at once."""
        accepted = [*self.controller.variables["registry_migrate_accept_exceptions"], "observe/pulls"]
        return {"registry_migrate_accept_exceptions": accepted, "registry_migrate_confirm_finalize": THIS}

    def back(self) -> Played:
        return self.controller.play(ROLLBACK, registry_migrate_confirm_rollback=THIS)

    def objects(self) -> dict[str, Any]:
        """Everything of the cluster but this registry's own namespace: spec, labels, annotations, data."""
        return everything(self.whole.client)

    def uploading(self) -> Callable[[str], bool]:
        """Whether bytes have come to the volume of this registry since now that belong to no image yet."""
        volume = self.whole.folder / "volume-of-this-registry"
        pattern = "docker/registry/v2/repositories/*/*/_uploads/*/data"
        before = set(volume.glob(pattern))
        return lambda _said: any(path not in before for path in volume.glob(pattern))

    def lease(self) -> dict[str, Any] | None:
        return self.whole.client.find(LEASE)

    def left_of_this_registry(self) -> set[str]:
        """Kinds of objects in its namespace that somebody would stumble over."""
        found = set()
        for version, kind in (("apps/v1", "deployments"), ("v1", "services"), ("networking.k8s.io/v1", "ingresses")):
            if self.whole.client.get(object_path(version, kind, namespace=TARGET))["items"]:
                found.add(kind)
        return found

    @contextmanager
    def pulled(self) -> Iterator[Pulls]:
        """While somebody pulls whole images by the host; each of them comes."""
        names = [name for name in flat(self.whole.digests) if name != MEANWHILE]
        wanted = {name: self.whole.digests[name] for name in names}
        schemes = ("https",) if self.whole.variant.tls else INSECURE
        images = Images(f"127.0.0.1:{self.front.port}", HOST, self.front.authority, schemes)
        with Pulls(images, wanted, self.tokens()) as pulls:
            yield pulls
        assert pulls.failed == [], pulls.failed[:5]

    def tokens(self) -> dict[str, str]:
        teams = {name.partition("/")[0] for name in self.whole.digests}
        return {team: token_of(self.whole.server, "builder", team) for team in teams}

    def comes_whole(self) -> None:
        """Every image of before, every byte, from this registry."""
        address, tokens = self.whole.nodes.url.removeprefix("http://"), self.tokens()
        images = Images(address, "this", self.front.authority, ("http",))
        for name, digest in self.whole.digests.items():
            images.pull(name.replace("tools/report", "tools-report"), digest, tokens[name.partition("/")[0]])


def _options(tags: tuple[str, ...]) -> tuple[str, ...]:
    return ("--tags", ",".join(tags)) if tags else ()


@contextmanager
def moving(folder: Path, variant: Variant = VARIANTS["4.2-pvc"], **variables: Any) -> Iterator[Moving]:
    """Nothing is planned yet; the playbook does that."""
    with ExitStack() as stack:
        if variant.storage == "s3":
            variant = replace(variant, endpoint=stack.enter_context(bucket(folder)))
        whole = stack.enter_context(whole_migration(folder, variant))
        nodes = whole.nodes
        if variant.gateway:
            nodes.gateway_serves()
        urls = {f"{NAMESPACE}/{variant.name}": nodes.legacy_url, f"{TARGET}/image-registry": nodes.url}
        urls[f"{NAMESPACE}/registry-gateway-service"] = nodes.gateway_url
        backends = {service: url.removeprefix("http://") for service, url in urls.items()}
        front = stack.enter_context(Front(whole.client, folder / "front", HOST, backends))
        sentry = stack.enter_context(Sentry(whole.client, variant)) if variant.synced else None
        home = folder / "controller"
        home.mkdir()
        known = {
            "registry_kubeconfig": str(whole.server.kubeconfig),
            "registry_helm_binary": program("helm"),
            "registry_chart_ref": str(CHART),
            "registry_migrate_folder": str(home / "migration"),
            "registry_migrate_survey_url": nodes.legacy_url,
            "registry_migrate_survey_token": token_of(whole.server, "default", NAMESPACE),
            "registry_migrate_target_url": nodes.url,
            "registry_migrate_image_fields": ["builds.example.com/v1/builds=spec.output.image"],
            "registry_migrate_accept": list(KNOWN),
            "registry_migrate_accept_exceptions": list(ACCEPTED),
            "registry_migrate_claim_size": "1Ti",
            **({"registry_migrate_global_kubeconfig": str(whole.server.kubeconfig)} if variant.module_info else {}),
            **({"registry_migrate_cluster": "business"} if variant.module_info else {}),
        }
        yield Moving(whole, MortalController(home, {**known, **variables}, LONGEST), front, sentry)

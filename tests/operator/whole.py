"""A cluster with a legacy registry, its images and its clients, for tests that migrate it.

A real kube-apiserver has the objects, a CNCF distribution behind the proxy that asks for rights is the registry before,
``image-registry serve`` is this one, and Helm installs the chart. What nodes would do is done by ``two_registries``.
"""

from __future__ import annotations

import base64
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import urllib3

from image_registry.kube.client import ClusterClient, object_path
from image_registry.migration.actions import RegistryDoor
from image_registry.migration.before_freeze import hindrances, nothing_in_the_way
from image_registry.migration.case import make_case
from image_registry.migration.choices import Choices, Way
from image_registry.migration.content import ContentFile, ContentWriter
from image_registry.migration.discovery import Question, discover
from image_registry.migration.doing import DOERS
from image_registry.migration.execution import phases_until, rollback, run
from image_registry.migration.opening import Asked, Migration, open_migration
from image_registry.migration.phases import Phase
from image_registry.migration.plan import write_plan
from image_registry.migration.planning import plan
from image_registry.migration.survey_registry import LegacyRegistry, survey_registry
from image_registry.remote.asking import Access
from image_registry.remote.credentials import Login
from image_registry_lab.legacy.objects import definitions
from image_registry_lab.legacy.variants import Variant
from tests.clients import layout
from tests.operator.conftest import CHART, control_plane, program, started
from tests.operator.control_plane import READY_SECONDS, ApiServer
from tests.operator.test_legacy_registry import collection, token_of
from tests.operator.test_migration_run import BUILDS, fill
from tests.operator.two_registries import RBAC, Nodes
from tests.serve.conftest import program as installed

IMAGES = ("team-a/app:v1", "team-a/app:v2", "team-a/app:built", "team-a/tools/report:1", "team-b/app:v1")
KINDS = f"{layout.MANIFEST}, {layout.INDEX}"
ACCEPTED = (
    "cutover/by-hand/*",
    "host:registry.legacy.test",  # no Ingress leads anywhere here
    "pull-secret:*",  # the operator makes them, and here Helm installs
    "limits:*",
)

HEARD_SECONDS = 10
"""What stands in for kubelet looks every 0.8 s, and the registry at its file every second."""


@dataclass
class Whole:
    """One migration and everything that it is about."""

    server: ApiServer
    nodes: Nodes
    folder: Path
    variant: Variant
    digests: dict[str, str] = field(default_factory=dict)

    @property
    def client(self) -> ClusterClient:
        return self.server.client

    def fill(self, url: str = "") -> None:
        """With all images; at ``url`` while it is not served as its objects say."""
        for name in IMAGES:
            deadline = time.monotonic() + READY_SECONDS
            while (done := self.push(name, url)).returncode:
                assert time.monotonic() < deadline, done.stderr
                time.sleep(0.3)  # processes start, and the API server takes a moment to know of new rights

    def push_here(self, name: str) -> None:
        """Once this registry has heard that it may take pushes: within two seconds of the ConfigMap that says so."""
        deadline = time.monotonic() + HEARD_SECONDS
        while (done := self.push(name, self.nodes.url)).returncode:
            assert "is read-only for the moment" in done.stderr, done.stderr
            assert time.monotonic() < deadline, done.stderr
            time.sleep(0.3)

    def push(self, name: str, url: str = "", *, size: int = 0) -> subprocess.CompletedProcess[str]:
        """By skopeo, as the team's builder; an index, so that its images are pulled by digest alone.

        With a ``size`` one image that has a layer of so many bytes, whose way takes a while.
        """
        place = self.folder / f"image-{len(list(self.folder.glob('image-*')))}"
        made = layout.image(place, layers=1, size=size) if size else layout.index(place)
        host = (url or self.nodes.legacy_url).removeprefix("http://")
        login = base64.b64encode(f"<token>:{token_of(self.server, 'builder', name.partition('/')[0])}".encode())
        file = self.folder / "logins.json"
        file.touch(0o600)
        file.write_text(json.dumps({"auths": {host: {"auth": login.decode()}}}))
        command = [
            installed("skopeo", "apt-get install skopeo"),
            "copy",
            "--all",
            "--quiet",
            "--dest-tls-verify=false",
            f"--authfile={file}",
        ]
        done = subprocess.run(
            [*command, f"oci:{made.folder}:v1", f"docker://{host}/{name}"],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        if done.returncode == 0 and url != self.nodes.url:
            self.digests[name] = made.digest
        return done

    def open(self, *accepted: str) -> Migration:
        """As ``ac adm migrate run`` does it; nobody sleeps for the seconds that a cluster takes."""
        reader = Access(login=Login(registry_token=token_of(self.server, "default", "cpaas-system")), insecure=True)
        asked = Asked(
            plan=self.folder / "plan.json",
            journal=self.folder / "journal",
            client=self.client,
            global_client=self.client,
            kubeconfig=self.server.kubeconfig,
            chart=str(CHART),
            helm=program("helm"),
            content=self.folder / "content",
            source=RegistryDoor(self.nodes.legacy_url, reader),
            target=RegistryDoor(self.nodes.url, Access(insecure=True)),
            accepted=(*ACCEPTED, *accepted),
            tell=self.tell,
        )
        found = open_migration(asked)
        quick = replace(found.context, sleep=lambda seconds: time.sleep(min(seconds, 0.1)))
        return replace(found, context=quick)

    def tell(self, line: str) -> None:
        """Into a file, which stays when a test fails."""
        with (self.folder / "told").open("a") as file:
            file.write(f"{time.monotonic():.1f} {line}\n")

    def run(self, until: Phase, *accepted: str) -> None:
        found = self.open(*accepted)
        run(
            found.context,
            found.journal,
            DOERS,
            phases_until(until),
            lambda: nothing_in_the_way(found.context, found.journal),
        )

    def back(self) -> int:
        found = self.open()
        return rollback(found.context, found.journal, DOERS)

    def plan(self, way: Way) -> None:
        """Discover, survey, assess, plan."""
        question = Question(cluster="business", fields=(BUILDS,))
        inventory = discover(self.client, question, global_client=self.client)
        access = Access(login=Login(registry_token=token_of(self.server, "default", "cpaas-system")), insecure=True)
        with ContentWriter(self.folder / "content", "registry", self.nodes.legacy_url) as writer:
            survey_registry(LegacyRegistry(self.nodes.legacy_url, access), writer)
        choices = Choices(way=way, accepted=("nested-path:*",), claim_size=1 << 40)
        made = plan(make_case(inventory, ContentFile(self.folder / "content"), choices))
        assert made.ready, [finding.id for finding in made.blockers]
        (self.folder / "plan.json").write_text(json.dumps(write_plan(made)))
        found = self.open()
        assert hindrances(found.context, found.journal) == (), "what is as it must be stands in nobody's way"

    def meant(self, url: str, name: str) -> str:
        """What a client of this team gets for a tag; the bytes of the manifest are read."""
        repository, _, tag = name.partition(":")
        login = f"<token>:{token_of(self.server, 'builder', name.partition('/')[0])}"
        headers = {"Accept": KINDS, **urllib3.make_headers(basic_auth=login)}
        answer = urllib3.request("GET", f"{url}/v2/{repository}/manifests/{tag}", headers=headers, timeout=10)
        assert answer.status == 200, f"{name}: {answer.status} {answer.data[:300]!r}"
        return str(answer.headers["docker-content-digest"])

    def here(self) -> dict[str, str]:
        """Every tag as this registry has it, by the name that it had before."""
        names = {name: name.replace("tools/report", "tools-report") for name in self.digests}
        return {name: self.meant(self.nodes.url, new) for name, new in names.items()}

    def before(self) -> dict[str, str]:
        return {name: self.meant(self.nodes.legacy_url, name) for name in self.digests}

    @contextmanager
    def pulling(self) -> Iterator[list[str]]:
        """A client of the registry before that never rests; what did not work is in the list."""
        failed, stop, done = list[str](), threading.Event(), [0]
        names, before = IMAGES[1:], dict(self.digests)  # somebody pushes the first one meanwhile

        def pull() -> None:
            while not stop.wait(0.05):
                for name in names:
                    try:
                        if self.meant(self.nodes.legacy_url, name) != before[name]:
                            failed.append(f"{name}: another digest")
                    except (AssertionError, urllib3.exceptions.HTTPError) as error:
                        failed.append(str(error))
                    done[0] += 1

        thread = threading.Thread(target=pull, daemon=True)
        thread.start()
        try:
            yield failed
        finally:
            stop.set()
            thread.join(20)
        assert done[0] > len(names), "nobody pulled"


@contextmanager
def whole_migration(folder: Path, variant: Variant) -> Iterator[Whole]:
    """A cluster with a legacy registry that has images; nothing is planned yet."""
    (folder / "plane").mkdir()
    with started(control_plane(folder / "plane")) as server:
        for document in definitions():
            server.client.create(collection(document), document)
        with Nodes(server, variant, folder) as nodes:
            fill(server.client, variant)
            account = {"metadata": {"name": "default"}}
            server.client.create("/api/v1/namespaces/cpaas-system/serviceaccounts", account)
            binding = {
                "metadata": {"name": "migration-pulls"},
                "roleRef": {"apiGroup": RBAC.partition("/")[0], "kind": "ClusterRole", "name": "system:image-puller"},
                "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "cpaas-system"}],
            }
            server.client.create(object_path(RBAC, "clusterrolebindings"), binding)
            found = Whole(server, nodes, folder, variant)
            if variant.partial:
                with nodes.once_running() as url:
                    found.fill(url)
            else:
                found.fill()
            yield found

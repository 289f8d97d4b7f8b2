"""A registry with its real Image API and rules, in a named fake of the cluster around it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from image_registry.kube.client import ClusterClient
from image_registry.kube.endpoint import Endpoint
from image_registry.kube.explaining import refusal
from image_registry.kube.image_references import CustomField
from image_registry.metadata.tables import metadata
from image_registry.pruning.applying import Executor
from image_registry.pruning.gathering import find_hosts, make_plan, read_usage
from image_registry.pruning.outcome import Outcome
from image_registry.pruning.plan import Plan
from image_registry.pruning.planner import Planner
from image_registry.pruning.rules import Rules
from tests.app.image_api.conftest import HOST, PUBLIC, FakeCluster, ImageAPI, _opened

BEGINNING = datetime(2030, 1, 1, tzinfo=UTC)
REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
COLLECTIONS = {"Pod": "/api/v1/pods", "Deployment": "/apis/apps/v1/deployments", "CronJob": "/apis/batch/v1/cronjobs"}


class PrunedCluster(ClusterClient):
    """A named fake of kube-apiserver: the Image API is the real one, workloads are lists, every right is given.

    It is also the client that asks it, so no connection is needed.
    """

    host, public = HOST, PUBLIC

    def __init__(self, api: ImageAPI) -> None:
        super().__init__(Endpoint(server="https://fake", source="a test"))
        self.api = api
        self.lists: dict[str, list[Any]] = {path: [] for path in COLLECTIONS.values()}
        self.denied: set[str] = set()
        """Rights that are not given, as ``verb resource``."""
        self.asked: list[tuple[str, str]] = []
        self.failures: dict[tuple[str, str], list[int]] = {}
        """Statuses of the next answers to a method and a path."""
        self.before: Any = lambda _method, _path: None

    def request(self, method: Any, path: str, body: Any = None, **options: Any) -> dict[str, Any]:
        query, accept = options.get("query") or {}, options.get("accept", "application/json")
        status, document = self.answer(method, path, body, query, accept)
        if status < 300:
            return document
        raise refusal("fake", status, document, f"{method} {path}")

    def answer(
        self, method: str, path: str, body: Any, query: Mapping[str, str], accept: str
    ) -> tuple[int, dict[str, Any]]:
        self.before(method, path)
        self.asked.append((method, path))
        if self.failures.get((method, path)):
            code = self.failures[method, path].pop(0)
            return code, {"kind": "Status", "message": "planned failure", "reason": "Planned"}
        if path == REVIEW:
            spec = body["spec"]["resourceAttributes"]
            resource = "/".join(part for part in (spec["resource"], spec.get("subresource")) if part)
            where = f" in {spec['namespace']}" if spec.get("namespace") else ""
            return 201, {"status": {"allowed": f"{spec['verb']} {resource}{where}" not in self.denied}}
        if path.startswith("/apis/image.alauda.io"):
            found = self.api.client.open(path, method=method, json=body, query_string=query, headers={"Accept": accept})
            return found.status_code, found.get_json()
        if path not in self.lists and path.startswith(("/api/v1/", "/apis/apps/v1/", "/apis/batch/v1/")):
            return 200, {"items": [], "metadata": {}}
        if path not in self.lists:
            return 404, {"kind": "Status", "reason": "NotFound", "message": f"{path} is not there"}
        return 200, self._page(path, query)

    def _page(self, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        start, limit = int(query.get("continue", 0)), int(query.get("limit", 500))
        items, end = self.lists[path], start + limit
        more = {"continue": str(end)} if end < len(items) else {}
        return {"items": items[start:end], "metadata": more}

    def now(self, later: int = 0) -> int:
        return int(self.api.now.timestamp()) + later

    def run(self, image: str, *, name: str = "web", kind: str = "Deployment", **members: Any) -> None:
        """Somebody uses an image."""
        spec: Any = {"containers": [{"name": "main", "image": image}]}
        inner = {"spec": spec} if kind == "Pod" else {"spec": {"template": {"spec": spec}}}
        if kind == "CronJob":
            inner = {"spec": {"jobTemplate": inner}}
        self.lists[COLLECTIONS[kind]].append({**inner, **members, "metadata": {"name": name, "namespace": "team"}})

    def pod(self, image: str, image_id: str, *, phase: str = "Running", created: str = "2030-01-01T00:00:00Z") -> None:
        """A Pod that runs an image."""
        spec = {"containers": [{"name": "main", "image": image}]}
        statuses = [{"name": "main", "image": image, "imageID": image_id}]
        metadata = {"name": "pod", "namespace": "team", "creationTimestamp": created}
        status = {"phase": phase, "containerStatuses": statuses}
        self.lists[COLLECTIONS["Pod"]].append({"spec": spec, "status": status, "metadata": metadata})

    def annotate(self, repository: str, annotations: Mapping[str, str], *, tag: str = "") -> None:
        """Annotate a stream, or what is wanted of one of its tags."""
        namespace, name = repository.split("/")
        path = f"namespaces/{namespace}/imagestreams/{name}"
        document = self.api.get(path)
        if tag:
            document["spec"].setdefault("tags", []).append({"name": tag, "annotations": dict(annotations)})
        else:
            document["metadata"]["annotations"] = dict(annotations)
        self.api.write("PUT", path, document)

    def annotate_image(self, digest: str, annotations: Mapping[str, str]) -> None:
        path = f"images/{quote(digest, safe='')}"
        document = self.api.get(path)
        document["metadata"]["annotations"] = {**document["metadata"]["annotations"], **annotations}
        self.api.write("PUT", path, document)

    # what is there

    def held(self) -> set[tuple[str, str]]:
        """Repository and digest of everything that streams hold."""
        return {
            (
                f"{item['metadata']['namespace']}/{item['metadata']['name'].partition('@')[0]}",
                item["image"]["metadata"]["name"],
            )
            for item in self.api.get("imagestreamimages")["items"]
        }

    def images(self) -> set[str]:
        return set(self.api.names("images"))

    def tags(self) -> dict[str, list[str]]:
        """``repository:tag`` and the images of its events, the newest first."""
        return {
            f"{item['metadata']['namespace']}/{item['metadata']['name']}:{tag['tag']}": [
                event["image"] for event in tag["items"]
            ]
            for item in self.api.get("imagestreams")["items"]
            for tag in item["status"].get("tags", ())
        }

    # pruning

    def age(self, seconds: int) -> None:
        """Let time pass."""
        self.api.now += timedelta(seconds=seconds)

    def rules(self, *, later: int = 0, **rules: Any) -> Rules:
        return Rules(now=self.now(later), **rules)

    def planner(self, rules: Rules, *fields: str) -> Planner:
        usage = read_usage(self, find_hosts(self, rules, ()), rules, [CustomField.parse(field) for field in fields])
        return make_plan(self, rules, usage)

    def plan(self, *, later: int = 10_000, **rules: Any) -> Plan:
        """What would go, by default long after everything that is there was pushed."""
        return self.planner(self.rules(later=later, **rules)).plan

    def prune(self, *, later: int = 10_000, workers: int = 1, **rules: Any) -> Outcome:
        """Let it go."""
        planner = self.planner(self.rules(later=later, **rules))
        return Executor(self, planner, planner.plan.usage, workers=workers, sleep=lambda _seconds: None).run()


def why(plan: Plan) -> dict[str, str]:
    """What the plan says about each image."""
    return {verdict.digest: verdict.why for verdict in plan.verdicts()}


@pytest.fixture(scope="session")
def one_registry(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImageAPI]:
    """Making an application takes longer than most tests here: it is made once."""
    yield from _opened(sqlite_template, tmp_path_factory.mktemp("pruned"), FakeCluster())


@pytest.fixture
def empty(one_registry: ImageAPI) -> Callable[[], PrunedCluster]:
    """Makes an empty registry in a cluster without workloads; the one before is gone."""

    def emptied() -> PrunedCluster:
        with one_registry.database.write() as connection:
            for table in reversed(metadata.sorted_tables):
                if table.name not in ("rebuild", "rebuilt"):
                    connection.execute(table.delete())
        one_registry.now = BEGINNING
        return PrunedCluster(one_registry)

    return emptied


@pytest.fixture
def pruned(empty: Callable[[], PrunedCluster]) -> PrunedCluster:
    return empty()

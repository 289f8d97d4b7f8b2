"""A cluster to ask and a helm to call, both named fakes, and modules run as Ansible runs them.

The cluster is the fake of tests/conftest.py with what the collection asks beyond it: lists, the caller's own rights,
creations that write nothing. The fake helm keeps releases in a file and does as its folder says.
"""

from __future__ import annotations

import json
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ansible.module_utils.testing import patch_module_args

from image_registry_lab.places import Places, cache

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "collections"))  # as ansible.cfg does for Ansible

from tests.conftest import FakeCluster as PlainCluster  # noqa: E402
from tests.conftest import status  # noqa: E402
from tests.operator.conftest import apiserver, configs, pruners  # noqa: E402, F401 # a real kube-apiserver, for some

if TYPE_CHECKING:
    from types import ModuleType

NAMESPACE = "image-registry-system"
CHART = ROOT / "charts/image-registry"


class FakeCluster(PlainCluster):
    """A named fake of kube-apiserver, whose caller may do everything but what ``denied`` lists."""

    def __init__(self) -> None:
        super().__init__()
        self.denied: set[tuple[str, str, str]] = set()
        """(verb, resource, namespace) that the caller has no right to."""
        self.ungrantable: set[str] = set()
        """Names of ClusterRoles that the caller may not grant."""
        self.unserved: set[str] = set()
        """Lists of kinds that nobody has defined."""

    def start(self, folder: Path) -> None:
        super().start(folder)
        assert self._server is not None
        # headers and body are two packets, and the second would wait 40 ms for the first one's acknowledgement
        self._server.RequestHandlerClass.disable_nagle_algorithm = True  # type: ignore[attr-defined]

    def _object(
        self, method: str, path: str, query: dict[str, list[str]], body: dict[str, Any]
    ) -> tuple[int, dict[str, Any]]:
        if path in self.unserved:
            return status(404, "the server could not find the requested resource")
        if path.endswith("/selfsubjectaccessreviews"):
            wanted = body["spec"]["resourceAttributes"]
            key = (wanted["verb"], wanted["resource"], wanted["namespace"])
            everything = wanted["verb"] == "*"
            return 201, {"status": {"allowed": not self.denied if everything else key not in self.denied}}
        if method == "POST" and query.get("dryRun") == ["All"]:
            name = body["metadata"]["name"].removesuffix("-preflight")
            if name in self.ungrantable:
                return status(403, f"{name} grants rights not held")
            if body["metadata"]["name"].endswith("-preflight"):
                return 201, body
        if query.get("dryRun") == ["All"] or body.get("dryRun") == ["All"]:
            kept = dict(self.objects)
            try:
                return super()._object(method, path, query, body)
            finally:
                self.objects = kept
        if method == "GET" and path not in self.objects and (found := self._list(path, query)) is not None:
            return 200, {"kind": "List", "metadata": {}, "items": found}
        return super()._object(method, path, query, body)

    def _list(self, path: str, query: dict[str, list[str]]) -> list[dict[str, Any]] | None:
        """Objects right below a path; None where the path is that of one object."""
        parts = path.strip("/").split("/")
        if len(parts[2 if parts[0] == "api" else 3 :]) % 2 == 0:
            return None
        wanted = [pair.partition("=") for pair in query.get("labelSelector", [""])[0].split(",") if pair]
        return [
            item
            for place, item in sorted(self.objects.items())
            if place.rpartition("/")[0] == path
            and all((item["metadata"].get("labels") or {}).get(key) == value for key, _, value in wanted)
        ]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[FakeCluster]:
    """A cluster that meets every need of the defaults."""
    fake = FakeCluster()
    fake.start(tmp_path)
    fake.put("/version", {"gitVersion": "v1.33.1"})
    fake.put("/apis/apiregistration.k8s.io/v1", {})
    fake.put(
        "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication",
        {"data": {"requestheader-client-ca-file": "-----BEGIN CERTIFICATE-----"}},
    )
    fake.put("/api/v1/nodes/n1", node())
    fake.put("/apis/storage.k8s.io/v1/storageclasses/fast", storage_class(default=True))
    try:
        yield fake
    finally:
        fake.stop()


def node(architecture: str = "amd64", runtime: str = "containerd://2.0.0", *, ready: bool = True) -> dict[str, Any]:
    return {
        "metadata": {"labels": {"kubernetes.io/os": "linux"}},
        "status": {
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
            "nodeInfo": {"architecture": architecture, "containerRuntimeVersion": runtime},
        },
    }


def storage_class(provisioner: str = "example.com/disks", *, default: bool = False) -> dict[str, Any]:
    marks = {"storageclass.kubernetes.io/is-default-class": "true"} if default else {}
    return {"metadata": {"annotations": marks}, "provisioner": provisioner}


@pytest.fixture
def kubeconfig(cluster: FakeCluster, tmp_path: Path) -> Path:
    return cluster.kubeconfig(tmp_path / "kubeconfig")


@pytest.fixture(scope="session")
def helm() -> str:
    """The real helm: the lab's, or the one on PATH."""
    built = Path(Places(cache()).program("helm"))
    found = str(built) if built.exists() else shutil.which("helm")
    if found is None:
        pytest.fail("no helm: run `lab/lab build helm` or put helm on PATH", pytrace=False)
    return found


FAKE_HELM = '''#!{python}
"""A named fake of helm: one release in a file; what it shall do lies in plan.json."""
import json, os, sys, time
from pathlib import Path

folder = Path({folder!r})
with (folder / "calls").open("a") as calls:
    calls.write(json.dumps({{"arguments": sys.argv[1:], "environment": dict(os.environ)}}) + "\\n")
plan = json.loads((folder / "plan.json").read_text())
state = folder / "release.json"
release = json.loads(state.read_text()) if state.exists() else None
verb = sys.argv[1]


def fail(text):
    sys.stderr.write("Error: " + text + "\\n")
    sys.exit(1)


def keep(status, manifest=None, values=None):
    number = (release or {{"version": 0}})["version"] + 1
    history = (release or {{}}).get("history", [])
    for each in history:
        each["status"] = "superseded" if each["status"] == "deployed" and status == "deployed" else each["status"]
    state.write_text(json.dumps({{
        "name": "image-registry", "namespace": "image-registry-system", "version": number,
        "info": {{"status": status, "last_deployed": "2026-01-01T00:00:00Z"}},
        "manifest": manifest if manifest is not None else release["manifest"], "hooks": [],
        "values": values or {{}},
        "history": [
            *history,
            {{"revision": number, "status": status, "values": values or {{}}, "chart": plan.get("chart", "c-1")}},
        ],
    }}))


if verb == "version":
    print(plan.get("version", "v3.22.0"), end="")
elif verb == "status":
    print(json.dumps(release)) if release else fail("release: not found")
elif verb == "history":
    print(json.dumps(release["history"]))
elif verb == "get":
    told = {{f"--revision={{each['revision']}}": each["values"] for each in release["history"]}}
    chosen = next((told[argument] for argument in sys.argv if argument in told), release["values"])
    print(json.dumps(chosen if sys.argv[2] == "values" else {{"version": "2.0.0", "appVersion": "2.0.0"}}))
elif verb == "template":
    fail(plan["contradiction"]) if plan.get("contradiction") else print(plan.get("manifest", ""))
elif verb == "upgrade":
    values = json.loads(Path(next(a for a in sys.argv if a.startswith("--values="))[9:]).read_text())
    if "--dry-run=server" in sys.argv:
        if plan.get("refusal"):
            fail("UPGRADE FAILED: execution error at (x/y.yaml:1:4): " + plan["refusal"])
        wanted = {{"version": 1, "info": {{"status": "pending"}}, "manifest": plan["manifest"], "hooks": []}}
        print("Pulled: somewhere\\n" + json.dumps(wanted))
    elif plan.get("failure") and "--no-hooks" not in sys.argv:
        keep("failed", plan["manifest"], values)
        time.sleep(plan.get("seconds", 0))
        fail("UPGRADE FAILED: " + plan["failure"])
    else:
        keep("deployed", plan["manifest"], values)
elif verb == "rollback" and plan.get("stuck"):
    release["history"][-1]["status"] = "superseded"  # as helm calls it, though it failed
    keep("failed")
    fail(plan["stuck"])
elif verb == "rollback":
    keep("deployed")
elif verb == "uninstall":
    state.unlink(missing_ok=True)
else:
    fail("unknown command " + verb)
'''


@dataclass
class FakeHelm:
    """What the fake helm shall do, and what it was asked."""

    folder: Path
    binary: str
    plan: dict[str, Any] = field(default_factory=dict)

    def does(self, **plan: object) -> None:
        """From now on; a ``manifest`` stays until another is given."""
        self.plan = {**({"manifest": self.plan["manifest"]} if "manifest" in self.plan else {}), **plan}
        (self.folder / "plan.json").write_text(json.dumps(self.plan), encoding="utf-8")

    def has(self, state: str, **more: object) -> None:
        """Pretend that a release is there in some state."""
        release = json.loads((self.folder / "release.json").read_text(encoding="utf-8"))
        release["info"] |= {"status": state, **more}
        release["history"][-1]["status"] = state
        (self.folder / "release.json").write_text(json.dumps(release), encoding="utf-8")

    @property
    def release(self) -> dict[str, Any] | None:
        path = self.folder / "release.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    @property
    def calls(self) -> list[dict[str, Any]]:
        lines = (self.folder / "calls").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]

    @property
    def writes(self) -> list[str]:
        """The verbs of calls that change something, in order."""
        writing = ("upgrade", "rollback", "uninstall")
        calls = [call["arguments"] for call in self.calls]
        return [call[0] for call in calls if call[0] in writing and "--dry-run=server" not in call]


@pytest.fixture
def fake_helm(tmp_path: Path) -> FakeHelm:
    folder = tmp_path / "helm"
    folder.mkdir()
    program = folder / "helm"
    program.write_text(FAKE_HELM.format(python=sys.executable, folder=str(folder)), encoding="utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    fake = FakeHelm(folder, str(program))
    fake.does(manifest="")
    return fake


@dataclass(frozen=True)
class Result:
    """How a module ended."""

    failed: bool
    document: dict[str, Any]

    @property
    def message(self) -> str:
        return str(self.document.get("msg", ""))

    def __getitem__(self, key: str) -> Any:
        return self.document[key]


Run = Callable[..., Result]


@pytest.fixture
def run(kubeconfig: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs a module in this process with the arguments given, on the fake cluster unless another is named."""

    def run_module(module: ModuleType, *, check: bool = False, **arguments: object) -> Result:
        given = {"kubeconfig": str(kubeconfig), **arguments, "_ansible_check_mode": check}
        given |= {"_ansible_remote_tmp": str(tmp_path), "_ansible_keep_remote_files": False}
        capsys.readouterr()
        with patch_module_args(given), pytest.raises(SystemExit) as ended:
            module.main()
        said = capsys.readouterr().out.strip().splitlines()[-1]
        return Result(bool(ended.value.code), json.loads(said))

    return run_module

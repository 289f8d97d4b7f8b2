"""The archive of the collection is whole: installed elsewhere, its playbooks run by their full names alone."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from image_registry.kube.client import object_path
from tests.collection.conftest import ROOT
from tests.operator.control_plane import ApiServer

COLLECTION = ROOT / "collections/ansible_collections/alauda/registry"
BIN = Path(sys.executable).parent
FOREIGN = ("KUBECONFIG", "ANSIBLE_", "K8S_")


def call(command: list[str | Path], folder: Path) -> subprocess.CompletedProcess[str]:
    """Somewhere without a checkout: no ansible.cfg, no collections but those in the folder."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    settings = {
        "ANSIBLE_HOME": str(folder / "home"),
        "ANSIBLE_COLLECTIONS_PATH": str(folder / "collections"),
        "ANSIBLE_PIPELINING": "true",
        "PATH": f"{BIN}:{kept['PATH']}",
    }
    return subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env={**kept, **settings},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the collection installed from its archive."""
    folder = tmp_path_factory.mktemp("elsewhere")
    built = call([sys.executable, ROOT / "collections/build.py", folder], folder)
    assert built.returncode == 0, built.stderr
    archive = built.stdout.strip()
    target = ["-p", folder / "collections"]
    done = call([BIN / "ansible-galaxy", "collection", "install", "--offline", archive, *target], folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def played(folder: Path, kubeconfig: Path, playbook: str, *options: str, **variables: object) -> tuple[int, str]:
    host = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "registry_kubeconfig": str(kubeconfig),
    }
    inventory = folder / "hosts.yml"
    inventory.write_text(
        yaml.safe_dump({"registry_clusters": {"hosts": {"one": {**host, **variables}}}}), encoding="utf-8"
    )
    done = call([BIN / "ansible-playbook", "-i", inventory, playbook, *options], folder)
    return done.returncode, done.stdout + done.stderr


def test_a_playbook_by_its_full_name_is_predicted_then_done(elsewhere: Path, apiserver: ApiServer) -> None:
    apiserver.client.create("/api/v1/namespaces", {"metadata": {"name": "archived"}})
    rules = {
        "registry_access_rules": [{"namespace": "archived", "role": "puller", "groups": ["guests"]}],
        "registry_report_folder": str(elsewhere / "reports"),
    }
    path = object_path("rbac.authorization.k8s.io/v1", "rolebindings", namespace="archived")
    for options, changed, bindings in ((("--check",), 1, 0), ((), 1, 1)):
        ended, said = played(elsewhere, apiserver.kubeconfig, "alauda.registry.access", *options, **rules)
        assert ended == 0, said
        assert re.search(rf"changed={changed}\s", said), said
        assert len(apiserver.client.get(path)["items"]) == bindings
    assert (elsewhere / "reports/one-access.json").exists()


def test_the_archive_has_the_charts_that_it_installs(elsewhere: Path, apiserver: ApiServer, helm: str) -> None:
    wishes = {
        "registry_namespace": "archived-registry",
        "registry_install_method": "helm",
        "registry_helm_binary": helm,
        "registry_preflight": False,  # a kube-apiserver alone has no nodes
    }
    ended, said = played(elsewhere, apiserver.kubeconfig, "alauda.registry.install", "--check", "--diff", **wishes)
    assert ended == 0, said
    assert "Deployment" in said
    assert "image-registry" in said
    assert re.search(r"changed=1\s", said), said
    charts = elsewhere / "collections/ansible_collections/alauda/registry/charts"
    of_the_operator = charts / "cluster-image-registry-operator"
    operator = call([helm, "template", "operator", of_the_operator, "--kube-version=1.33"], elsewhere)
    assert operator.returncode == 0, operator.stderr
    hidden = charts.rename(charts.with_name("hidden"))
    try:
        ended, said = played(elsewhere, apiserver.kubeconfig, "alauda.registry.install", "--check", **wishes)
    finally:
        hidden.rename(charts)
    assert ended == 2
    assert "installed without the charts" in said
    assert "set registry_chart_ref" in " ".join(said.split())


def test_an_execution_environment_gets_what_the_plugins_import() -> None:
    wanted = yaml.safe_load((COLLECTION / "meta/execution-environment.yml").read_text(encoding="utf-8"))
    assert wanted["version"] in (1, 3)
    assert set(wanted["dependencies"]) == {"python", "system"}
    lines = (COLLECTION / wanted["dependencies"]["python"]).read_text(encoding="utf-8").splitlines()
    named = {Requirement(line).name for line in lines if line and not line.startswith("#")}
    imported = set()
    for source in (COLLECTION / "plugins").rglob("*.py"):
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []
            imported |= {name.partition(".")[0] for name in names}
    foreign = imported - sys.stdlib_module_names - {"ansible", "ansible_collections"}
    installed_by = metadata.packages_distributions()
    packages = {installed_by[name][0] for name in foreign}
    assert named <= packages, "nothing needs it"
    with_them = {Requirement(line).name for name in named for line in metadata.requires(name) or []}
    assert packages <= named | with_them, "nothing brings it"
    bindep = (COLLECTION / wanted["dependencies"]["system"]).read_text(encoding="utf-8").splitlines()
    for line in bindep:
        assert line.startswith("#") or re.fullmatch(r"[\w.+-]+( \[[\w:! -]+\])?", line), line
    readme = (COLLECTION / "README.md").read_text(encoding="utf-8")
    assert [name for name in named if f"`{name}`" not in readme] == []


def test_every_playbook_of_a_checkout_is_one_of_the_collection() -> None:
    names = {path.stem for path in (COLLECTION / "playbooks").glob("*.yml")}
    for path in (ROOT / "playbooks").glob("*.yml"):
        if path.stem.startswith("demo"):
            continue
        (play,) = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert play["ansible.builtin.import_playbook"] == f"alauda.registry.{path.stem}"
        names.remove(path.stem)
    assert names == set()


def test_links_of_the_archive_lead_into_it_or_to_the_web() -> None:
    for readme in [COLLECTION / "README.md", *(COLLECTION / "roles").glob("*/README.md")]:
        for link in re.findall(r"\]\((?!https?://|#)([^)#]+)", readme.read_text(encoding="utf-8")):
            place = (readme.parent / link).resolve()
            assert place.exists(), (readme, link)
            assert place.is_relative_to(COLLECTION), f"{readme.parent.name}: {link} leads out of the archive"

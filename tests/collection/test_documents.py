"""What the documentation and the specifications of the collection say is what the code does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from ansible_collections.alauda.registry.plugins.module_utils import _readiness
from ansible_collections.alauda.registry.plugins.module_utils._chart import merge
from ansible_collections.alauda.registry.plugins.module_utils._config_options import CONFIG, IMAGEPRUNER

ROOT = Path(__file__).resolve().parents[2]
COLLECTION = ROOT / "collections/ansible_collections/alauda/registry"
CHART = ROOT / "charts/image-registry"
INSTALL = (ROOT / "docs/how-to/install.md").read_text(encoding="utf-8")
MODULES = sorted(path.stem for path in (COLLECTION / "plugins/modules").glob("*.py"))
WITHOUT_CLUSTER = {"image_mirror", "legacy_migration_info", "legacy_migration_plan", "registry_backup_info"}
"""Modules that ask nobody: the cluster of the group would be an unknown option."""
ROLES = [
    "access",
    "backup",
    "install",
    "limits",
    "nodes",
    "prune",
    "restore",
    "routes",
    "storage",
    "uninstall",
    "upgrade",
    "verify",
]


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_every_need_of_the_preflight_has_a_row_in_the_guide() -> None:
    sources = [
        (COLLECTION / "plugins/module_utils" / name).read_text(encoding="utf-8")
        for name in sorted(path.name for path in (COLLECTION / "plugins/module_utils").glob("_needs*.py"))
    ]
    sources.append((COLLECTION / "plugins/module_utils/_wanted.py").read_text(encoding="utf-8"))
    needs = {need for source in sources for need in re.findall(r'Finding\(\s*"([a-z-]+)"', source)} | {"cluster"}
    rows = set(re.findall(r"^\| `([a-z-]+)` \|", INSTALL, re.MULTILINE))
    assert rows == needs


def test_every_reason_with_a_cure_is_in_the_guide() -> None:
    rare = {"ErrImageNeverPull", "CreateContainerError", "RunContainerError"}
    for reason in set(_readiness.CURES) - rare:
        assert f"`{reason}`" in INSTALL, reason


@pytest.mark.parametrize("role", ROLES)
def test_the_defaults_of_a_role_are_those_of_its_specification(role: str) -> None:
    defaults = load(COLLECTION / f"roles/{role}/defaults/main.yml")
    for name, entry in load(COLLECTION / f"roles/{role}/meta/argument_specs.yml")["argument_specs"].items():
        options = entry["options"]
        required = {option for option, spec in options.items() if spec.get("required")}
        assert required == {"registry_kubeconfig"}, name
        assert set(options) - required == set(defaults), name
        for option, spec in options.items():
            if "default" in spec:
                assert defaults[option] == spec["default"], option


def test_the_tables_of_the_roles_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "collections/document_roles.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_one_module_default_names_the_cluster_for_every_module() -> None:
    assert load(COLLECTION / "meta/runtime.yml")["action_groups"]["registry"] == [
        name for name in MODULES if name not in WITHOUT_CLUSTER
    ]
    for name in MODULES:
        said = (COLLECTION / f"plugins/modules/{name}.py").read_text(encoding="utf-8")
        assert ("- alauda.registry._cluster.action_group\n" in said) == (name not in WITHOUT_CLUSTER), name
        assert ("  action_group:\n    support: none\n" in said) == (name in WITHOUT_CLUSTER), name


@pytest.mark.parametrize("role", [*ROLES, "migrate"])
def test_no_value_of_a_token_is_ever_shown(role: str) -> None:
    for entry in load(COLLECTION / f"roles/{role}/meta/argument_specs.yml")["argument_specs"].values():
        for name, spec in entry["options"].items():
            if name.endswith(("_token", "_credentials")):
                assert spec.get("no_log") is True, name


@pytest.mark.parametrize("module", MODULES)
def test_every_module_is_in_the_readme_and_in_the_reference(module: str) -> None:
    assert f"`{module}" in (COLLECTION / "README.md").read_text(encoding="utf-8")
    assert f"`{module}`" in (ROOT / "docs/reference/collection.md").read_text(encoding="utf-8")


def test_the_example_inventory_is_valid_for_the_chart() -> None:
    given = load(ROOT / "inventories/example/group_vars/registry_clusters.yml")
    values = merge(load(CHART / "values.yaml"), {**given["registry_chart_values"], "config": given["registry_config"]})
    values = merge(values, {"image": given["registry_image"]})
    jsonschema.validate(values, load(CHART / "values.schema.json"))


def names(node: dict[str, Any], below: str, prefix: str = "") -> set[str]:
    """Every dotted name of an argument spec or of a schema."""
    found = set()
    for name, member in (node.get(below) or {}).items():
        path = f"{prefix}.{name}" if prefix else name
        found |= {path} | names(member.get("items") or member, below, path)
    return found


@pytest.mark.parametrize(("kind", "spec"), [("configs", CONFIG), ("imagepruners", IMAGEPRUNER)])
def test_the_modules_know_the_fields_that_the_definitions_have(kind: str, spec: dict[str, Any]) -> None:
    text = (ROOT / f"charts/cluster-image-registry-operator/templates/crds/{kind}.yaml").read_text(encoding="utf-8")
    (version,) = yaml.safe_load(text)["spec"]["versions"]
    defined = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert names({"options": spec}, "options") == names(defined, "properties")


@pytest.fixture(scope="module")
def ansible() -> dict[str, str]:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("KUBECONFIG", "ANSIBLE_", "K8S_"))
    }
    return {**kept, "PATH": f"{Path(sys.executable).parent}:{kept['PATH']}", "ANSIBLE_NOCOWS": "1"}


@pytest.mark.parametrize("playbook", ["install", "verify", "uninstall"])
def test_a_playbook_without_a_cluster_stops_before_anything_is_done(
    playbook: str, ansible: dict[str, str], tmp_path: Path
) -> None:
    inventory = tmp_path / "hosts.yml"
    host = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    inventory.write_text(yaml.safe_dump({"registry_clusters": {"hosts": {"nowhere": host}}}), encoding="utf-8")
    done = subprocess.run(
        ["ansible-playbook", "-i", inventory, ROOT / f"playbooks/{playbook}.yml"],
        cwd=ROOT,
        env={**ansible, "ANSIBLE_HOME": str(tmp_path / "home"), "KUBECONFIG": str(tmp_path / "ambient")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert "missing required arguments: registry_kubeconfig" in done.stdout


def test_the_collection_can_be_built(ansible: dict[str, str], tmp_path: Path) -> None:
    done = subprocess.run(
        ["ansible-galaxy", "collection", "build", str(COLLECTION), "--output-path", str(tmp_path)],
        env={**ansible, "ANSIBLE_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("alauda-registry-*.tar.gz"))) == 1


def shared_by_all(inventory: Path) -> Any:
    """Variables of the group, in a file of its own or in a folder of such files."""
    one = inventory / "group_vars/registry_clusters.yml"
    return load(one if one.exists() else inventory / "group_vars/registry_clusters/main.yml")


def test_every_secret_of_several_clusters_is_in_the_pattern_of_the_vault() -> None:
    folder = ROOT / "inventories/example-multi"
    pattern = load(folder / "group_vars/registry_clusters/vault.yml.example")
    hosts = set(load(folder / "hosts.yml")["registry_clusters"]["hosts"])
    used = set(re.findall(r"\bvault_\w+", (folder / "group_vars/registry_clusters/main.yml").read_text("utf-8")))
    assert used == set(pattern)
    assert all(set(value) == hosts for value in pattern.values() if isinstance(value, dict))


@pytest.mark.parametrize(("inventory", "hosts"), [("example", 1), ("example-multi", 3)])
def test_the_example_inventories_have_all_that_a_migration_wants(inventory: str, hosts: int) -> None:
    folder = ROOT / "inventories" / inventory
    common = shared_by_all(folder)
    clusters = load(folder / "hosts.yml")["registry_clusters"]["hosts"]
    assert len(clusters) == hosts
    specs = load(COLLECTION / "roles/migrate/meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    required = {name for name, spec in specs.items() if spec.get("required")}
    for own in clusters.values():
        named = {name for name in {**common, **own} if name.startswith("registry_migrate_")}
        assert named <= set(specs)
        assert {"registry_migrate_survey_url", "registry_migrate_survey_token"} <= named
        assert required <= {**common, **own}.keys()
    assert "inventory_hostname" in common["registry_migrate_folder"], "one folder for each cluster"

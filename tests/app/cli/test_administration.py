"""``ac adm top`` and ``ac adm policy``: what takes space, and who may do what."""

from __future__ import annotations

import json

import pytest

from image_registry.cli.top import Stored, add_parents
from tests.app.cli.served import RBAC, Ac, Office

BINDINGS = f"{RBAC}namespaces/team/rolebindings"
BUILDER = {"kind": "ServiceAccount", "namespace": "team", "name": "builder"}


def test_images_are_shown_with_where_they_are_and_who_uses_them(ac: Ac, office: Office) -> None:
    used = office.api.push("team/app", "one", "v1")
    loose = office.api.push("team/app", "two", None)
    office.run(f"{office.host}/team/app:v1")
    lines = ac.good("adm", "top", "images").splitlines()
    assert lines[0].split() == ["NAME", "IMAGESTREAMTAG", "PARENTS", "USAGE", "METADATA", "STORAGE"]
    cells = {line[:19]: line[19:].split("   ") for line in lines[1:]}
    assert [cell.strip() for cell in cells[used[:19]] if cell.strip()] == [
        "team/app (v1)", "<none>", "Deployment: team/web", "no", "10 B",
    ]  # fmt: skip
    assert "<none>" in cells[loose[:19]]
    assert used in ac.good("adm", "top", "images", "-o", "wide")
    items = json.loads(ac.good("adm", "top", "images", "-o", "json"))["items"]
    [item] = [item for item in items if item["name"] == used]
    assert (item["imageStreamTags"], item["usage"], item["storage"]) == (["team/app:v1"], ["Deployment team/web"], 10)


def test_streams_are_shown_by_size_without_counting_a_layer_twice(ac: Ac, office: Office) -> None:
    office.api.push("team/app", "one", "v1")
    office.api.push("team/app", "two", "v1")
    office.api.push("other/app", "one", "v1", b'{"a": 1}')
    office.api.push("other/app", "one", "v2")
    ac.good("create", "imagestream", "empty")
    lines = [line.split() for line in ac.good("adm", "top", "imagestreams").splitlines()]
    assert lines[0] == ["NAME", "STORAGE", "IMAGES", "LAYERS"]
    assert lines[1:] == [
        ["team/app", "20", "B", "2", "2"], ["other/app", "10", "B", "2", "1"], ["team/empty", "0", "B", "0", "0"],
    ]  # fmt: skip
    assert "other/app" not in ac.good("adm", "top", "imagestreams", "-n", "team")


def test_the_parent_is_the_image_with_most_of_the_layers() -> None:
    layers = ["a", "b", "c"]
    images = [Stored(str(number), dict.fromkeys(layers[:number], 1)) for number in (1, 2, 3)]
    other = Stored("other", {"b": 1, "c": 1})
    add_parents([*images, other])
    assert [image.parents for image in (*images, other)] == [[], ["1"], ["2"], []]


def test_without_the_right_it_is_named(ac: Ac, office: Office) -> None:
    office.refused["GET", "/apis/image.alauda.io/v1/images"] = "no"
    assert "list images.image.alauda.io" in ac.bad(3, "adm", "top", "images")


def test_a_role_is_given_once_and_taken_back(ac: Ac, office: Office) -> None:
    office.objects[f"{RBAC}clusterroles/system:image-pusher"] = {}
    role = "system:image-pusher"
    said = ac.good("adm", "policy", "add-role-to-user", role, "ann", "-z", "builder")
    assert said == (
        f"rolebinding.rbac.authorization.k8s.io/{role} updated: ClusterRole {role} given to User ann, "
        "ServiceAccount team/builder in namespace team\n"
    )
    binding = office.objects[f"{BINDINGS}/{role}"]
    assert binding["roleRef"]["name"] == role
    assert BUILDER in binding["subjects"]
    ac.good("adm", "policy", "add-role-to-user", role, "system:serviceaccount:team:builder", "bob")
    assert [found["name"] for found in office.objects[f"{BINDINGS}/{role}"]["subjects"]] == ["ann", "builder", "bob"]
    ac.good("adm", "policy", "add-role-to-group", role, "devs", "--rolebinding-name=devs-push")
    assert office.objects[f"{BINDINGS}/devs-push"]["subjects"][0]["kind"] == "Group"
    ac.good("adm", "policy", "remove-role-from-user", role, "ann", "bob")
    assert office.objects[f"{BINDINGS}/{role}"]["subjects"] == [BUILDER]
    said = ac.good("adm", "policy", "remove-role-from-user", role, "-z", "builder", "--dry-run")
    assert "(dry run)" in said
    assert f"{BINDINGS}/{role}" in office.objects
    assert "nobody is left" in ac.good("adm", "policy", "remove-role-from-user", role, "-z", "builder")
    assert f"{BINDINGS}/{role}" not in office.objects
    assert "no binding in namespace team gives" in ac.bad(5, "adm", "policy", "remove-role-from-user", role, "ann")


@pytest.mark.parametrize(
    "mark",
    [
        {"labels": {"app.kubernetes.io/managed-by": "cluster-image-registry-operator"}},
        {"ownerReferences": [{"kind": "Install", "name": "other", "uid": "1"}]},
    ],
)
def test_nobody_is_added_to_a_binding_that_a_program_keeps_as_it_is(
    ac: Ac, office: Office, mark: dict[str, object]
) -> None:
    role, name = "system:image-puller", "image-registry-system-image-pullers"
    office.objects[f"{RBAC}clusterroles/{role}"] = {}
    kept = {"metadata": {"name": name, **mark}, "roleRef": {"kind": "ClusterRole", "name": role}, "subjects": [BUILDER]}
    office.objects[f"{BINDINGS}/{name}"] = kept
    ac.good("adm", "policy", "add-role-to-group", role, "system:serviceaccounts:other")
    assert office.objects[f"{BINDINGS}/{name}"] == kept
    assert office.objects[f"{BINDINGS}/{role}"]["subjects"][0]["name"] == "system:serviceaccounts:other"
    ac.good("adm", "policy", "add-role-to-user", role, "ann", "--rolebinding-name", name)
    assert [found["name"] for found in office.objects[f"{BINDINGS}/{name}"]["subjects"]] == ["builder", "ann"]
    done = ac("adm", "policy", "remove-role-from-user", role, "ann")
    assert done.exit_code == 0
    assert f"rolebinding {name} is kept by" in done.stderr
    assert f"which may give ClusterRole {role} back" in done.stderr


def test_a_role_is_given_in_all_namespaces(ac: Ac, office: Office) -> None:
    done = ac("adm", "policy", "add-cluster-role-to-user", "system:image-pruner", "-z", "pruner")
    assert done.exit_code == 0
    assert "there is no ClusterRole system:image-pruner" in done.stderr
    assert office.objects[f"{RBAC}clusterrolebindings/system:image-pruner"]["subjects"][0]["name"] == "pruner"
    ac.good("adm", "policy", "remove-cluster-role-from-user", "system:image-pruner", "-z", "pruner", "-o", "name")
    assert f"{RBAC}clusterrolebindings/system:image-pruner" not in office.objects


def test_a_name_that_is_taken_by_another_role_is_not_used(ac: Ac, office: Office) -> None:
    other = {"metadata": {"name": "view"}, "roleRef": {"kind": "ClusterRole", "name": "edit"}, "subjects": []}
    office.objects[f"{BINDINGS}/view"] = other
    ac.good("adm", "policy", "add-role-to-user", "view", "ann")
    assert office.objects[f"{BINDINGS}/view"] == other
    assert office.objects[f"{BINDINGS}/view-0"]["roleRef"]["name"] == "view"


@pytest.mark.parametrize("arguments", [("view",), ("view", "ann", "--role-namespace=other")])
def test_what_cannot_be_meant_is_refused(ac: Ac, office: Office, arguments: tuple[str, ...]) -> None:
    ac.bad(2, "adm", "policy", "add-role-to-user", *arguments)
    assert not office.objects

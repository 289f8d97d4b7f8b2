"""The freeze takes the right to write in the legacy registry, and leaves every other right as it stands."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_registry.migration.access_facts import read_roles
from image_registry.migration.legacy_rights import without_writing, writes
from image_registry.migration.object_actions import rules_before
from image_registry.migration.phases import Phase
from image_registry.migration.planning import plan
from image_registry.migration.reading import Reader
from image_registry_lab.legacy.variants import VARIANTS
from tests.app.migration.conftest import LegacyCluster, cluster_of
from tests.app.migration.test_plans import changed

OLD, APPS = "registry.alauda.io", "apps"


def rule(groups: list[str], resources: list[str], verbs: list[str], **more: Any) -> dict[str, Any]:
    return {"apiGroups": groups, "resources": resources, "verbs": verbs, **more}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            [rule([OLD, APPS], ["images", "deployments"], ["get", "create"])],
            [
                rule([APPS], ["images", "deployments"], ["get", "create"]),
                rule([OLD], ["deployments"], ["get", "create"]),
                rule([OLD], ["images"], ["get"]),
            ],
        ),
        (
            [rule([OLD], ["images"], ["get", "list", "update", "watch"], resourceNames=["team"])],
            [rule([OLD], ["images"], ["get", "list", "watch"], resourceNames=["team"])],
        ),
        ([rule([OLD], ["images"], ["delete"])], []),
        ([rule([OLD], ["*"], ["*"])], [rule([OLD], ["*"], ["get", "list", "watch"])]),
        ([rule([OLD, "*"], ["*"], ["*"])], [rule(["*"], ["*"], ["*"]), rule([OLD], ["*"], ["get", "list", "watch"])]),
        ([rule([OLD], ["images"], ["get", "list"])], [rule([OLD], ["images"], ["get", "list"])]),
        ([{"nonResourceURLs": ["/x"], "verbs": ["*"]}], [{"nonResourceURLs": ["/x"], "verbs": ["*"]}]),
    ],
    ids=["other groups", "single images", "delete alone", "every resource", "every group", "reads", "addresses"],
)
def test_only_the_verbs_that_write_in_the_old_registry_go(before: list[Any], after: list[Any]) -> None:
    assert without_writing(before) == after
    assert rules_before(after, before, {"withoutWriting": True}) == before
    theirs = rule([""], ["secrets"], ["get"])
    back = rules_before([*after, theirs], before, {"withoutWriting": True})
    assert sorted(map(str, back)) == sorted(map(str, [*before, theirs]))


VALUES = {"apiGroups": [OLD, APPS], "resources": ["images", "pods", "*"], "verbs": ["get", "watch", "update", "*"]}
RULES = st.lists(
    st.fixed_dictionaries({key: st.lists(st.sampled_from(v), min_size=1, unique=True) for key, v in VALUES.items()}),
    max_size=4,
)


@given(RULES)
def test_nobody_gets_or_loses_another_right(rules: list[dict[str, Any]]) -> None:
    """Each question is asked before and after."""

    def may(found: list[dict[str, Any]], group: str, resource: str, verb: str) -> bool:
        return any(
            group in entry["apiGroups"]
            and {resource, "*"} & set(entry["resources"])
            and {verb, "*"} & set(entry["verbs"])
            for entry in found
        )

    for group, resource, verb in itertools.product((OLD, APPS), ("images", "pods"), ("get", "list", "watch", "update")):
        before, after = (may(found, group, resource, verb) for found in (rules, without_writing(rules)))
        if (group, resource) == (OLD, "images"):
            assert after == (before and verb != "update")
        elif group == OLD:
            assert after <= before, "of a group in which nothing but images is"
        else:
            assert after == before


def test_every_role_that_can_write_is_frozen_whatever_its_name_and_then_none_can(tmp_path: Path) -> None:
    roles = {
        "not-a-puller": [rule([OLD], ["images"], ["get", "update"])],
        "everything": [rule([OLD], ["*"], ["*"])],
        "mixed": [rule([OLD, APPS], ["images"], ["create"])],
        "single": [rule([OLD], ["images"], ["patch"], resourceNames=["a"])],
    }

    def add(cluster: LegacyCluster) -> None:
        for name, rules in roles.items():
            metadata = {"name": name, "namespace": "team-a"}
            cluster.put(
                {
                    "apiVersion": "rbac.authorization.k8s.io/v1",
                    "kind": "Role",
                    "metadata": metadata,
                    "rules": rules,
                }
            )

    found = plan(changed("4.2-pvc", add, tmp_path))
    frozen = {
        step.object.name for step in found.phase(Phase.FREEZE) if step.parameters.get("withoutWriting") and step.object
    }
    assert frozen >= set(roles)
    cluster = cluster_of(VARIANTS["4.2-pvc"])
    add(cluster)
    for document in cluster.documents.values():
        if "rules" in document and document["metadata"]["name"] in frozen:
            document["rules"] = without_writing(document["rules"])
    left = [entry for entry in read_roles(Reader(cluster)) for fact in entry.rules if writes(fact.verbs)]
    assert [entry.object.name for entry in left if not any(fact.wildcard for fact in entry.rules)] == []

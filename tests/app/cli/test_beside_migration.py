"""What deletes is refused while a migration is under way; who looks is not stopped, and who means it names it."""

from __future__ import annotations

from typing import Any

import pytest

from image_registry.migration import holding
from tests.app.cli.served import Ac, Office

LEASES = "/apis/coordination.k8s.io/v1/leases"
HERE = f"/apis/coordination.k8s.io/v1/namespaces/cpaas-system/leases/{holding.NAME}"
DIGEST = f"sha256:{'7' * 64}"
NOWHERE = ("--registry-url", "https://127.0.0.1:9")
DELETING = [
    ("adm", "prune", "images"),
    ("adm", "registry", "gc", *NOWHERE),
    ("adm", "registry", "scrub", *NOWHERE),
]


def lease(plan: str = DIGEST) -> dict[str, Any]:
    marks = {holding.PLAN: plan, holding.OWNER: "ann@desk"} if plan else {}
    metadata = {
        "name": holding.NAME,
        "namespace": "cpaas-system",
        "annotations": marks,
        "creationTimestamp": "2026-11-19T07:00:00Z",
        "managedFields": [{"manager": "somebody-else/1.0"}],
    }
    spec = {"holderIdentity": "journal-1", "acquireTime": "2026-11-20T08:00:00.000000Z"}
    return {"metadata": metadata, "spec": spec}


@pytest.mark.parametrize("command", DELETING, ids=lambda command: command[2])
def test_what_deletes_is_refused_with_whose_migration_it_is_and_what_to_run_next(
    ac: Ac, office: Office, command: tuple[str, ...]
) -> None:
    office.api.push("team/app", "one", None)
    office.lists[LEASES] = [lease()]
    for more in ((), ("--accept-migration=sha256:another",)):
        said = " ".join(ac.bad(2, *command, "--confirm", *more).split())
        assert f"plan {DIGEST}, begun by ann@desk at 2026-11-20" in said
        assert "ac adm migrate rollback" in said
        assert f"--accept-migration={DIGEST}" in said
        assert ("sha256:another, which is not that one" in said) is bool(more)
    assert not [method for method, *_ in office.sent if method == "DELETE"]
    assert "a migration of this cluster" not in ac(*command).output, "who looks changes nothing"
    assert "a migration of this cluster" not in ac(*command, "--confirm", f"--accept-migration={DIGEST}").output
    office.lists[LEASES] = []
    assert "a migration of this cluster" not in ac(*command, "--confirm").output


def test_a_lease_of_somebody_else_tells_whose_it_is_and_how_it_goes(ac: Ac, office: Office) -> None:
    office.lists[LEASES] = [lease(plan="")]
    said = " ".join(ac.bad(2, "adm", "prune", "images", "--confirm").split())
    assert "names no plan, so no migration made it: held by journal-1 since 2026-11-20T08:00:00.000000Z" in said
    assert "there since 2026-11-19T07:00:00Z, written by somebody-else/1.0" in said
    assert f"kubectl delete lease -n cpaas-system {holding.NAME}" in said
    ac.good("adm", "prune", "images", "--confirm", "--accept-migration=journal-1")


def test_who_may_not_see_it_is_told_the_right(ac: Ac, office: Office) -> None:
    office.refused["GET", LEASES] = "you may not list leases"
    office.objects[HERE] = lease()
    assert DIGEST in ac.bad(2, "adm", "prune", "images", "--confirm"), "the usual namespace is looked at, then"
    office.refused["GET", HERE] = "you may not get leases"
    told = ac("adm", "prune", "images", "--confirm")
    assert told.exit_code == 0
    assert "whether a migration is under way can not be seen" in told.output
    assert "coordination.k8s.io" in told.output


@pytest.mark.parametrize("command", DELETING, ids=lambda command: command[2])
def test_a_cluster_that_does_not_answer_is_no_consent(ac: Ac, office: Office, command: tuple[str, ...]) -> None:
    office.broken.add(LEASES)
    said = " ".join(ac.bad(4, *command, "--confirm").split())
    assert "etcd is gone; nothing was done" in said
    assert not [method for method, *_ in office.sent if method == "DELETE"]
    assert "nothing was done. Run it again" not in ac(*command, "--confirm", "--accept-migration=sha256:any").output

"""What a ServiceAccount and a namespace need, as values."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from image_registry.operator import pull_secret_content as content
from image_registry.operator.pull_secret_content import Content
from image_registry.operator.pull_secret_plan import (
    EARLIEST,
    LATEST,
    Account,
    BindingPlan,
    Drop,
    Held,
    Make,
    Plan,
    Refer,
    Renew,
    Surroundings,
    binding,
    binding_state,
    plan,
    plan_binding,
    renewed_at,
)
from image_registry.operator.pull_secret_settings import PullSecretOptions, Settings, settings
from image_registry.operator.pull_secret_view import View, account_of, held_of

HOSTS = frozenset({"registry:5000"})
AROUND = Surroundings(settings=Settings(state="Managed", hosts=HOSTS), keys=frozenset({"one"}))
ACCOUNT = Account(namespace="team", name="default", uid="a", version="1")
SAID = Content(
    hosts=HOSTS,
    account="default",
    account_uid="a",
    secret_uid="s",
    audiences=frozenset({"image-registry"}),
    key="one",
    issued=0.0,
    expires=3600.0,
)
HELD = Held(
    namespace="team",
    name="default-dockercfg-aaaaa",
    uid="s",
    version="1",
    account="default",
    marked=True,
    owner="a",
    content=SAID,
)
SERVED = replace(ACCOUNT, reference=HELD.name, pulls=("mine", HELD.name))


def planned(account: Account | None, *held: Held, around: Surroundings = AROUND, now: float = 60.0) -> Plan:
    return plan(account, held, around, now, "zzzzz")


def test_the_name_comes_before_the_secret() -> None:
    account, name = replace(ACCOUNT, pulls=("mine",)), "default-dockercfg-zzzzz"
    assert planned(account).actions == (Refer(account, name, ("mine", name)), Make(account, name))


def test_who_goes_on_after_a_crash_takes_the_name_that_is_there() -> None:
    named = replace(ACCOUNT, reference="default-dockercfg-bbbbb", pulls=("default-dockercfg-bbbbb",))
    assert planned(named).actions == (Make(named, "default-dockercfg-bbbbb"),)


@pytest.mark.parametrize("name", ["tls", "robot-dockercfg-bbbbb", "default-dockercfg-BBBBB"])
def test_a_name_that_is_not_ours_is_not_taken(name: str) -> None:
    refer, make = planned(replace(ACCOUNT, reference=name, pulls=(name,))).actions
    assert isinstance(make, Make)
    assert make.name == "default-dockercfg-zzzzz"
    assert isinstance(refer, Refer)
    assert refer.pulls == (name, "default-dockercfg-zzzzz"), "somebody else's entry stays"


def test_nothing_is_done_where_all_is_well() -> None:
    assert planned(SERVED, HELD) == Plan((), renewed_at(HELD))


def test_a_secret_that_is_there_is_adopted() -> None:
    assert planned(ACCOUNT, HELD).actions == (Refer(ACCOUNT, HELD.name, (HELD.name,)),)


def test_the_best_of_several_is_kept() -> None:
    empty = replace(HELD, name="default-dockercfg-00000", uid="t", content=None)
    other = replace(HELD, name="default-dockercfg-99999", uid="u", content=replace(SAID, secret_uid="x"))
    dropped = [action.held.name for action in planned(ACCOUNT, empty, HELD, other).actions if isinstance(action, Drop)]
    assert dropped == [empty.name, other.name]
    listed = replace(SERVED, pulls=(empty.name, "mine", HELD.name))
    assert planned(listed, empty, HELD).actions[0] == Refer(listed, HELD.name, ("mine", HELD.name))


@pytest.mark.parametrize(
    ("why", "held"),
    [
        ("marks", replace(HELD, marked=False)),
        ("marks", replace(HELD, owner="b")),
        ("content", replace(HELD, content=None)),
        ("content", replace(HELD, content=replace(SAID, secret_uid="other"))),
        ("content", replace(HELD, content=replace(SAID, audiences=frozenset({"api"})))),
        ("account", replace(HELD, content=replace(SAID, account_uid="b"))),
        ("hosts", replace(HELD, content=replace(SAID, hosts=frozenset({"old:5000"})))),
        ("key", replace(HELD, content=replace(SAID, key="two"))),
        ("age", replace(HELD, content=replace(SAID, issued=-3600.0, expires=0.0))),
    ],
)
def test_what_is_not_as_it_should_be_gets_a_new_token(why: str, held: Held) -> None:
    assert planned(SERVED, held).actions == (Renew(SERVED, held, why),)


def test_keys_that_nobody_tells_renew_nothing() -> None:
    other = replace(HELD, content=replace(SAID, key="two"))
    assert planned(SERVED, other, around=replace(AROUND, keys=None)).actions == ()


def test_tokens_of_one_moment_are_renewed_at_many() -> None:
    many = [renewed_at(replace(HELD, uid=f"uid-{number}")) for number in range(2000)]
    assert min(many) >= 3600 * EARLIEST
    assert max(many) <= 3600 * LATEST
    minutes = [sum(start <= when < start + 60 for when in many) for start in range(1620, 2160, 60)]
    assert max(minutes) < 2 * len(many) / 9, "spread over nine minutes"
    assert renewed_at(HELD) == renewed_at(HELD), "a restart changes nothing"


def test_a_type_that_can_not_be_changed_is_made_anew() -> None:
    wrong = replace(HELD, right_type=False)
    drop, make = planned(SERVED, wrong).actions
    assert (drop, make) == (Drop(wrong, "its type can not be changed"), Make(SERVED, HELD.name))


def test_who_goes_takes_everything_along() -> None:
    assert [type(action) for action in planned(None, HELD).actions] == [Drop]
    assert planned(replace(SERVED, ending=True), HELD).actions == ()
    assert planned(None).actions == ()


@pytest.mark.parametrize(
    "quiet", [Settings(state="Removed"), Settings(state="Managed", hosts=HOSTS, ignored=frozenset({"team"}))]
)
def test_what_is_not_wanted_is_taken_away_and_nothing_else(quiet: Settings) -> None:
    found = planned(SERVED, HELD, around=replace(AROUND, settings=quiet)).actions
    assert found == (Refer(SERVED, "", ("mine",)), Drop(HELD, "it is not wanted any more"))
    assert planned(replace(ACCOUNT, pulls=("mine",)), around=replace(AROUND, settings=quiet)).actions == ()


@pytest.mark.parametrize("state", ["Unmanaged", "Waiting"])
def test_a_pause_changes_nothing(state: str) -> None:
    around = replace(AROUND, settings=Settings(state=state))
    assert planned(ACCOUNT, around=around) == planned(None, HELD, around=around) == Plan()
    assert plan_binding("team", None, around.settings) == BindingPlan()


def test_bindings() -> None:
    here, gone = AROUND.settings, Settings(state="Removed")
    right = binding_state(binding("team"))
    assert plan_binding("team", None, here) == BindingPlan(write=True)
    assert plan_binding("team", right, here) == BindingPlan()
    assert plan_binding("team", right, gone) == BindingPlan(delete=True)
    edited = binding_state({**binding("team"), "subjects": []})
    assert plan_binding("team", edited, here) == BindingPlan(write=True)
    other = binding_state({**binding("team"), "roleRef": {}})
    assert plan_binding("team", other, here) == BindingPlan(delete=True, write=True)
    foreign = binding_state({**binding("team"), "metadata": {"namespace": "team"}})
    assert plan_binding("team", foreign, gone) == BindingPlan(), "only what we made"


OPTIONS = PullSecretOptions(namespace="system")
SERVICE = {"spec": {"clusterIP": "10.0.0.7", "clusterIPs": ["10.0.0.7", "fd00::7"]}}


def config(**spec: Any) -> dict[str, Any]:
    return {"spec": {"managementState": "Managed", **spec}}


def test_all_names_of_the_registry() -> None:
    found = settings(
        config(
            routes=[{"name": "one", "hostname": "one.example.com"}],
            defaultRoute=True,
            routeDefaults={"domain": "apps.example.com"},
            imagePullSecret={"additionalRegistryHosts": ["old.example.com:443"]},
        ),
        SERVICE,
        OPTIONS,
    )
    assert found.hosts == {
        "image-registry.system.svc:5000",
        "image-registry.system.svc.cluster.local:5000",
        "10.0.0.7:5000",
        "one.example.com",
        "default-route-system.apps.example.com",
        "old.example.com:443",
    }


@pytest.mark.parametrize(
    ("of_registry", "of_secrets", "state"),
    [
        ("Managed", None, "Managed"),
        ("Managed", "Unmanaged", "Unmanaged"),
        ("Managed", "Removed", "Removed"),
        ("Unmanaged", "Removed", "Unmanaged"),
        ("Removed", None, "Removed"),
        (None, "Managed", "Removed"),
    ],
)
def test_states(of_registry: str | None, of_secrets: str | None, state: str) -> None:
    asked = {"managementState": of_registry, "imagePullSecret": {"managementState": of_secrets}}
    assert settings({"spec": asked}, SERVICE, OPTIONS).state == state


def test_without_a_config_nothing_is_touched_and_without_a_service_nothing_is_written() -> None:
    assert settings(None, SERVICE, OPTIONS).state == "Unmanaged"
    assert settings(config(), None, OPTIONS).state == "Waiting"


def test_ignored_namespaces() -> None:
    found = settings(config(imagePullSecret={"ignoredNamespaces": ["one"]}), SERVICE, OPTIONS)
    assert {"one", "system", "kube-system", "cpaas-system"} <= found.ignored
    every = settings(config(imagePullSecret={"ignoreSystemNamespaces": False}), SERVICE, OPTIONS)
    assert every.ignored == frozenset()


def jwt(**claims: Any) -> str:
    bound = {"serviceaccount": {"name": "default", "uid": "a"}, "secret": {"name": "n", "uid": "s"}}
    found = {"aud": ["image-registry"], "iat": 0, "exp": 3600, "kubernetes.io": bound, **claims}
    parts = [{"alg": "RS256", "kid": "one"}, found]
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*encoded, "c2ln"])


def secret(encoded: str, **metadata: Any) -> dict[str, Any]:
    marks = content.metadata("default", "a")
    marks["annotations"][content.DIGEST] = content.digest(encoded)
    found = {"name": HELD.name, "namespace": "team", "uid": "s", "resourceVersion": "1", **marks, **metadata}
    return {"metadata": found, "type": content.TYPE, "data": {content.KEY: encoded}}


def test_what_was_written_can_be_read_and_the_token_is_not_kept() -> None:
    token = jwt()
    found = held_of(secret(content.document(HOSTS, token)))
    assert found == HELD
    assert token not in repr(found)


@pytest.mark.parametrize(
    "encoded",
    [
        content.document((), ""),
        content.document(HOSTS, "no.token"),
        content.document(HOSTS, jwt(exp="never")),
        content.document(HOSTS, jwt(**{"kubernetes.io": {}})),
        content.document(HOSTS, jwt(exp=10**400)),
        content.document(HOSTS, jwt(iat=float("nan"))),
        content.document(HOSTS, jwt(exp=float("nan"))),
        content.document(HOSTS, jwt(iat=float("-inf"))),
        content.document(HOSTS, jwt(exp=float("inf"))),
        content.document(HOSTS, jwt(exp=1e15)),
        base64.b64encode(b'{"auths":' + b"[" * 200_000).decode(),
        base64.b64encode(b"[]").decode(),
        "%%%",
    ],
)
def test_what_nobody_would_have_written_is_no_content(encoded: str) -> None:
    assert content.read(secret(encoded)) is None


def test_an_edit_is_seen() -> None:
    found = secret(content.document(HOSTS, jwt()))
    found["data"][content.KEY] = content.document({"elsewhere:5000"}, jwt())
    assert content.read(found) is None


def test_long_names_fit() -> None:
    name = content.name_of("a" * 200, "zzzzz")
    assert len(name) == 74
    assert content.may_be_named("a" * 200, name)


def seen(version: str, reference: str = "") -> dict[str, Any]:
    notes = {content.REFERENCE: reference}
    metadata = {"namespace": "team", "name": "default", "uid": "a", "resourceVersion": version, "annotations": notes}
    return {"metadata": metadata}


def test_what_is_older_than_what_was_written_is_not_believed() -> None:
    view = View()
    assert view.put_account(seen("9", "new"))
    assert view.put_account(seen("10", "newest"))
    assert view.put_account(seen("9", "new")) is None
    assert view.account("team", "default")[0] == account_of(seen("10", "newest"))


def test_what_a_later_question_shows_is_believed_also_of_a_cluster_that_was_restored() -> None:
    now = 10.0
    view = View(lambda: now)
    assert view.put_account(seen("100", "new"))
    assert view.put_account(seen("7", "old"), 9.0) is None, "the question was asked before that was seen"
    assert view.put_account(seen("7", "old"), 11.0)
    assert view.account("team", "default")[0] == account_of(seen("7", "old"))
    assert view.put_account(seen("7", "old"), 12.0) is None, "what is known is no news"
    assert view.put_account(seen("8", "next"))


def test_a_list_does_not_take_away_what_came_while_it_was_read() -> None:
    now = 0.0
    view = View(lambda: now)
    view.put_secret(secret(content.document(HOSTS, jwt())))
    now = 2.0
    view.put_secret(secret(content.document(HOSTS, jwt()), name="default-dockercfg-bbbbb"))
    view.sweep("secrets", set(), begun=1.0)
    _, left = view.account("team", "default")
    assert [held.name for held in left] == ["default-dockercfg-bbbbb"]

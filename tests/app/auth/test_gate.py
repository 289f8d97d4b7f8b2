"""The one gate: what credentials are good for ends with what they were given for."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from image_registry.auth.access import Access, Decision
from image_registry.auth.gate import Caller, Gate, InvalidToken, NarrowToken, Refused
from image_registry.auth.identity import ANONYMOUS, Identity, InvalidCredentials
from image_registry.auth.tokens import LIFETIME, RegistryTokens, generate_key
from image_registry.oci.reference import Repository

ANN = Identity("ann", "u1", ("system:authenticated",))
BUILDER = Identity("system:serviceaccount:team:builder", "sa-1", ("system:serviceaccounts",))
APP, OTHER = Repository.parse("team/app"), Repository.parse("other/app")


@dataclass
class Cluster:
    """A named fake: rights by user, verb, resource and namespace; uids of namespaces and accounts."""

    rights: set[tuple[str, str, str, str]] = field(default_factory=set)
    namespaces: dict[str, str] = field(default_factory=lambda: {"team": "ns-1", "other": "ns-2"})
    accounts: dict[str, str | None] = field(default_factory=lambda: {"team/builder": "sa-1"})

    def allow(self, user: Identity, verb: str, resource: str, namespace: str = "") -> None:
        self.rights.add((user.username, verb, resource, namespace))

    def decide(self, identity: Identity, access: Access) -> Decision:
        allowed = (identity.username, access.verb, access.resource, access.namespace) in self.rights
        return Decision(allowed, "" if allowed else f"{identity.username} cannot {access}")

    def namespace(self, name: str) -> str:
        return self.namespaces.get(name, "")

    def account(self, namespace: str, name: str) -> str | None:
        return self.accounts.get(f"{namespace}/{name}", "")

    def authenticate_token(self, token: str) -> Identity:
        if token != "platform":
            raise InvalidCredentials("nobody knows it")
        return ANN

    def authenticate_basic(self, username: str, password: str) -> Identity:  # noqa: ARG002
        return self.authenticate_token(password)


@pytest.fixture
def cluster() -> Cluster:
    found = Cluster()
    for user in (ANN, BUILDER):
        for verb in ("get", "update"):
            found.allow(user, verb, "imagestreams", "team")
    return found


@pytest.fixture
def tokens() -> RegistryTokens:
    return RegistryTokens([generate_key()])


@pytest.fixture
def gate(cluster: Cluster, tokens: RegistryTokens) -> Gate:
    return Gate(cluster, cluster, tokens, cluster)


def with_token(gate: Gate, identity: Identity, *scopes: str) -> Caller:
    assert gate.tokens is not None
    return gate.identify(f"Bearer {gate.issue(gate.tokens, identity, scopes).token}")


def test_several_scopes_of_several_repositories_are_granted_in_part(gate: Gate, cluster: Cluster) -> None:
    cluster.allow(ANN, "get", "imagestreams", "other")
    caller = with_token(
        gate,
        ANN,
        "repository:team/app:pull",
        "repository:team/app:push,delete",
        "repository:other/app:pull,push",
        "repository:secret/app:*",
        "repository:too/deep/app:pull",
        "registry:catalog:*",
        "nonsense",
    )
    assert caller.claims is not None
    granted = {(grant.type, grant.name): set(grant.actions) for grant in caller.claims.grants}
    assert granted == {
        ("repository", "team/app"): {"pull", "push"},
        ("repository", "other/app"): {"pull"},
        ("registry", "catalog"): {"*"},
    }


def test_a_right_that_ended_ends_the_token_for_it(gate: Gate, cluster: Cluster) -> None:
    caller = with_token(gate, ANN, "repository:team/app:pull")
    gate.permit(caller, APP, "pull")
    cluster.rights.clear()
    with pytest.raises(Refused, match="ann cannot get imagestreams/layers"):
        gate.permit(caller, APP, "pull")
    assert not gate.may(caller, APP, "pull")


def test_a_token_for_one_repository_is_worth_nothing_for_another(gate: Gate, cluster: Cluster) -> None:
    cluster.allow(ANN, "get", "imagestreams", "other")
    caller = with_token(gate, ANN, "repository:team/app:pull")
    with pytest.raises(NarrowToken):
        gate.permit(caller, OTHER, "pull")
    assert not gate.may(caller, OTHER, "pull")


def test_a_namespace_that_was_made_anew_is_closed_to_tokens_of_its_predecessor(gate: Gate, cluster: Cluster) -> None:
    caller = with_token(gate, ANN, "repository:team/app:pull,push")
    cluster.namespaces["team"] = "ns-9"
    with pytest.raises(InvalidToken, match="namespace team is not the one"):
        gate.permit(caller, APP, "pull", "push")
    assert not gate.may(caller, APP, "pull"), "nor may it be mounted from"
    gate.permit(with_token(gate, ANN, "repository:team/app:pull"), APP, "pull")
    gate.permit(Caller(ANN), APP, "pull")  # a platform token speaks for now


def test_a_token_from_before_there_was_a_namespace_is_not_for_the_one_that_came(gate: Gate, cluster: Cluster) -> None:
    del cluster.namespaces["team"]
    caller = with_token(gate, ANN, "repository:team/app:pull")
    gate.permit(caller, APP, "pull")
    cluster.namespaces["team"] = "ns-9"
    with pytest.raises(InvalidToken):
        gate.permit(caller, APP, "pull")


@pytest.mark.parametrize("now", ["", "sa-2"])
def test_a_deleted_account_has_no_tokens_even_if_its_name_is_taken_again(
    gate: Gate, cluster: Cluster, now: str
) -> None:
    assert gate.tokens is not None
    header = f"Bearer {gate.issue(gate.tokens, BUILDER, ['repository:team/app:pull']).token}"
    gate.permit(gate.identify(header), APP, "pull")
    cluster.accounts["team/builder"] = now
    with pytest.raises(InvalidToken, match="team/builder was deleted or made anew"):
        gate.identify(header)


def test_who_may_not_read_accounts_trusts_the_short_life_of_tokens(gate: Gate, cluster: Cluster) -> None:
    cluster.accounts["team/builder"] = None
    gate.permit(with_token(gate, BUILDER, "repository:team/app:pull"), APP, "pull")


def test_those_who_may_delete_images_anywhere_may_delete_in_every_repository(gate: Gate, cluster: Cluster) -> None:
    with pytest.raises(Refused, match="delete imagestreamtags"):
        gate.permit(Caller(ANN), APP, "delete")
    cluster.allow(ANN, "delete", "images")
    gate.permit(Caller(ANN), APP, "delete")
    gate.permit(with_token(gate, ANN, "repository:team/app:delete"), APP, "delete")


def test_those_who_may_delete_tags_of_a_namespace_may_delete_there_alone(gate: Gate, cluster: Cluster) -> None:
    cluster.allow(ANN, "delete", "imagestreamtags", "team")
    gate.permit(Caller(ANN), APP, "delete")
    with pytest.raises(Refused):
        gate.permit(Caller(ANN), OTHER, "delete")


def test_a_token_ends_with_the_credentials_that_were_shown_for_it(gate: Gate, tokens: RegistryTokens) -> None:
    import time

    soon = Identity("ann", "u1", (), {}, time.time() + 20)
    issued = gate.issue(tokens, soon, [])
    assert 15 <= issued.expires_in <= 20
    assert gate.issue(tokens, ANN, []).expires_in == LIFETIME


def test_who_shows_nothing_is_nobody_and_may_what_nobody_may(gate: Gate, cluster: Cluster) -> None:
    caller = gate.identify(None)
    assert caller.identity == ANONYMOUS
    with pytest.raises(Refused):
        gate.permit(caller, APP, "pull")
    cluster.allow(ANONYMOUS, "get", "imagestreams", "team")
    gate.permit(caller, APP, "pull")
    gate.permit(with_token(gate, ANONYMOUS, "repository:team/app:pull"), APP, "pull")
    with pytest.raises(Refused):
        gate.permit(caller, APP, "push")


@pytest.mark.parametrize("user", ["", "<token>", "unused", "ann"])
def test_as_basic_the_password_is_the_platform_token_whatever_the_user_is_called(gate: Gate, user: str) -> None:
    import base64

    header = "Basic " + base64.b64encode(f"{user}:platform".encode()).decode()
    assert gate.identify(header) == Caller(ANN)
    assert gate.identify("Bearer platform") == Caller(ANN)


def test_a_platform_token_that_the_cluster_still_remembers_ends_with_its_account(
    gate: Gate, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "authenticate_token", lambda _token: BUILDER)
    assert gate.identify("Bearer platform") == Caller(BUILDER)
    cluster.accounts.clear()
    with pytest.raises(InvalidToken, match="was deleted"):
        gate.identify("Bearer platform")

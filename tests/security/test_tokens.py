"""Tokens that are forged, borrowed, stretched, or older than what they open."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bcrypt
import pytest
from cryptography.hazmat.primitives import serialization
from joserfc import jwt
from joserfc.jwk import ECKey

from image_registry.auth import revocation
from image_registry.auth.access import Access
from image_registry.auth.cluster import ClusterAuthenticator, ClusterAuthorizer, ClusterStanding
from image_registry.auth.htpasswd import HtpasswdAuthenticator
from image_registry.auth.identity import Identity, InvalidCredentials
from image_registry.auth.tokens import RegistryTokens, generate_key
from image_registry.kube.accounts import ServiceAccounts
from image_registry.kube.namespaces import Namespaces
from image_registry.kube.reviews import AccessReviewer, ReviewedUser, TokenReviewer
from tests.app.distribution_api.conftest import Registry, basic, code
from tests.security.conftest import VALUES, application, routes

if TYPE_CHECKING:
    from tests.conftest import FakeCluster

RBAC = "/apis/rbac.authorization.k8s.io/v1"


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def fetched(registry: Registry, user: str, *scopes: str) -> str:
    query = "&".join(f"scope={scope}" for scope in scopes)
    answer = registry.client.get(f"/v2/token?{query}", headers=basic(user))
    assert answer.status_code == 200, answer.text
    return str(json.loads(answer.data)["token"])


def decoded(token: str, number: int) -> dict[str, Any]:
    part = token.split(".")[number]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


def encoded(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def forgeries(good: str, public: bytes) -> Iterator[tuple[str, str]]:
    """Tokens that say what a good one says, and are signed by somebody else or by nobody."""
    header, claims = decoded(good, 0), decoded(good, 1)
    own = ECKey.generate_key("P-256", private=True)
    mine = own.as_dict(private=False)
    for extra in (
        {"jwk": mine},
        {"jku": "http://127.0.0.1:9/keys"},
        {"x5u": "http://127.0.0.1:9/certificate"},
        {"x5c": ["MIIB"]},
        {"kid": "../../etc/passwd"},
        {"kid": "' OR 1=1 --"},
        {"kid": ""},
        {"crit": ["exp"]},
        {},
    ):
        raw = {**header, **extra}
        signed = f"{encoded(raw)}.{encoded(claims)}"
        try:
            forged = jwt.encode(raw, claims, own, algorithms=["ES256"])
        except Exception:  # noqa: BLE001 - what the library does not write itself is put together by hand
            forged = f"{signed}.{encoded('signature')}"
        yield f"own key {extra}", forged
    for algorithm in ("none", "None", "nOnE", "", "HS256", "RS256", "ES384"):
        yield f"alg {algorithm}", f"{encoded({**header, 'alg': algorithm})}.{encoded(claims)}."
    signed = f"{encoded({**header, 'alg': 'HS256'})}.{encoded(claims)}"
    mac = base64.urlsafe_b64encode(hmac.digest(public, signed.encode(), "sha256")).rstrip(b"=").decode()
    yield "public key as secret", f"{signed}.{mac}"
    yield (
        "good signature, other claims",
        f"{good.split('.')[0]}.{encoded({**claims, 'sub': 'ann'})}.{good.split('.')[2]}",
    )


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
def test_only_our_own_keys_sign(guarded: Registry, no_network: list[Any]) -> None:
    """Row 4 (distribution CVE-2025-24976): a token that brings its own key, or none, is believed for its kid."""
    good = fetched(guarded, "ben", "repository:team/app:pull")
    assert guarded.client.get("/v2/", headers=bearer(good)).status_code == 200
    tokens = guarded.parts.tokens
    assert tokens is not None
    [key] = tokens._keys.values()
    pem = key.as_pem(private=False)
    assert pem.startswith(b"-----BEGIN PUBLIC KEY-----")
    serialization.load_pem_public_key(pem)
    for what, forged in forgeries(good, pem):
        refused = guarded.client.get("/v2/team/app/tags/list", headers=bearer(forged))
        assert (refused.status_code, code(refused)) == (401, "UNAUTHORIZED"), what
    assert no_network == []


def test_a_token_for_one_repository_opens_no_other_door(guarded: Registry) -> None:
    """Row 40 (Quay, docker_auth): a token for one repository is used for another, the catalog, uploads, referrers."""
    guarded.push("team/app", "v1", headers=basic("ann"))
    guarded.push("team/web", "v1", headers=basic("ann"))
    narrow = bearer(fetched(guarded, "ann", "repository:team/app:pull"))
    for method, path in routes(application(guarded), namespace="team", name="web"):
        if "/team/web/" in path:
            refused = guarded.client.open(path, method=method, headers=narrow)
            assert refused.status_code == 401, (method, path)
            assert 'error="insufficient_scope"' in refused.headers["WWW-Authenticate"], (method, path)
    for method, path in routes(application(guarded), namespace="team"):
        writes = method not in {"GET", "HEAD"} or "uploads" in path
        if "/team/app/" in path and writes:
            assert guarded.client.open(path, method=method, headers=narrow).status_code == 401, (method, path)
    catalog = guarded.client.get("/v2/_catalog", headers=narrow)
    assert catalog.status_code == 401
    assert 'scope="registry:catalog:*"' in catalog.headers["WWW-Authenticate"]
    wide = bearer(fetched(guarded, "ann", "registry:catalog:*"))
    assert json.loads(guarded.client.get("/v2/_catalog", headers=wide).data)["repositories"] == ["team/app", "team/web"]
    mount = f"/v2/team/app/blobs/uploads/?mount={VALUES['digest']}&from=team/web"
    assert guarded.client.post(mount, headers=narrow).status_code == 401


@pytest.mark.parametrize("missing", ["iat", "exp", "nbf", "sub", "aud", "iss", "access"])
def test_a_token_without_its_times_is_refused(missing: str) -> None:
    """Row 36 (Harbor 2026-05, #23270): a token without iat, exp or nbf is taken for eternal, or stops the server."""
    pem = generate_key()
    tokens = RegistryTokens([pem])
    good = tokens.issue(Identity("ann"), []).token
    key = ECKey.import_key(pem)
    values: tuple[Any, ...] = (None, True, "soon", [], {}, 1e300, -1) if missing in {"iat", "exp", "nbf"} else (None,)
    for value in values:
        claims = decoded(good, 1)
        del claims[missing]
        if value is not None:
            claims[missing] = value
        forged = jwt.encode(decoded(good, 0), claims, key, algorithms=["ES256"])
        if value == -1 and missing in {"iat", "nbf"}:
            continue  # long ago is a time
        with pytest.raises(InvalidCredentials):
            tokens.verify(forged)


@dataclass
class Facts:
    """A named fake of the cluster: uids by name."""

    namespaces: dict[str, str] = field(default_factory=lambda: {"team": "first", "other": "only"})

    def namespace(self, name: str) -> str:
        return self.namespaces.get(name, "")

    @staticmethod
    def account(namespace: str, name: str) -> str | None:
        raise AssertionError(f"{namespace}/{name} is nobody's account here")


@pytest.fixture
def standing(guarded: Registry, build: Callable[..., Registry]) -> tuple[Registry, Facts]:
    facts = Facts()
    parts = guarded.parts
    again = build(authorizer=parts.authorizer, authenticator=parts.authenticator, tokens=parts.tokens, standing=facts)
    return again, facts


def test_a_token_from_before_a_namespace_was_made_anew_opens_nothing(standing: tuple[Registry, Facts]) -> None:
    """Row 35 (Harbor 2026-03, #22900): an old token works on a project that was deleted and created again."""
    registry, facts = standing
    token = bearer(fetched(registry, "ann", "repository:team/app:pull,push,delete"))
    assert registry.push("team/app", "v1", headers=token).status_code == 201
    facts.namespaces["team"] = "second"
    for method, path in routes(application(registry), namespace="team"):
        if "/team/app/" in path:
            refused = registry.client.open(path, method=method, headers=token)
            assert refused.status_code == 401, (method, path)
            assert 'error="invalid_token"' in refused.headers["WWW-Authenticate"], (method, path)
    fresh = bearer(fetched(registry, "ann", "repository:team/app:pull"))
    assert registry.client.get("/v2/team/app/manifests/v1", headers=fresh).status_code == 200


def test_a_token_from_before_mounts_nothing_from_the_namespace_that_came(standing: tuple[Registry, Facts]) -> None:
    """Row 36 (Harbor 2026-05, #23270): the check for row 35 forgets the source of a mount."""
    registry, facts = standing
    rights: Any = registry.parts.authorizer
    rights.rights["ann", "other"] = rights.rights["ann", "team"]
    token = bearer(fetched(registry, "ann", "repository:other/app:pull,push", "repository:team/app:pull,push"))
    digest = registry.upload("team/app", b"layer", headers=token)
    mount = f"/v2/other/app/blobs/uploads/?mount={digest}&from=team/app"
    assert registry.client.post(mount, headers=token).status_code == 201
    registry.client.delete(f"/v2/other/app/blobs/{digest}", headers=basic("ann"))
    facts.namespaces["team"] = "second"
    assert registry.client.post(mount, headers=token).status_code == 202


def test_groups_are_those_of_now(fake_cluster: FakeCluster) -> None:
    """Row 11 (zot GHSA-c9p4-xwr9-rfhx): groups are added to those of earlier logins, so a removed one stays."""
    now = [1_000_000.0]

    class Reviews(TokenReviewer):
        groups: tuple[str, ...] = ("admins", "devs")

        def review(self, token: str, audience: str | None = None) -> ReviewedUser | None:  # noqa: ARG002
            return ReviewedUser("ann", "u1", self.groups)

    reviews = Reviews(fake_cluster.client())
    who = ClusterAuthenticator(reviews, clock=lambda: now[0])
    tokens = RegistryTokens([generate_key()])
    assert tokens.verify(tokens.issue(who.authenticate_token("t"), []).token).identity.groups == ("admins", "devs")
    reviews.groups = ("devs",)
    now[0] += 30
    assert tokens.verify(tokens.issue(who.authenticate_token("t"), []).token).identity.groups == ("devs",)


def test_an_unknown_user_takes_as_long_as_a_wrong_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 52 (Harbor CVE-2023-20902): the time of a refusal tells which users exist."""
    users = tmp_path / "users"
    users.write_text(f"ann:{bcrypt.hashpw(b'word', bcrypt.gensalt(4)).decode()}\n", encoding="utf-8")
    who = HtpasswdAuthenticator(users)
    checked: list[bytes] = []
    true = bcrypt.checkpw

    def counted(password: bytes, hashed: bytes) -> bool:
        checked.append(password)
        return true(password, hashed)

    monkeypatch.setattr(bcrypt, "checkpw", counted)
    for user in ("ann", "nobody", ""):
        with pytest.raises(InvalidCredentials, match="unknown user or wrong password"):
            who.authenticate_basic(user, "wrong")
    assert checked == [b"wrong"] * 3


def clustered(build: Callable[..., Registry], fake: FakeCluster) -> Registry:
    """The data plane over a cluster, wired as the server wires it."""
    client = fake.client()
    authorizer = ClusterAuthorizer(AccessReviewer(client))
    authenticator = ClusterAuthenticator(TokenReviewer(client))
    namespaces, accounts = Namespaces(client), ServiceAccounts(client)
    fake.watched = {
        *(f"{RBAC}/{name}" for name in ("rolebindings", "roles", "clusterrolebindings", "clusterroles")),
        "/api/v1/serviceaccounts",
        "/api/v1/namespaces",
    }
    for watch in revocation.watches(client, revocation.Memory(authorizer, authenticator, namespaces, accounts)):
        watch.start()
        assert watch.following.wait(5)
    return build(
        authorizer=authorizer,
        authenticator=authenticator,
        tokens=RegistryTokens([generate_key()]),
        standing=ClusterStanding(namespaces, accounts),
        namespace_exists=namespaces.is_active,
    )


@pytest.mark.slow
def test_what_was_taken_away_is_refused_within_two_seconds(
    build: Callable[..., Registry], fake_cluster: FakeCluster
) -> None:
    """Row 60 (a risk of remembered decisions): the memory of a yes outlives the binding."""
    fake_cluster.tokens["platform"] = ({"username": "ann", "uid": "u1"}, {"api"})
    fake_cluster.put("/api/v1/namespaces/team", {"metadata": {"uid": "n1"}})
    rights = {("ann", verb, "imagestreams/layers", "team") for verb in ("get", "update")}
    fake_cluster.rights |= {*rights, ("ann", "create", "imagestreams", "team")}
    registry = clustered(build, fake_cluster)
    answer = registry.client.get("/v2/token?scope=repository:team/app:pull,push", headers=basic("<token>", "platform"))
    token = bearer(json.loads(answer.data)["token"])
    assert registry.push("team/app", "v1", headers=token).status_code == 201
    fake_cluster.rights.clear()
    fake_cluster.tell(f"{RBAC}/rolebindings", "DELETED", "team", "pushers")
    began = time.monotonic()
    for headers in (token, bearer("platform")):
        while registry.client.get("/v2/team/app/manifests/v1", headers=headers).status_code != 403:
            assert time.monotonic() - began < 2
            time.sleep(0.05)


def test_a_remembered_decision_is_one_callers_alone(fake_cluster: FakeCluster) -> None:
    """Row 60 (a risk of remembered decisions): callers who differ in a group or uid share one remembered answer."""
    authorizer = ClusterAuthorizer(AccessReviewer(fake_cluster.client()))
    callers = [
        Identity("ann", "u1", ("a",)),
        Identity("ann", "u1", ("b",)),
        Identity("ann", "u2", ("a",)),
        Identity("ann", "u1", ("a",), {"scopes": ("narrow",)}),
        Identity("ann", "u1", ("a",), {"scopes": ("wide",)}),
    ]
    for _ in range(2):
        for caller in callers:
            authorizer.decide(caller, Access("get", "imagestreams", "layers", "team", "app"))
    assert len(fake_cluster.reviews) == len(callers)

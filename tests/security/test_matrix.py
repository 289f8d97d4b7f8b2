"""Every route as every kind of caller, in the caller's namespace and in a foreign one, by every kind of credential.

The routes come from the applications, the rights from the ClusterRoles that the chart ships: a new route without a row
here fails, and so does a role that opens more, or less, than its name says. What an answer says otherwise is the
business of other tests.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from flask import Flask
from werkzeug.test import TestResponse

from image_registry.auth.access import Access, Decision
from image_registry.auth.identity import ANONYMOUS, Identity, InvalidCredentials
from image_registry.auth.tokens import RegistryTokens, generate_key
from tests.app.distribution_api.conftest import Registry, basic
from tests.app.image_api.conftest import ImageAPI
from tests.security.conftest import VALUES, application

ROLES: dict[str, list[dict[str, Any]]] = yaml.safe_load(
    (Path(__file__).resolve().parents[1] / "charts/golden.yaml").read_text(encoding="utf-8")
)["clusterRoles"]
ROLES["cluster-admin"] = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
ROLES["nothing"] = []

OWN, FOREIGN = "team", "foreign"

# what a caller must be able to do; "anybody" needs nothing, "known" needs credentials, "shown" none or those of the
# cluster, "form" has them elsewhere
DATA_PLANE: dict[tuple[str, str], set[str]] = {
    ("GET", "/"): {"anybody"},
    ("GET", "/livez"): {"anybody"},
    ("GET", "/healthz"): {"anybody"},
    ("GET", "/metrics"): {"metrics"},
    ("GET", "/extensions/v2/metrics"): {"metrics"},
    ("GET", "/extensions/v2/upkeep"): {"see upkeep"},
    ("POST", "/extensions/v2/upkeep"): {"see upkeep", "upkeep"},
    ("GET", "/extensions/v2/upkeep/<run>"): {"see upkeep"},
    ("DELETE", "/extensions/v2/upkeep/<run>"): {"upkeep"},
    ("GET", "/v2"): {"known"},
    ("GET", "/v2/"): {"known"},
    ("GET", "/v2/token"): {"shown"},
    ("POST", "/v2/token"): {"form"},
    ("GET", "/v2/_catalog"): {"catalog"},
    ("GET", "/v2/<namespace>/<name>/tags/list"): {"pull"},
    ("GET", "/v2/<namespace>/<name>/referrers/<digest>"): {"pull"},
    ("GET", "/v2/<namespace>/<name>/manifests/<reference>"): {"pull"},
    ("PUT", "/v2/<namespace>/<name>/manifests/<reference>"): {"pull", "push"},
    ("DELETE", "/v2/<namespace>/<name>/manifests/<reference>"): {"delete"},
    ("GET", "/v2/<namespace>/<name>/blobs/<digest>"): {"pull"},
    ("DELETE", "/v2/<namespace>/<name>/blobs/<digest>"): {"delete"},
    ("POST", "/v2/<namespace>/<name>/blobs/uploads"): {"pull", "push"},
    ("POST", "/v2/<namespace>/<name>/blobs/uploads/"): {"pull", "push"},
    ("GET", "/v2/<namespace>/<name>/blobs/uploads/<upload_id>"): {"push"},
    ("PATCH", "/v2/<namespace>/<name>/blobs/uploads/<upload_id>"): {"push"},
    ("PUT", "/v2/<namespace>/<name>/blobs/uploads/<upload_id>"): {"push"},
    ("DELETE", "/v2/<namespace>/<name>/blobs/uploads/<upload_id>"): {"push"},
    ("GET", "/extensions/v2/<namespace>/<name>/signatures/<digest>"): {"pull"},
    ("PUT", "/extensions/v2/<namespace>/<name>/signatures/<digest>"): {"pull", "push", "sign"},
}

# what each role is for: in a namespace it is bound in, and what it adds where it is bound for the cluster
MEANT: dict[str, tuple[set[str], set[str]]] = {
    "nothing": (set(), set()),
    "system:image-puller": ({"pull"}, set()),
    "system:image-pusher": ({"pull", "push", "list"}, set()),
    "system:image-deleter": ({"delete"}, set()),
    "system:image-pruner": ({"list"}, {"delete", "upkeep", "see upkeep"}),
    "system:image-signature-writer": ({"sign"}, set()),
    "system:image-registry-catalog-reader": ({"list"}, set()),
    "system:image-registry-metrics-reader": (set(), {"metrics"}),
    "image.alauda.io:view": ({"pull", "list"}, set()),
    "image.alauda.io:edit": ({"pull", "push", "delete", "list"}, set()),
    "cluster-admin": ({"pull", "push", "delete", "list", "sign"}, {"metrics", "upkeep", "see upkeep"}),
}

VERBS = {
    "images": "create delete deletecollection get list patch update",
    "imagestreams": "create delete deletecollection get list patch update",
    "imagesignatures": "create delete",
    "imagestreams/layers": "get",
    "imagestreams/secrets": "get",
    "imagestreams/status": "get patch update",
    "imagestreamtags": "create delete deletecollection get list patch update",
    "imagetags": "create delete deletecollection get list patch update",
    "imagestreamimages": "delete get list",
    "imagestreammappings": "create",
    "imagestreamimports": "create",
}


OF_THE_CLUSTER = {"images", "imagesignatures"}


def _scopes(resource: str, verb: str) -> set[str]:
    if resource in OF_THE_CLUSTER:
        return {""}
    return {"/namespaces/<namespace>"} | ({""} if verb == "list" else set())


IMAGE_API: dict[tuple[str, str], tuple[str, str] | None] = {
    ("GET", "/"): None,
    ("GET", "/apis"): None,
    ("GET", "/apis/image.alauda.io"): None,
    ("GET", "/apis/image.alauda.io/v1"): None,
    ("GET", "/healthz"): None,
    ("GET", "/livez"): None,
    ("GET", "/readyz"): None,
    ("GET", "/version"): None,
    ("GET", "/openapi/v2"): None,
    ("GET", "/openapi/v3"): None,
    ("GET", "/openapi/v3/apis/image.alauda.io/v1"): None,
    ("GET", "/metrics"): ("get", "registry/metrics"),
    **{
        (method, f"/apis/image.alauda.io/v1{scope}/{resource.partition('/')[0]}{path}"): (verb, resource)
        for resource, verbs in VERBS.items()
        for verb, method, one in (
            ("list", "GET", ""),
            ("create", "POST", ""),
            ("deletecollection", "DELETE", ""),
            ("get", "GET", "/<name>"),
            ("update", "PUT", "/<name>"),
            ("patch", "PATCH", "/<name>"),
            ("delete", "DELETE", "/<name>"),
        )
        if verb in verbs.split()
        for path in (f"{one}/{resource.partition('/')[2]}".rstrip("/"),)
        for scope in _scopes(resource, verb)
    },
}


@dataclass
class Bindings:
    """A named fake of RBAC: who has which ClusterRole, and where; ``""`` is the whole cluster."""

    bound: list[tuple[str, str, str]] = field(default_factory=list)

    def decide(self, identity: Identity, access: Access) -> Decision:
        resource = f"{access.resource}/{access.subresource}" if access.subresource else access.resource
        for user, role, namespace in self.bound:
            if user == identity.username and (not namespace or namespace == access.namespace):
                for rule in ROLES[role]:
                    if (
                        {access.group, "*"} & set(rule["apiGroups"])
                        and {resource, "*"} & set(rule["resources"])
                        and {access.verb, "*"} & set(rule["verbs"])
                    ):
                        return Decision(allowed=True)
        return Decision(allowed=False, reason=f'user "{identity.username}" cannot {access}')

    @staticmethod
    def authenticate_token(token: str) -> Identity:
        if token != "platform":
            raise InvalidCredentials("the cluster does not know it")
        return Identity("caller", "u1", ("system:authenticated",))

    def authenticate_basic(self, username: str, password: str) -> Identity:  # noqa: ARG002
        return self.authenticate_token(password)


def rules(found: Flask) -> Iterator[tuple[str, str]]:
    """(method, rule) of every route; HEAD goes with GET."""
    for rule in found.url_map.iter_rules():
        for method in (rule.methods or set()) - {"OPTIONS", "HEAD"}:
            yield method, str(rule)


def at(rule: str, namespace: str) -> str:
    """A path of this rule; what it names does not exist, so nothing is changed."""
    values = {**VALUES, "namespace": namespace, "reference": "none", "name": "app"}
    for key, value in values.items():
        rule = rule.replace(f"<{key}>", value)
    return rule


def test_every_route_of_the_data_plane_has_a_row(registry: Registry) -> None:
    assert set(rules(application(registry))) == set(DATA_PLANE)


def test_every_route_of_the_image_api_has_a_row(api: ImageAPI) -> None:
    assert set(rules(api.client.application)) == set(IMAGE_API)


def test_every_role_of_the_chart_has_a_row() -> None:
    assert set(ROLES) == set(MEANT)


@pytest.fixture
def bindings() -> Bindings:
    return Bindings()


@pytest.fixture
def bound(build: Callable[..., Registry], bindings: Bindings) -> Registry:
    return build(
        authorizer=bindings,
        authenticator=bindings,
        tokens=RegistryTokens([generate_key()]),
        metrics=lambda _accept: (b"", "text/plain"),
    )


def credentials(registry: Registry, kind: str, namespace: str) -> dict[str, str]:
    """The headers of the caller: nothing, a platform token in two ways, or registry tokens for everything here."""
    match kind:
        case "nothing":
            return {}
        case "basic":
            return basic("<token>", "platform")
        case "bearer":
            return {"Authorization": "Bearer platform"}
    scopes = f"scope=repository:{namespace}/app:pull,push,delete&scope=registry:catalog:*"
    shown = basic("<token>", "platform") if kind == "registry token" else {}
    answer = registry.client.get(f"/v2/token?service=image-registry&{scopes}", headers=shown)
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {json.loads(answer.data)['token']}"}


def outcome(answer: TestResponse) -> str:
    """``yes``, or why not."""
    return {401: "who are you", 403: "no"}.get(answer.status_code, "yes")


KINDS = ("nothing", "anonymous token", "basic", "bearer", "registry token")


def expected(needs: set[str], can: set[str], kind: str, *, lists: bool) -> str:
    """What the row says, for a caller who ``can`` do this in the namespace of the request."""
    anonymous, ours = kind in {"nothing", "anonymous token"}, kind.endswith(" token")
    asked, no = "who are you", "who are you" if anonymous else "no"
    if needs <= {"anybody", "form"}:
        return "yes"
    if needs == {"known"}:
        return asked if kind == "nothing" else "yes"
    if needs == {"shown"}:
        return asked if ours else "yes"  # a token of ours never becomes another one
    if needs == {"catalog"}:
        return "yes" if lists or not anonymous else asked  # shows what may be listed, perhaps nothing
    if needs & {"metrics", "upkeep", "see upkeep"} and ours:
        return asked
    return "yes" if needs <= can else no


@pytest.mark.parametrize("place", ["own", "foreign", "cluster"])
@pytest.mark.parametrize("role", sorted(ROLES))
def test_each_role_opens_what_its_name_says_and_nothing_else(
    bound: Registry, bindings: Bindings, role: str, place: str
) -> None:
    namespace = {"own": OWN, "foreign": FOREIGN, "cluster": ""}[place]
    in_namespace, in_cluster = MEANT[role]
    for kind in KINDS:
        anonymous = kind in {"nothing", "anonymous token"}
        user = ANONYMOUS.username if anonymous else "caller"
        bindings.bound = [(user, role, namespace)]
        can = set() if place == "foreign" else in_namespace | (in_cluster if place == "cluster" else set())
        headers = credentials(bound, kind, OWN)
        for (method, rule), needs in DATA_PLANE.items():
            answers = [bound.client.open(at(rule, OWN), method=method, headers=headers)]
            if method == "GET":
                answers.append(bound.client.open(at(rule, OWN), method="HEAD", headers=headers))
            wanted = expected(needs, can, kind, lists="list" in in_namespace and place == "cluster")
            for answer in answers:
                if needs == {"form"}:
                    assert answer.status_code == 400, "credentials come in the form, not in the header"
                    continue
                assert outcome(answer) == wanted, (kind, method, rule, answer.status_code, answer.text)
                assert answer.status_code < 500, (kind, method, rule)


@pytest.mark.parametrize("place", ["own", "foreign", "cluster"])
@pytest.mark.parametrize("role", sorted(ROLES))
def test_each_role_opens_of_the_image_api_what_it_grants(api: ImageAPI, role: str, place: str) -> None:
    bindings = Bindings([("caller", role, {"own": OWN, "foreign": FOREIGN, "cluster": ""}[place])])
    cluster: Any = api.cluster
    cluster.decide = bindings.decide
    for (method, rule), needs in IMAGE_API.items():
        known = api.ask(
            at(rule, OWN), method=method, environ_overrides=api.as_user(("X-Remote-User", "caller"))
        ).status_code
        stranger = api.ask(at(rule, OWN), method=method).status_code
        if needs is None:
            assert (known, stranger) == (known, known), (method, rule)
            assert known < 400, (method, rule)
            continue
        verb, resource = needs
        granted = any(
            {verb, "*"} & set(rule_["verbs"]) and {resource, "*"} & set(rule_["resources"]) for rule_ in ROLES[role]
        )
        everywhere = "<namespace>" not in rule
        opens = granted and (place == "cluster" or (place == "own" and not everywhere))
        assert (known != 403) == opens, (method, rule, known)
        assert stranger == (401 if rule == "/metrics" else 403), (method, rule, stranger)


@pytest.mark.parity(14)
def test_what_is_granted_to_strangers_needs_no_credentials_and_opens_no_other_namespace(
    bound: Registry, bindings: Bindings
) -> None:
    bindings.bound = [(ANONYMOUS.username, "system:image-puller", OWN)]
    for namespace, wanted in ((OWN, "yes"), (FOREIGN, "who are you")):
        for kind in ("nothing", "anonymous token"):
            headers = credentials(bound, kind, OWN)
            for (method, rule), needs in DATA_PLANE.items():
                if needs == {"pull"}:
                    answer = bound.client.open(at(rule, namespace), method=method, headers=headers)
                    assert outcome(answer) == wanted, (kind, method, rule)
    # whoever shows who they are is not a stranger: the binding must name system:authenticated too
    answer = bound.client.get(f"/v2/{OWN}/app/tags/list", headers=credentials(bound, "basic", OWN))
    assert outcome(answer) == "no"

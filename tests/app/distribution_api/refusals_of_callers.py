"""Refusals of callers: who they are, what they may, and what they ask for tokens and for runs."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from werkzeug.test import Client, TestResponse

from image_registry.auth.access import AuthorizationUnavailable
from image_registry.auth.htpasswd import HtpasswdAuthenticator
from image_registry.auth.identity import AuthenticationUnavailable
from image_registry.distribution_api import tokens
from image_registry.imagestreams.limits import STORAGE, Excess, Limit, LimitExceeded, LimitsUnknown, Scope
from image_registry.kube.errors import ClusterUnreachable
from image_registry.server import upkeep_options
from image_registry.upkeep.asking import Upkeep
from image_registry.upkeep.ledger import Ledger

from .conftest import PULL, PUSH, RightsTable, basic
from .refusal_stage import ANN, APP, DIGEST, Breaking, Refusals, Stage, push

BEYOND = LimitExceeded([Excess(Limit("ResourceQuota bytes", Scope.NAMESPACE, STORAGE, 3), 0, 4)], "team")
UPKEEP = "/extensions/v2/upkeep"


def authenticator_away(stage: Stage) -> TestResponse:
    def away(*_arguments: object) -> None:
        raise AuthenticationUnavailable("no answer")

    client = stage.guarded()
    stage.patch.setattr(HtpasswdAuthenticator, "authenticate_basic", away)
    return client.get(f"{APP}/tags/list", headers=ANN)


def authorizer_away(stage: Stage) -> TestResponse:
    def away(*_arguments: object) -> None:
        raise AuthorizationUnavailable("no answer")

    client = stage.guarded()
    stage.patch.setattr(RightsTable, "decide", away)
    return client.get(f"{APP}/tags/list", headers=ANN)


def nowhere(_namespace: str) -> bool:
    raise ClusterUnreachable("no answer")


def form_breaks_off(stage: Stage) -> TestResponse:
    environ = {"wsgi.input": Breaking(silent=False), "CONTENT_LENGTH": "10"}
    kind = "application/x-www-form-urlencoded"
    return stage.guarded().post("/v2/token", content_type=kind, environ_overrides=environ)


def slow_form(stage: Stage) -> TestResponse:
    stage.patch.setattr(tokens, "FORM_PATIENCE", 0.0)
    return stage.guarded().post("/v2/token", data={"grant_type": "password"})


def crowd_of_forms(stage: Stage) -> TestResponse:
    stage.patch.setattr(tokens, "FORMS", 0)
    return stage.guarded().post("/v2/token", data={"grant_type": "password"})


def keeper(stage: Stage, **parts: Any) -> Client:
    """Open, and with runs that nobody makes."""
    ledger = Ledger(stage.build().database)
    return stage.build(upkeep=Upkeep(ledger, partial(upkeep_options.check, promise=3600)), **parts).client


def asked(client: Client, body: object) -> TestResponse:
    return client.post(UPKEEP, data=body if isinstance(body, bytes) else json.dumps(body))


def asked_twice(client: Client) -> TestResponse:
    assert asked(client, {"kind": "gc"}).status_code == 202
    return asked(client, {"kind": "gc"})


ACCESS: Refusals = {
    # who, and whether they may
    "nobody": (lambda s: s.guarded().get(f"{APP}/tags/list"), 401, "UNAUTHORIZED", "log in, or send a token"),
    "a wrong password": (
        lambda s: s.guarded().get(f"{APP}/tags/list", headers=basic("ann", "x")),
        401,
        "UNAUTHORIZED",
        "wrong password",
    ),
    "a narrow token": (
        lambda s: (c := s.guarded()).post(f"{APP}/blobs/uploads/", headers=s.token(c, "repository:team/app:pull")),
        401,
        "UNAUTHORIZED",
        "ask for a new one",
    ),
    "a token of another registry": (
        lambda s: s.guarded().get(f"{APP}/tags/list", headers=s.token(s.guarded(), "repository:team/app:pull")),
        401,
        "UNAUTHORIZED",
        "not platform tokens",
    ),
    "a damaged token": (
        lambda s: (c := s.guarded()).get(
            f"{APP}/tags/list",
            headers={"Authorization": s.token(c, "repository:team/app:pull")["Authorization"][:-8] + "AAAAAAAA"},
        ),
        401,
        "UNAUTHORIZED",
        "not one of this registry's",
    ),
    "no right": (
        lambda s: s.guarded().delete(f"{APP}/manifests/v1", headers=ANN),
        403,
        "DENIED",
        "cannot delete imagestreamtags",
    ),
    "no right to sign": (
        lambda s: s.guarded().put(f"/extensions{APP}/signatures/{DIGEST}", headers=ANN),
        403,
        "DENIED",
        "cannot create imagesignatures",
    ),
    "no right to create": (
        lambda s: (s.rights.update({("ann", "team"): {PULL, PUSH}}), push(s.guarded(), ANN))[1],
        403,
        "DENIED",
        "cannot create imagestreams",
    ),
    "nobody answers who calls": (authenticator_away, 503, "UNAVAILABLE", "right now"),
    "nobody answers who may": (authorizer_away, 503, "UNAVAILABLE", "right now"),
    "no namespace": (
        lambda s: s.build(namespace_exists=lambda _: False).client.post(f"{APP}/blobs/uploads/"),
        404,
        "NAME_UNKNOWN",
        "create it, then push again",
    ),
    "nobody answers what there is": (
        lambda s: s.build(namespace_exists=nowhere).client.post(f"{APP}/blobs/uploads/"),
        503,
        "UNAVAILABLE",
        "right now",
    ),
    "read-only": (
        lambda s: s.build(read_only=lambda: "maintenance").client.post(f"{APP}/blobs/uploads/"),
        405,
        "UNSUPPORTED",
        "try pushes and deletes again later",
    ),
    "beyond a limit": (
        lambda s: s.broken("streams.allowance", "expect", BEYOND).post(
            f"{APP}/blobs/uploads/?digest={DIGEST}", data=b"data"
        ),
        403,
        "DENIED",
        "or have the ResourceQuota of namespace team raised",
    ),
    "nobody answers what the limits are": (
        lambda s: s.broken("streams.allowance", "expect", LimitsUnknown("no answer")).post(
            f"{APP}/blobs/uploads/?digest={DIGEST}", data=b"data"
        ),
        503,
        "UNAVAILABLE",
        "pushes go on when they are known",
    ),
    # tokens
    "no tokens here": (lambda s: s.open.get("/v2/token"), 405, "UNSUPPORTED", "ask without one"),
    "no grant": (lambda s: s.guarded().post("/v2/token"), 400, "UNAUTHORIZED", "send a form"),
    "half a password": (
        lambda s: s.guarded().post("/v2/token", data={"grant_type": "password"}),
        400,
        "UNAUTHORIZED",
        "needs the fields username and password",
    ),
    "half a refresh": (
        lambda s: s.guarded().post("/v2/token", data={"grant_type": "refresh_token"}),
        400,
        "UNAUTHORIZED",
        "needs the field refresh_token",
    ),
    "a form that breaks off": (form_breaks_off, 400, "UNAUTHORIZED", "cannot be read"),
    "a form in another encoding": (
        lambda s: s.guarded().post(
            "/v2/token", data=b"username=\xff", content_type="application/x-www-form-urlencoded"
        ),
        400,
        "UNAUTHORIZED",
        "send it in UTF-8",
    ),
    "a slow form": (slow_form, 400, "UNAUTHORIZED", "send it at once"),
    "a crowd of forms": (crowd_of_forms, 429, "TOOMANYREQUESTS", "ask by GET"),
    "a long form": (
        lambda s: s.guarded().post("/v2/token", data={"password": "x" * 100_000}),
        413,
        "UNSUPPORTED",
        "send a shorter body",
    ),
    # metrics
    "metrics by a registry token": (
        lambda s: (c := s.guarded()).get("/metrics", headers=s.token(c, "repository:team/app:pull")),
        401,
        "UNAUTHORIZED",
        "send the platform token itself",
    ),
    "metrics without the right": (lambda s: s.guarded().get("/metrics", headers=ANN), 403, "DENIED", "cannot get"),
    "no metrics": (lambda s: s.open.get("/metrics"), 405, "UNSUPPORTED", "counts nothing"),
    # runs that administrators ask for
    "upkeep with a registry's token": (
        lambda s: (c := s.guarded()).get(UPKEEP, headers=s.token(c, "repository:team/app:pull")),
        401,
        "UNAUTHORIZED",
        "send the platform token itself",
    ),
    "upkeep without the right": (
        lambda s: s.guarded().get(UPKEEP, headers=ANN),
        403,
        "DENIED",
        "bind the ClusterRole system:image-pruner",
    ),
    "upkeep of a process that makes no runs": (lambda s: s.open.get(UPKEEP), 405, "UNSUPPORTED", "no whole registry"),
    "upkeep that is too long": (
        lambda s: asked(keeper(s), b" " * (65 << 10)),
        400,
        "UPKEEP_INVALID",
        "longer than 65536 bytes",
    ),
    "upkeep that is no JSON": (lambda s: asked(keeper(s), b"gc"), 400, "UPKEEP_INVALID", "send an object of JSON"),
    "upkeep of no known kind": (
        lambda s: asked(keeper(s), {"kind": "polish"}),
        400,
        "UPKEEP_INVALID",
        "write one of gc",
    ),
    "upkeep with something besides": (
        lambda s: asked(keeper(s), {"kind": "gc", "confirm": True}),
        400,
        "UPKEEP_INVALID",
        "no member 'confirm'",
    ),
    "upkeep that is perhaps confirmed": (
        lambda s: asked(keeper(s), {"kind": "gc", "options": {"confirm": "yes"}}),
        400,
        "UPKEEP_INVALID",
        "confirm is true or false",
    ),
    "upkeep with an unknown option": (
        lambda s: asked(keeper(s), {"kind": "gc", "options": {"depth": 3}}),
        400,
        "UPKEEP_INVALID",
        "depth",
    ),
    "upkeep of a registry that is read-only": (
        lambda s: asked(keeper(s, read_only=lambda: "it moves"), {"kind": "gc", "options": {"confirm": True}}),
        405,
        "UNSUPPORTED",
        "a run without confirm is possible",
    ),
    "upkeep that is at work": (lambda s: asked_twice(keeper(s)), 409, "UPKEEP_AT_WORK", "gc"),
    "a run that nobody remembers": (
        lambda s: keeper(s).get(f"{UPKEEP}/x"),
        404,
        "UPKEEP_UNKNOWN",
        "no run 'x' is remembered",
    ),
    "a run that cannot be stopped": (
        lambda s: keeper(s).delete(f"{UPKEEP}/x"),
        404,
        "UPKEEP_UNKNOWN",
        "no run 'x' is at work",
    ),
}

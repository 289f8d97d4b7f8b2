"""What a forged, stale or borrowed token must not be able to do (registries reference 4.3)."""

from __future__ import annotations

import base64
import hmac
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from joserfc import jwt
from joserfc.jwk import ECKey

from image_registry.auth.identity import Identity, InvalidCredentials
from image_registry.auth.tokens import LIFETIME, Grant, RegistryTokens, generate_key

BUILDER = Identity("system:serviceaccount:demo:builder", "u1", ("system:serviceaccounts", "a,b"), {"k": ("v1", "v2")})
PULL = Grant("demo/app", frozenset({"pull"}))


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_a_token_brings_back_the_caller_and_the_grants() -> None:
    tokens = RegistryTokens([generate_key()])
    claims = tokens.verify(tokens.issue(BUILDER, [PULL]).token)
    assert claims.identity == BUILDER
    assert claims.identity.extra == BUILDER.extra
    assert claims.allows("demo/app", "pull")
    assert not claims.allows("demo/app", "push")
    assert not claims.allows("demo/other", "pull")


def test_a_token_ends() -> None:
    clock = Clock()
    tokens = RegistryTokens([generate_key()], clock=clock)
    token = tokens.issue(BUILDER, [PULL]).token
    tokens.verify(token)
    clock.now += LIFETIME
    with pytest.raises(InvalidCredentials, match="expired"):
        tokens.verify(token)


def test_tokens_of_the_previous_key_are_good_until_they_end() -> None:
    old, new = generate_key(), generate_key()
    token = RegistryTokens([old]).issue(BUILDER, [PULL]).token
    assert RegistryTokens([new, old]).verify(token).identity == BUILDER


def test_a_token_is_known_by_its_first_part_while_its_key_is_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = generate_key(), generate_key()
    tokens = RegistryTokens([old])
    token = tokens.issue(BUILDER, [PULL]).token
    with monkeypatch.context() as context:
        context.setattr("image_registry.auth.tokens._decode", lambda _: pytest.fail("it need not be taken apart"))
        assert tokens.is_ours(token)
    tokens.use([new, old])
    assert tokens.is_ours(token)
    tokens.use([new])
    assert not tokens.is_ours(token)


def test_a_token_of_another_registry_is_refused() -> None:
    token = RegistryTokens([generate_key()]).issue(BUILDER, [PULL]).token
    with pytest.raises(InvalidCredentials):
        RegistryTokens([generate_key()]).verify(token)


def test_a_token_for_another_audience_is_refused() -> None:
    key = generate_key()
    token = RegistryTokens([key], audience="elsewhere").issue(BUILDER, [PULL]).token
    with pytest.raises(InvalidCredentials, match="another registry"):
        RegistryTokens([key]).verify(token)


def test_a_key_that_the_token_brings_along_is_never_used() -> None:
    tokens = RegistryTokens([generate_key()])
    kid = json.loads(base64.urlsafe_b64decode(tokens.issue(BUILDER, []).token.split(".")[0] + "=="))["kid"]
    own = ECKey.generate_key("P-256", private=True)
    header = {"alg": "ES256", "kid": kid, "jwk": own.as_dict(private=False)}
    forged = jwt.encode(header, {"sub": "system:admin", "exp": 9e9}, own, algorithms=["ES256"])
    with pytest.raises(InvalidCredentials):
        tokens.verify(forged)


def test_no_algorithm_is_no_signature() -> None:
    tokens = RegistryTokens([generate_key()])
    header, claims, _ = tokens.issue(BUILDER, [PULL]).token.split(".")
    kid = json.loads(base64.urlsafe_b64decode(header + "=="))["kid"]
    with pytest.raises(InvalidCredentials):
        tokens.verify(f"{part({'alg': 'none', 'kid': kid})}.{claims}.")


def test_the_public_key_is_no_shared_secret() -> None:
    pem = generate_key()
    tokens = RegistryTokens([pem])
    public = (
        serialization.load_pem_private_key(pem, None)
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    kid = ECKey.import_key(pem).thumbprint()
    signed = f"{part({'alg': 'HS256', 'kid': kid})}.{part({'sub': 'system:admin'})}"
    signature = base64.urlsafe_b64encode(hmac.digest(public, signed.encode(), "sha256")).rstrip(b"=").decode()
    forged = f"{signed}.{signature}"
    with pytest.raises(InvalidCredentials):
        tokens.verify(forged)


@pytest.mark.parametrize("text", ["", "a", "a.b", "a.b.c", "....", "e30.e30.", "[" * 5000])
def test_garbage_is_refused_without_harm(text: str) -> None:
    tokens = RegistryTokens([generate_key()])
    assert not tokens.is_ours(text)
    with pytest.raises(InvalidCredentials):
        tokens.verify(text)


def test_a_changed_claim_breaks_the_signature() -> None:
    tokens = RegistryTokens([generate_key()])
    header, claims, signature = tokens.issue(BUILDER, [PULL]).token.split(".")
    body = json.loads(base64.urlsafe_b64decode(claims + "=="))
    body["access"][0]["actions"] = ["pull", "push"]
    with pytest.raises(InvalidCredentials):
        tokens.verify(f"{header}.{part(body)}.{signature}")

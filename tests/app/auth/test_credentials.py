from __future__ import annotations

import base64
import os
from functools import partial
from pathlib import Path

import bcrypt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_registry.auth.credentials import Basic, Bearer, parse_authorization
from image_registry.auth.expiring_cache import ExpiringCache
from image_registry.auth.htpasswd import HtpasswdAuthenticator
from image_registry.auth.identity import InvalidCredentials
from tests.at_once import at_once


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def test_both_schemes_are_read() -> None:
    assert parse_authorization(None) is None
    assert parse_authorization("bearer abc") == Bearer("abc")
    assert parse_authorization(basic("me", "p:w")) == Basic("me", "p:w")


@pytest.mark.parametrize("header", ["Bearer", "Bearer a b", "Basic !!!", "Basic bm9jb2xvbg==", "Digest x", "B" * 20000])
def test_a_malformed_header_is_refused_without_repeating_it(header: str) -> None:
    with pytest.raises(InvalidCredentials) as refused:
        parse_authorization(header)
    assert header.partition(" ")[2] not in str(refused.value) or not header.partition(" ")[2]


@given(st.text())
def test_no_header_breaks_the_parser(header: str) -> None:
    try:
        parse_authorization(header)
    except InvalidCredentials:
        assert header.strip()


def test_secrets_do_not_show() -> None:
    assert "hidden" not in repr([Basic("me", "hidden"), Bearer("hidden")])


def users(path: Path, **passwords: str) -> None:
    lines = [f"{name}:{bcrypt.hashpw(word.encode(), bcrypt.gensalt(4)).decode()}\n" for name, word in passwords.items()]
    path.write_text("".join(lines), encoding="utf-8")


def test_lines_that_let_nobody_in_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "users"
    users(path, ann="one")
    HtpasswdAuthenticator(path)
    assert "cannot log in" not in "".join(capsys.readouterr())
    for text in ("", "ann:plain\n", "ann:$apr1$of$another\n"):
        path.write_text(text, encoding="utf-8")
        HtpasswdAuthenticator(path)
        assert "add users with `htpasswd -B`" in "".join(capsys.readouterr()), text


def test_the_file_decides_and_is_read_again_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "users"
    users(path, ann="one")
    authenticator = HtpasswdAuthenticator(path)
    assert authenticator.authenticate_basic("ann", "one").username == "ann"
    for user, password in (("ann", "two"), ("bob", "one"), ("", "")):
        with pytest.raises(InvalidCredentials):
            authenticator.authenticate_basic(user, password)
    users(path, ann="two")
    os.utime(path, (1, 1))
    with pytest.raises(InvalidCredentials):
        authenticator.authenticate_basic("ann", "one")
    assert authenticator.authenticate_basic("ann", "two").username == "ann"


def test_many_threads_ask_once() -> None:
    cache: ExpiringCache[str, int] = ExpiringCache(10)
    asked: list[int] = []

    def ask() -> tuple[int, float]:
        asked.append(1)
        return 7, 60.0

    assert at_once([partial(cache.get, "key", ask)] * 8) == [7] * 8
    assert len(asked) == 1


def test_answers_end_and_the_oldest_are_forgotten() -> None:
    now = [0.0]
    cache: ExpiringCache[int, int] = ExpiringCache(2, lambda: now[0])
    assert cache.get(1, lambda: (1, 5.0)) == 1
    now[0] = 5.0
    assert cache.get(1, lambda: (2, 5.0)) == 2
    cache.get(2, lambda: (2, 5.0))
    cache.get(3, lambda: (3, 5.0))
    assert cache.get(1, lambda: (9, 5.0)) == 9

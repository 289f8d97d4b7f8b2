"""Signing keys come, sign and go while replicas see them at different times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from image_registry.auth.identity import Identity, InvalidCredentials
from image_registry.auth.token_keys import SETTLED, TIME_FORMAT, FollowedKeys, NoTokenKeys, read_keys
from image_registry.auth.tokens import RegistryTokens, generate_key

NOW = datetime(2030, 1, 1, tzinfo=UTC)
ME = Identity("me")


def key(folder: Path, age: timedelta) -> bytes:
    pem = generate_key()
    (folder / f"{(NOW - age).strftime(TIME_FORMAT)}-{age.days:02}.pem").write_bytes(pem)
    return pem


def test_the_newest_key_signs_once_every_replica_has_it(tmp_path: Path) -> None:
    old, settled = key(tmp_path, timedelta(days=90)), key(tmp_path, SETTLED)
    fresh = key(tmp_path, SETTLED - timedelta(seconds=1))
    assert read_keys(tmp_path, NOW) == [settled, old, fresh]
    assert read_keys(tmp_path, NOW + timedelta(seconds=1)) == [fresh, settled, old]


def test_a_first_key_signs_at_once(tmp_path: Path) -> None:
    pem = key(tmp_path, timedelta())
    assert read_keys(tmp_path, NOW) == [pem]


def test_an_administrators_key_of_any_name_signs(tmp_path: Path) -> None:
    (tmp_path / "ours.pem").write_bytes(pem := generate_key())
    assert read_keys(tmp_path, NOW) == [pem]


@pytest.mark.parametrize("folder", [".", "missing"])
def test_a_folder_without_keys_is_an_error_with_a_cure(folder: str, tmp_path: Path) -> None:
    with pytest.raises(NoTokenKeys, match="image-registry bootstrap secrets"):
        read_keys(tmp_path / folder, NOW)


def test_replicas_that_see_a_new_key_at_different_times_accept_each_others_tokens(tmp_path: Path) -> None:
    key(tmp_path, timedelta(days=90))
    late = RegistryTokens(read_keys(tmp_path, NOW))
    key(tmp_path, timedelta())
    early = RegistryTokens(read_keys(tmp_path, NOW))
    assert late.verify(early.issue(ME, []).token).identity == ME
    assert early.verify(late.issue(ME, []).token).identity == ME


def test_a_process_takes_new_keys_without_a_restart(tmp_path: Path) -> None:
    key(tmp_path, timedelta(days=1))
    tokens = RegistryTokens(read_keys(tmp_path, NOW))
    followed = FollowedKeys(tokens, tmp_path, lambda: NOW)
    assert not followed.once()
    token = tokens.issue(ME, []).token
    tokens.verify(token)
    for path in tmp_path.iterdir():
        path.unlink()
    new = key(tmp_path, timedelta(days=2))
    assert followed.once()
    assert RegistryTokens([new]).verify(tokens.issue(ME, []).token).identity == ME
    with pytest.raises(InvalidCredentials, match="does not know"):
        tokens.verify(token)


def test_a_damaged_new_key_leaves_the_known_ones_in_use(tmp_path: Path) -> None:
    key(tmp_path, timedelta(days=1))
    tokens = RegistryTokens(read_keys(tmp_path, NOW))
    followed = FollowedKeys(tokens, tmp_path, lambda: NOW)
    (tmp_path / "zz.pem").write_bytes(b"damaged")
    with pytest.raises(ValueError, match="not an EC private key"):
        followed.once()
    assert tokens.verify(tokens.issue(ME, []).token).identity == ME

"""Files with logins: found where clients look, written whole, and nothing else in them is lost."""

from __future__ import annotations

import base64
import json
import stat
from pathlib import Path

import click
import pytest

from image_registry.cli import auth_file
from image_registry.remote.reference import RemoteReference

IMAGE = RemoteReference.parse("registry.example.com/team/app")


def login(user: str, word: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{word}".encode()).decode()}


def test_the_file_that_was_named_wins_then_the_environment_then_what_is_there(tmp_path: Path) -> None:
    environment = {
        "REGISTRY_AUTH_FILE": "/a/auth.json",
        "DOCKER_CONFIG": "/b",
        "XDG_RUNTIME_DIR": str(tmp_path / "run"),
    }
    assert auth_file.target(Path("/c"), environment, tmp_path) == Path("/c")
    assert auth_file.target(None, environment, tmp_path) == Path("/a/auth.json")
    del environment["REGISTRY_AUTH_FILE"]
    assert auth_file.target(None, environment, tmp_path) == Path("/b/config.json")
    del environment["DOCKER_CONFIG"]
    assert auth_file.target(None, environment, tmp_path) == tmp_path / ".docker/config.json"
    podman = tmp_path / "run/containers/auth.json"
    podman.parent.mkdir(parents=True)
    podman.write_text("{}", encoding="ascii")
    assert auth_file.target(None, environment, tmp_path) == podman


def test_a_login_is_kept_beside_everything_else(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    other = {"auths": {"quay.io": login("other", "kept")}, "HttpHeaders": {"a": "b"}, "currentContext": "x"}
    file.write_text(json.dumps(other), encoding="utf-8")
    file.chmod(0o644)
    auth_file.save(file, "registry.example.com", "user", "secret")
    found = json.loads(file.read_text(encoding="utf-8"))
    assert found.pop("auths") == {"quay.io": login("other", "kept"), "registry.example.com": login("user", "secret")}
    assert found == {"HttpHeaders": {"a": "b"}, "currentContext": "x"}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["config.json"]
    assert [known.password for known in auth_file.keyring(file).logins(IMAGE)] == ["secret"]


def test_folders_are_made_and_links_stay_links(tmp_path: Path) -> None:
    real, link = tmp_path / "real/config.json", tmp_path / "config.json"
    link.symlink_to(real)
    auth_file.save(link, "registry.example.com", "user", "secret")
    assert link.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o600
    assert stat.S_IMODE(real.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("content", ["not JSON", "[]", '{"auths": []}'])
def test_a_file_that_is_something_else_is_left_as_it_is(tmp_path: Path, content: str) -> None:
    file = tmp_path / "config.json"
    file.write_text(content, encoding="ascii")
    with pytest.raises(click.ClickException, match=r"another (file|one) by --to"):
        auth_file.save(file, "registry.example.com", "user", "secret")
    assert file.read_text(encoding="ascii") == content


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = tmp_path / "config.json"
    folder.mkdir()
    with pytest.raises(click.ClickException):
        auth_file._write(folder, "{}")
    assert list(tmp_path.iterdir()) == [folder]


def test_all_usual_files_are_read_together(tmp_path: Path) -> None:
    for place, word in zip(auth_file.usual({}, tmp_path), ("docker", "podman"), strict=True):
        place.parent.mkdir(parents=True)
        place.write_text(json.dumps({"auths": {"registry.example.com": login("u", word)}}), encoding="ascii")
    found = auth_file.keyring(None, {}, tmp_path)
    assert [known.password for known in found.logins(IMAGE)] == ["docker", "podman"]


def test_a_named_file_that_is_missing_is_an_error_and_an_ambient_one_is_not(tmp_path: Path) -> None:
    assert auth_file.keyring(None, {"DOCKER_CONFIG": str(tmp_path / "no")}, tmp_path).hosts() == ()
    with pytest.raises(click.ClickException, match="there is no file"):
        auth_file.keyring(tmp_path / "no", {}, tmp_path)


def test_it_is_known_that_clients_ask_a_program_instead(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text('{"credsStore": "desktop", "credHelpers": {"quay.io": "pass"}}', encoding="ascii")
    assert auth_file.programs_for(file, "quay.io") == "pass"
    assert auth_file.programs_for(file, "registry.example.com") == "desktop"
    assert auth_file.programs_for(tmp_path / "no", "quay.io") == ""

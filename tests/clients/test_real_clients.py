"""What people do with their own clients, against ``image-registry serve`` with TLS and users."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from tests.clients.layout import image, index
from tests.clients.programs import Client, Copier, Crane, Refused, Registry

pytestmark = pytest.mark.slow


def name() -> str:
    """A repository that no other test uses."""
    return f"team/{secrets.token_hex(4)}"


def test_what_is_pushed_is_what_is_pulled(client: Client, tmp_path: Path) -> None:
    reference = f"{name()}:v1"
    pushed = client.push(image(tmp_path / "image"), reference)
    assert pushed.startswith("sha256:")
    assert client.pull(reference) == pushed


def test_a_push_by_one_client_is_read_by_another(client: Client, crane: Crane, tmp_path: Path) -> None:
    reference = f"{name()}:v1"
    pushed = client.push(image(tmp_path / "image"), reference)
    assert crane.pull(reference) == pushed


def test_clients_that_copy_keep_the_digest(copier: Copier, tmp_path: Path) -> None:
    made = image(tmp_path / "image")
    assert copier.push(made, f"{name()}:v1") == made.digest


def test_a_second_push_of_the_same_image_changes_nothing(client: Client, tmp_path: Path) -> None:
    made, reference = image(tmp_path / "image"), f"{name()}:v1"
    assert client.push(made, reference) == client.push(made, reference)


def test_a_tag_moves_to_the_image_pushed_last(client: Client, tmp_path: Path) -> None:
    reference = f"{name()}:v1"
    first = client.push(image(tmp_path / "first"), reference)
    second = client.push(image(tmp_path / "second"), reference)
    assert first != second
    assert client.pull(reference) == second


def test_without_login_nothing_is_pushed_or_pulled(stranger: Client, tmp_path: Path) -> None:
    reference = f"{name()}:v1"
    with pytest.raises(Refused, match=r"(?i)unauthorized|authentication required|401"):
        stranger.push(image(tmp_path / "image"), reference)
    with pytest.raises(Refused, match=r"(?i)unauthorized|authentication required|401"):
        stranger.pull(reference)


def test_a_wrong_password_is_refused_at_login_or_first_use(
    stranger: Client, registry: Registry, tmp_path: Path
) -> None:
    with pytest.raises(Refused, match=r"(?i)unauthorized|invalid username/password|401"):  # noqa: PT012 - crane logs in without asking
        stranger.login(registry.user, secrets.token_urlsafe(8))
        stranger.push(image(tmp_path / "image"), f"{name()}:v1")


def test_an_unknown_image_is_named_in_the_error(client: Client) -> None:
    with pytest.raises(Refused, match=r"(?i)manifest.unknown|not.found|name.unknown|unknown"):
        client.pull(f"{name()}:missing")


def test_a_deleted_image_is_gone(copier: Copier, tmp_path: Path) -> None:
    reference = f"{name()}:v1"
    copier.push(image(tmp_path / "image"), reference)
    copier.delete(reference)
    with pytest.raises(Refused, match=r"(?i)manifest.unknown|not.found|unknown"):
        copier.pull(reference)


def test_an_index_arrives_with_every_platform(copier: Copier, crane: Crane, tmp_path: Path) -> None:
    made, reference = index(tmp_path / "index", ("amd64", "arm64", "s390x")), f"{name()}:v1"
    assert copier.push(made, reference) == made.digest
    for described in made.document()["manifests"]:
        platform = f"linux/{described['platform']['architecture']}"
        assert crane.run("digest", "--platform", platform, crane.at(reference)).strip() == described["digest"]
    assert copier.pull(reference) == made.digest


def test_a_copy_to_another_repository_brings_every_layer(crane: Crane, tmp_path: Path) -> None:
    made, source, target = image(tmp_path / "image"), f"{name()}:v1", f"{name()}:v1"
    crane.push(made, source)
    crane.run("copy", crane.at(source), crane.at(target))
    assert crane.run("digest", crane.at(target)).strip() == made.digest
    crane.run("validate", "--remote", crane.at(target))


def test_tags_and_repositories_are_listed(crane: Crane, tmp_path: Path) -> None:
    made, repository = image(tmp_path / "image", layers=1), name()
    for tag in ("v2", "v10", "latest"):
        crane.push(made, f"{repository}:{tag}")
    assert crane.run("ls", crane.at(repository)).split() == ["latest", "v10", "v2"]
    assert repository in crane.run("catalog", crane.registry.address).split()

"""``ac registry``: the login of the cluster becomes a login of its registry, and its names are told."""

from __future__ import annotations

import base64
import json
import stat
from pathlib import Path

import pytest

from tests.app.cli.served import Ac, Office
from tests.app.remote.conftest import Remote, own  # noqa: F401 - a fixture

STREAMS = "/apis/image.alauda.io/v1/namespaces/team/imagestreams"


def written(file: Path, host: str) -> tuple[str, str]:
    auth = json.loads(file.read_text(encoding="utf-8"))["auths"][host]["auth"]
    user, _, password = base64.b64decode(auth).decode().partition(":")
    return user, password


def as_john(ac: Ac, remote: Remote) -> None:
    """The token in the kubeconfig is good for the registry; users have no names here."""
    text = ac.config.read_text(encoding="utf-8")
    ac.config.write_text(text.replace("my-token", remote.password), encoding="utf-8")


def test_a_login_is_tried_and_then_written_for_its_owner_alone(
    ac: Ac, own: Remote, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:  # fmt: skip
    as_john(ac, own)
    monkeypatch.setattr("image_registry.cli.registry_access.USER", own.user)
    file = ac.home / ".docker/config.json"
    said = ac.good("registry", "login", f"--registry={own.host}", "--insecure")
    assert said == f"Saved credentials for {own.host} into {file}\n"
    assert written(file, own.host) == (own.user, own.password)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_token_that_the_registry_does_not_take_is_not_written(ac: Ac, own: Remote) -> None:  # noqa: F811
    said = ac.bad(3, "registry", "login", f"--registry={own.host}", "--insecure")
    assert "does not accept this token, and nothing was written" in said
    assert "my-token" not in said
    assert list(ac.home.iterdir()) == []


def test_a_registry_that_does_not_answer_is_named_with_a_cure(ac: Ac) -> None:
    said = ac.bad(4, "registry", "login", "--registry=127.0.0.1:1")
    assert "127.0.0.1:1 does not answer" in said
    assert "--skip-check" in said


def test_the_public_name_is_taken_and_the_file_can_be_named(ac: Ac, office: Office, tmp_path: Path) -> None:
    office.api.push("team/app", "app")
    file = tmp_path / "auth.json"
    for arguments, environment in (
        ((f"--to={file}",), {}),
        (("-a", str(file)), {}),
        ((), {"REGISTRY_AUTH_FILE": str(file)}),
    ):
        ac.good("registry", "login", "--skip-check", *arguments, **environment)
        assert written(file, office.public) == ("user", "my-token")
        file.unlink()
    ac.good("registry", "login", "--skip-check", DOCKER_CONFIG=str(tmp_path / "docker"))
    assert written(tmp_path / "docker/config.json", office.public) == ("user", "my-token")
    shown = json.loads(ac.good("registry", "login", "--skip-check", "--to=-"))
    assert list(shown["auths"]) == [office.public]


def test_a_token_of_a_service_account_can_be_written(ac: Ac, office: Office) -> None:
    office.api.push("team/app", "app")
    ac.good("registry", "login", "--skip-check", "-z", "builder", "--duration=24h")
    assert written(ac.home / ".docker/config.json", office.public) == ("user", "token-of-builder")
    [body] = [body for method, path, body, _ in office.sent if path.endswith("/serviceaccounts/builder/token")]
    assert body["spec"] == {"expirationSeconds": 86400}


def test_who_has_no_token_is_told_how_to_get_one(ac: Ac) -> None:
    text = ac.config.read_text(encoding="utf-8")
    ac.config.write_text(text.replace("token: my-token", "username: me\n    password: x"), encoding="utf-8")
    assert "--service-account=NAME" in ac.bad(3, "registry", "login", "--registry=localhost:5000")


def test_a_file_that_makes_clients_ask_a_program_is_warned_about(ac: Ac, tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text('{"credsStore": "desktop"}', encoding="ascii")
    done = ac("registry", "login", "--registry=localhost:5000", "--skip-check", f"--to={file}")
    assert done.exit_code == 0
    assert "docker-credential-desktop" in done.stderr


def test_the_names_are_told(ac: Ac, office: Office) -> None:
    office.api.push("team/app", "app")
    assert ac.good("registry", "info") == f"{office.public}\n"
    assert ac.good("registry", "info", "--public") == f"{office.public}\n"
    assert ac.good("registry", "info", "--internal") == f"{office.host}\n"
    both = {"internal": office.host, "public": office.public}
    assert json.loads(ac.good("registry", "info", "-o", "json")) == both
    assert ac.good("registry", "info", "-o", "wide") == f"Internal: {office.host}\nPublic:   {office.public}\n"
    assert "choose one" in ac.bad(2, "registry", "info", "--internal", "--public")


def test_the_names_are_told_where_there_is_no_stream_yet(ac: Ac, office: Office) -> None:
    assert ac.good("registry", "info", "--internal") == f"{office.host}\n"
    assert office.api.names("imagestreams") == []


def test_each_right_that_would_tell_the_name_is_named(ac: Ac, office: Office) -> None:
    everywhere = STREAMS.replace("/namespaces/team", "")
    office.refused = {("GET", STREAMS): "no", ("POST", STREAMS): "no", ("GET", everywhere): "no"}
    said = ac.bad(3, "registry", "info")
    resource = "imagestreams.image.alauda.io"
    for right in (f"list {resource} in namespace team\n", f"list {resource}\n", f"create {resource}"):
        assert right in said


def test_who_asks_the_registry_itself_finds_it_by_the_same_rule(ac: Ac, office: Office) -> None:
    office.api.push("team/app", "app")
    office.refused = {("GET", STREAMS.replace("/namespaces/team", "")): "no"}
    assert office.public in ac.bad(4, "adm", "registry", "runs")
    office.refused |= {("GET", STREAMS): "no", ("POST", STREAMS): "no"}
    assert "list imagestreams.image.alauda.io in namespace team" in ac.bad(3, "adm", "registry", "runs")


def test_a_check_asks_the_registry(ac: Ac, own: Remote, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    from image_registry.cli.hosts import RegistryHosts

    monkeypatch.setattr("image_registry.cli.hosts.find", lambda _place: RegistryHosts(own.host))
    done = ac("registry", "info", "--check", "--insecure")
    assert (done.exit_code, done.stdout) == (0, f"{own.host}\n")
    assert f"{own.host} answers, in " in done.stderr
    assert json.loads(ac.good("registry", "info", "--check", "--insecure", "-o", "json"))["check"]["status"] == 401
    assert "no public name" in ac.bad(1, "registry", "info", "--public")
    done = ac("registry", "info", "--check", "--insecure", "-q")
    assert (done.exit_code, done.output) == (0, "")
    monkeypatch.setattr("image_registry.cli.hosts.find", lambda _place: RegistryHosts("127.0.0.1:1"))
    assert "does not answer" in ac.bad(4, "registry", "info", "--check")


def test_versions_of_all_three_are_told(ac: Ac) -> None:
    lines = ac.good("version").splitlines()
    assert [line.split()[0] for line in lines] == ["ac", "Kubernetes", "Image"]
    assert "v1.36.1" in lines[1]
    found = json.loads(ac.good("version", "-o", "json"))
    assert set(found) == {"client", "cluster", "registry"}
    assert found["registry"]["version"] == found["client"]["version"]
    assert set(json.loads(ac.good("version", "--client", "-o", "json"))) == {"client"}


def test_without_a_cluster_the_own_version_is_told_all_the_same(ac: Ac, tmp_path: Path) -> None:
    done = ac("version", KUBECONFIG=str(tmp_path / "none"))
    assert (done.exit_code, len(done.stdout.splitlines())) == (0, 1)
    assert "the cluster was not asked" in done.stderr
    ac.bad(4, "version", f"--kubeconfig={tmp_path / 'none'}")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_can_complete(ac: Ac, shell: str) -> None:
    assert f"_AC_COMPLETE={shell}_complete" in ac.good("completion", shell)

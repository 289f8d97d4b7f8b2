"""What ``ac`` promises to somebody who types it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from image_registry import __version__
from image_registry.cli import ac
from tests.docs.ac_reference import commands


def run(*arguments: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The installed program, as a person starts it who has no other programs than those at ``path``."""
    program = Path(sys.executable).with_name("ac")
    environment = {"PATH": str(path or "/nowhere"), "HOME": "/nowhere"}
    return subprocess.run(
        [program, *arguments], capture_output=True, text=True, check=False, timeout=30, env=environment
    )


@pytest.fixture
def kubectl(tmp_path: Path) -> Path:
    """A named fake of kubectl: it prints its arguments and ends with 7."""
    program = tmp_path / "kubectl"
    program.write_text('#!/bin/sh\necho "kubectl $*"\nexit 7\n', encoding="ascii")
    program.chmod(0o755)
    return tmp_path


def test_the_short_version_is_the_number_alone() -> None:
    done = run("version", "--short")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{__version__}\n", "")


def test_the_version_names_program_and_python() -> None:
    shown = CliRunner().invoke(ac.cli, ["version"]).output
    assert shown.startswith(f"ac {__version__} (Python {sys.version_info.major}.")


def test_every_command_explains_itself() -> None:
    shown = CliRunner().invoke(ac.cli, ["--help"]).output
    for name, command in ac.cli.commands.items():
        assert name in shown
        assert command.help, name


def every(group: click.Group) -> Iterator[tuple[click.Group, str]]:
    for name in group.commands:
        yield group, name
        if isinstance(found := group.commands[name], click.Group):
            yield from every(found)


def test_every_command_is_found_under_its_own_name() -> None:
    """They are named in one place and written in others."""
    found = list(every(ac.cli))
    assert len(found) > 30
    for group, name in found:
        assert group.commands[name].name == name or group.name in ("get", "create", "delete", "set"), name


@pytest.mark.parametrize(
    "read",
    [
        "from image_registry.cli import ac; ac.cli.commands['image'].commands['mirror']",
        "import image_registry.migration.copying",
    ],
    ids=["ac image mirror", "the copy of a migration"],
)
def test_what_copies_images_reads_no_more_than_it_needs(read: str) -> None:
    """It has no use for databases, log lines and bars that nobody sees, and starts before somebody wonders."""
    code = f"import sys; {read}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    unused = {"sqlalchemy", "boto3", "flask", "image_registry.metadata", "rich", "structlog", "yaml", "asyncio"}
    assert not unused & set(done.stdout.split())


@pytest.mark.parametrize(("arguments", "named"), [(("prune",), "'prune'"), (("version", "--shrot"), "'--shrot'")])
def test_a_misspelt_command_or_option_is_named_in_one_sentence(arguments: tuple[str, ...], named: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert named in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_command_the_help_is_shown() -> None:
    done = run()
    assert "Usage:" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("get", "pods", "-A"),
        ("get", "-A", "pods", "-o", "wide"),
        ("apply", "-f", "-"),
        ("create", "deployment", "web", "--image=web"),
        ("config", "view"),
    ],
)
def test_what_is_not_ours_is_kubectls_with_its_exit_code(kubectl: Path, arguments: tuple[str, ...]) -> None:
    done = run(*arguments, path=kubectl)
    assert (done.returncode, done.stdout, done.stderr) == (7, f"kubectl {' '.join(arguments)}\n", "")


def test_what_stands_before_a_group_that_is_shared_goes_along(kubectl: Path) -> None:
    assert run("-n", "team", "get", "pods", path=kubectl).stdout == "kubectl get pods -n team\n"


def test_without_kubectl_it_is_said_what_is_missing() -> None:
    done = run("get", "pods")
    assert (done.returncode, done.stdout) == (2, "")
    assert "'get pods' is no command of ac but one for kubectl, which is not on the PATH" in done.stderr


def test_options_of_a_place_may_come_first(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    done = run(f"--kubeconfig={missing}", "-n", "team", "adm", "prune", "images")
    assert done.returncode == 4
    assert f"cannot read the kubeconfig {missing}" in done.stderr


def test_the_program_ends_with_the_code_of_its_command() -> None:
    assert run("adm", "prune", "images", "--keep-younger-than=soon").returncode == 2


def test_every_switch_may_be_written_with_its_value() -> None:
    """As kubectl and oc have them; short ones that people put together (-Aq) and pairs (--a/--no-a) are click's."""
    bare = [
        f"{name} {option.opts[0]}"
        for name, command in commands(ac.cli, "ac")
        for option in command.params
        if isinstance(option, click.Option) and option.is_flag and not option.secondary_opts
        if all(len(text) > 2 for text in option.opts)
    ]
    assert not bare


def test_without_a_cluster_it_is_said_how_to_name_one_first() -> None:
    done = run("get", "images")
    assert done.returncode == 4
    assert "no ~/.kube/config" in done.stderr
    assert "name a kubeconfig by --kubeconfig or $KUBECONFIG" in done.stderr


def test_what_is_missing_in_the_command_is_said_before_a_cluster_is_looked_for() -> None:
    done = run("tag", "app:v1")
    assert done.returncode == 2
    assert "at least one destination" in done.stderr

"""What ``ac`` promises to somebody who types it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from image_registry import __version__
from image_registry.cli import ac


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The installed program, as a person starts it."""
    program = Path(sys.executable).with_name("ac")
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False, timeout=30)


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

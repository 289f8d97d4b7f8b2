"""The page about ``ac`` says what its commands say."""

from __future__ import annotations

from image_registry.cli import ac
from tests.docs import ac_reference


def test_the_page_is_made_of_the_commands() -> None:
    assert ac_reference.PAGE.read_text(encoding="utf-8") == ac_reference.page(), "run `make docs`"


def test_every_option_explains_itself() -> None:
    for name, command in ac_reference.commands(ac.cli, "ac"):
        assert command.help, name
        for option in command.params:
            assert getattr(option, "help", ""), f"{name}: {option.name}"

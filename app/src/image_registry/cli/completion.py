"""``ac completion``: what a shell has to read to complete commands, options and their values."""

from __future__ import annotations

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

SHELLS: dict[str, type[ShellComplete]] = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}
VARIABLE = "_AC_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(tuple(SHELLS)), help="The shell.")
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion of ac for a shell.

    \b
      source <(ac completion bash)                                   # in ~/.bashrc
      source <(ac completion zsh)                                    # in ~/.zshrc, behind compinit
      ac completion fish > ~/.config/fish/completions/ac.fish
    """
    made = SHELLS[shell](context.find_root().command, {}, "ac", VARIABLE)
    click.echo(made.source_template % made.source_vars())  # source() would run a bash to look at its version

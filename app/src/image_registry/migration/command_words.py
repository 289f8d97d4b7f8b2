"""Words of a command as they may be shown: what a credential could be is left out.

A job's arguments are kept in the inventory and shown on pages, and people write passwords into them. Nobody knows every
way to do so; what is left out is what programs of this field take: flags of their names, variables, headers and URLs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

HIDDEN = "***"
_FLAG = re.compile(
    r"(--?[\w-]*(?:token|password|passwd|secret|bearer|auth|credential|key)[\w-]*|-[pt])(=.*)?", re.IGNORECASE
)
_VARIABLE = re.compile(r"([A-Za-z_]\w*)=.*", re.DOTALL)
_HEADER = re.compile(r"(?:proxy-)?authorization:|bearer|basic", re.IGNORECASE)
_PERSON = re.compile(r"//[^/@\s]+@")


def shown_words(arguments: Iterable[str]) -> Iterator[str]:
    """Words of arguments, those of a shell's script apart, without quotes; ``***`` for what could be a credential."""
    hide = False
    for argument in arguments:
        for quoted in argument.split():
            word = quoted.strip("\"'")
            flag, variable = _FLAG.fullmatch(word), _VARIABLE.fullmatch(word)
            if _HEADER.fullmatch(word):
                hide = True
                yield word
            elif hide and not word.startswith("-"):
                hide = False
                yield HIDDEN
            elif flag:
                hide = flag[2] is None
                yield f"{flag[1]}={HIDDEN}" if flag[2] else word
            else:
                hide = False
                yield f"{variable[1]}={HIDDEN}" if variable else _PERSON.sub(f"//{HIDDEN}@", word)

"""A file with certificates of authorities, which are trusted beside those of the system: read in one way everywhere."""

from __future__ import annotations

import ssl
from pathlib import Path


class NoAuthorities(ValueError):
    """The file cannot be read, or holds no certificate; the text names it."""


def authorities(path: Path) -> str:
    """Certificates in PEM. Raises :class:`NoAuthorities`: a file that is the wrong one must not look like none."""
    try:
        # what stands around the certificates is for people, in any language
        text = "".join(character for character in path.read_text(encoding="utf-8") if character.isascii())
        ssl.create_default_context().load_verify_locations(cadata=text or "-")
    except OSError as error:
        if isinstance(error, ssl.SSLError):
            raise NoAuthorities(f"{path} holds no CA in PEM") from None
        raise NoAuthorities(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise NoAuthorities(f"{path} is no text") from None
    except ValueError:
        raise NoAuthorities(f"{path} holds no CA in PEM") from None
    return text

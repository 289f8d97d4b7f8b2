"""Files with logins of registries: those that docker, podman and their like read, found, read and written.

Looked for in this order: the file that was named, ``REGISTRY_AUTH_FILE``, ``DOCKER_CONFIG``; then what is there of
podman's files and ``~/.docker/config.json``. A file is written whole and at once, readable for its owner alone, and
keeps everything else that is in it.
"""

from __future__ import annotations

import base64
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from image_registry.cli.failures import Failed, NotThere
from image_registry.remote.credentials import Keyring, UnreadableCredentials

F = TypeVar("F", bound=Callable[..., Any])


def registry_config_option(command: F) -> F:
    """``-a``/``--registry-config``."""
    return click.option(
        "-a", "--registry-config", type=click.Path(path_type=Path, dir_okay=False), default=None,
        help="File with logins. Else $REGISTRY_AUTH_FILE, $DOCKER_CONFIG/config.json, podman's, ~/.docker/config.json.",
    )(command)  # fmt: skip


def named(environment: Mapping[str, str]) -> Path | None:
    """The one file that the environment names."""
    if environment.get("REGISTRY_AUTH_FILE"):
        return Path(environment["REGISTRY_AUTH_FILE"])
    if environment.get("DOCKER_CONFIG"):
        return Path(environment["DOCKER_CONFIG"]) / "config.json"
    return None


def usual(environment: Mapping[str, str], home: Path) -> tuple[Path, ...]:
    """Where clients keep logins, the first one first."""
    runtime = environment.get("XDG_RUNTIME_DIR")
    settings = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
    podman = ([Path(runtime)] if runtime else []) + [settings]
    return (home / ".docker" / "config.json", *(folder / "containers" / "auth.json" for folder in podman))


def target(given: Path | None, environment: Mapping[str, str] = os.environ, home: Path | None = None) -> Path:
    """The file that a login is written to."""
    found = given or named(environment)
    if found is not None:
        return found
    places = usual(environment, home or Path.home())
    return next((place for place in places if place.exists()), places[0])


def keyring(given: Path | None, environment: Mapping[str, str] = os.environ, home: Path | None = None) -> Keyring:
    """Every login there is. Raises :class:`NotThere` for a named file that is not there, :class:`Failed`."""
    found = given or named(environment)
    if given is not None and not given.exists():
        raise NotThere(f"there is no file {given} (--registry-config)")
    places = (found,) if found is not None else usual(environment, home or Path.home())
    return Keyring.joined(_read(place) for place in places if place.exists())


def _read(path: Path) -> Keyring:
    try:
        return Keyring.parse(path.read_bytes())
    except UnreadableCredentials as error:
        raise Failed(f"{path} cannot be used: {error}; correct it, or name another one by --registry-config") from None
    except OSError as error:
        raise Failed(f"cannot read {path}: {error.strerror}") from None


def programs_for(path: Path, host: str) -> str:
    """The program that clients ask for this host instead of reading the file; empty if there is none."""
    found = _document(path)
    helpers = found.get("credHelpers")
    one = helpers.get(host) if isinstance(helpers, dict) else None
    return str(one or found.get("credsStore") or "")


def save(path: Path, host: str, username: str, password: str) -> None:
    """Keep one login beside all others. Raises :class:`Failed`."""
    found = _document(path)
    auths = found.setdefault("auths", {})
    if not isinstance(auths, dict):
        raise Failed(f"the member auths of {path} is no object; correct the file, or write to another one by --to")
    auths[host] = {"auth": base64.b64encode(f"{username}:{password}".encode()).decode()}
    _write(path, json.dumps(found, indent="\t") + "\n")


def _document(path: Path) -> dict[str, Any]:
    """What is in the file; nothing if there is none."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise Failed(f"cannot read {path}: {getattr(error, 'strerror', '') or 'it is no text'}") from None
    if not text.strip():
        return {}
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Failed(f"{path} is no JSON object, and is left as it is; write to another file by --to")
    return found


def _write(path: Path, text: str) -> None:
    """Whole or not at all, where a symbolic link points to; 0600."""
    real = path.resolve()
    try:
        real.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=f".{real.name}-", dir=real.parent)
    except OSError as error:
        raise Failed(f"cannot write into {real.parent}: {error.strerror}; name another file by --to") from None
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:  # mkstemp makes it 0600
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, real)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise Failed(f"cannot write {real}: {error.strerror}; name another file by --to") from None

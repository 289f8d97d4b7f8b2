"""``image-registry serve`` on an object store, configured as a person or the chart would: variables and files."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from image_registry.storage.choice import KINDS, Filesystem, Storage
from tests.serve.conftest import free_port, wait_for_port


def environment(storage: Storage, folder: Path) -> dict[str, str]:
    """The variables that say what ``storage`` is; its secrets go to files in ``folder``."""
    kind = next(name for name, settings in KINDS.items() if settings is type(storage))
    folder.mkdir(exist_ok=True, mode=0o700)
    found = {"REGISTRY_STORAGE_CREDENTIALS": str(folder)}
    for entry in dataclasses.fields(storage):
        value, name = getattr(storage, entry.name), f"REGISTRY_STORAGE_{kind}_{entry.name}".upper()
        if entry.name == "proxies":
            continue
        if entry.name == "redirect":
            found["REGISTRY_STORAGE_REDIRECT_DISABLE"] = str(not value).lower()
        elif not entry.repr:
            (folder / name).write_text(value, encoding="utf-8")
        elif value not in (None, ""):
            found[name] = str(value).lower() if isinstance(value, bool) else str(value)
    return {} if isinstance(storage, Filesystem) else found


@contextmanager
def serving(
    storage: Storage, folder: Path, *options: str, **further: str
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A replica with the metadata in ``folder``; replicas of one folder share it. HOST:PORT and the process.

    ``further`` variables are its own.
    """
    kind = next(name for name, settings in KINDS.items() if settings is type(storage))
    root = storage.rootdirectory if isinstance(storage, Filesystem) else folder
    host, log = f"127.0.0.1:{free_port()}", folder / f"serve-{free_port()}.log"
    program = str(Path(sys.executable).parent / "image-registry")
    command = [program, "serve", "--root", str(root), "--listen", host, "--storage", kind, "--workers", "1"]
    command += options
    variables = {"PATH": os.environ["PATH"], **environment(storage, folder / "credentials"), **further}
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=variables)
    try:
        wait_for_port(host, process, log)
        yield host, process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(40)

"""Real images for a legacy registry, pushed by a real client (crane) with the rights of each team's builder."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from image_registry_lab import archives
from image_registry_lab.places import Places
from image_registry_lab.process import clean_environment, run
from image_registry_lab.report import LabError

FIRST = ("team-a/app:v1", "team-b/app:v1")
"""Of each team, from which its others are made: nobody may read what another team has."""

OTHERS = ("team-a/app:v2", "team-a/app:built", "team-a/tools/report:1")
MORE = tuple(f"team-b/service-{number}:{tag}" for number in range(4) for tag in ("1.0", "1.1", "latest"))
INDEX = "team-b/multi:v1"
PATIENCE = 30.0


def fill(
    places: Places, folder: Path, address: str, tokens: Mapping[str, str], say: Callable[[str], None]
) -> dict[str, str]:
    """Push all of them, each once; digests by name and tag. Raises :class:`LabError`."""
    image = archives.hello()
    archives.ensure(image, folder, say)
    crane = Crane(places.program("crane"), folder, address, tokens)
    for name in FIRST:
        crane.until_allowed("push", str(folder / image.file_name), name)
    for name in (*OTHERS, *MORE):
        base = f"{address}/{name.partition('/')[0]}/app:v1"
        crane("mutate", base, "--label", f"lab.name={name}", "--tag", f"{address}/{name}")
    halves = [f"--manifest={address}/{name}" for name in MORE[:2]]
    crane("index", "append", *halves, "--tag", f"{address}/{INDEX}")
    return {name: crane.digest(name) for name in (*FIRST, *OTHERS, *MORE, INDEX)}


class Crane:
    """Both teams' logins in one file; crane chooses by the host alone, so it is written for each team."""

    def __init__(self, program: str, folder: Path, address: str, tokens: Mapping[str, str]) -> None:
        self._program, self._folder, self._address, self._tokens = program, folder, address, dict(tokens)

    def __call__(self, *arguments: str) -> str:
        team = next(part for part in reversed(arguments) if part.startswith(f"{self._address}/")).split("/")[1]
        login = base64.b64encode(f"<token>:{self._tokens[team]}".encode()).decode()
        file = self._folder / "config.json"
        file.touch(0o600)
        file.write_text(json.dumps({"auths": {self._address: {"auth": login}}}), encoding="ascii")
        environment = clean_environment() | {"DOCKER_CONFIG": str(self._folder)}
        return run([self._program, *arguments, "--insecure"], environment=environment)

    def digest(self, name: str) -> str:
        """What a tag means."""
        return self("digest", f"{self._address}/{name}").strip()

    def until_allowed(self, command: str, archive: str, name: str) -> None:
        """The API server takes a moment to know of new rights."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self(command, archive, f"{self._address}/{name}")
            except LabError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(1)
            else:
                return

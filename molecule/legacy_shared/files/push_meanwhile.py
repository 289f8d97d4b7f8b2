"""A tag that is pushed to the registry before after a migration has begun: LAB CRANE URL."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

NAME, TAG = "team-a/app:v1", "meanwhile"


def main(lab: str, crane: str, url: str) -> None:
    """As the team's builder, who may push until the freeze."""
    account = (lab, "kubectl", "-n", "team-a", "create", "token", "builder")
    token = subprocess.run(account, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603 - a list
    place = url.removeprefix("http://")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").touch(0o600)
        login = {"auths": {place: {"username": "<token>", "password": token}}}
        (Path(folder) / "config.json").write_text(json.dumps(login), encoding="ascii")
        command = [crane, "--insecure", "tag", f"{place}/{NAME}", TAG]
        subprocess.run(command, check=True, env={**os.environ, "DOCKER_CONFIG": folder})  # noqa: S603 - a list


if __name__ == "__main__":
    main(*sys.argv[1:])

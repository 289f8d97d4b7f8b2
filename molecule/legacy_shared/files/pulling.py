"""A client that pulls in a loop by the host of the Ingress, until a file is there: LAB CRANE NODE FOLDER.

What it saw is in ``pulled.json``: how many pulls there were, and each that failed or gave another digest.
"""

import base64
import json
import os
import subprocess
import sys
import time
from pathlib import Path

HOST = "registry.legacy.test"
NAMES = ("team-a/app:v1", "team-a/app:v2", "team-a/app:built")


def output(*command: str) -> str:
    """Of a command that must not fail."""
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - a list, never a shell
    return done.stdout


def asked_for(command: list[str], environment: dict[str, str]) -> tuple[int, str]:
    """Status and what was said; to wait for two minutes is a failure too."""
    try:
        done = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, env=environment, timeout=120, check=False
        )
    except subprocess.TimeoutExpired:
        return 1, "no answer in two minutes"
    return done.returncode, (done.stderr if done.returncode else done.stdout).strip()


def main(lab: str, crane: str, node: str, folder: str) -> None:
    """Pull until told to stop; two hours at most."""
    place, end = Path(folder), time.monotonic() + 7000
    expected = dict(line.split() for line in output(lab, "legacy", "pushed").splitlines())
    account = ("-n", "team-a", "create", "token", "builder", "--duration=3h")
    token = output(lab, "kubectl", *account).strip()
    login = base64.b64encode(f"<token>:{token}".encode()).decode()
    (place / "config.json").touch(0o600)
    (place / "config.json").write_text(json.dumps({"auths": {HOST: {"auth": login}}}), encoding="ascii")
    (place / "hosts").write_text(f"127.0.0.1 localhost\n{node} {HOST}\n", encoding="ascii")
    # the machine's resolver does not know the host, and is not told
    alone = ["unshare", "--mount", "sh", "-c", f"mount --bind '{place}/hosts' /etc/hosts && exec \"$@\"", "--"]
    known = {**os.environ, "DOCKER_CONFIG": str(place)}
    pulls, failed, slowest = 0, [], 0.0
    while not (place / "stop").exists() and time.monotonic() < end:
        for name in NAMES:
            command = [crane, "--insecure", "pull", f"{HOST}/{name}", str(place / "pulled.tar")]
            asked = [crane, "--insecure", "digest", f"{HOST}/{name}"]
            for each, wanted in ((command, ""), (asked, expected[name])):
                began = time.monotonic()
                status, said = asked_for([*alone, *each], known)
                slowest = max(slowest, time.monotonic() - began)
                pulls += 1
                when = time.strftime("%H:%M:%S", time.gmtime())
                if status:
                    failed.append(f"{when} {name}: {said[-300:]}")
                elif wanted and said != wanted:
                    failed.append(f"{when} {name}: {said} instead of {wanted}")
        new = place / "pulled.new"
        new.write_text(json.dumps({"pulls": pulls, "failed": failed, "slowest": round(slowest, 2)}), encoding="utf-8")
        new.replace(place / "pulled.json")


if __name__ == "__main__":
    main(*sys.argv[1:])

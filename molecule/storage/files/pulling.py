"""A client that pulls an image by the Service's name until a file is there: LAB CRANE FOLDER IMAGE.

What it saw is in ``pulled.json``: how many pulls there were, those that failed, how long at most nobody could pull, and
every digest that was told.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

SYSTEM = "image-registry-system"
SERVICE = f"image-registry.{SYSTEM}.svc"
LONGEST = 1800
"""Seconds after which it ends by itself."""
LAST = 60
"""Seconds in which the last pull has to come; one that met the end of a Pod waits for nothing for half a minute."""


def output(*command: str) -> str:
    """Of a command that must not fail."""
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - a list, never a shell
    return done.stdout.strip()


def asked(command: list[str], environment: dict[str, str]) -> tuple[int, str]:
    """Status and what was said; to wait for half a minute is a failure too."""
    try:
        done = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, env=environment, timeout=30, check=False
        )
    except subprocess.TimeoutExpired:
        return 1, "no answer in half a minute"
    return done.returncode, (done.stderr if done.returncode else done.stdout).strip()


def main(lab: str, crane: str, folder: str, image: str) -> None:
    """Pull until told to stop, and then until one pull that began afterwards has come, or none does."""
    place, end = Path(folder), time.monotonic() + LONGEST
    in_system = (lab, "kubectl", "-n", SYSTEM, "get")
    address = output(*in_system, "service", "image-registry", "-o", "jsonpath={.spec.clusterIP}")
    authority = output(*in_system, "configmap", "image-registry-ca", "-o", r"jsonpath={.data.ca-bundle\.crt}")
    token = output(lab, "kubectl", "-n", image.partition("/")[0], "create", "token", "builder")
    (place / "ca.crt").write_text(authority, encoding="ascii")
    (place / "config.json").touch(0o600)
    login = {"auths": {f"{SERVICE}:5000": {"username": "x", "password": token}}}
    (place / "config.json").write_text(json.dumps(login), encoding="ascii")
    (place / "hosts").write_text(f"127.0.0.1 localhost\n{address} {SERVICE}\n", encoding="ascii")
    # the machine's resolver does not know the Service, and is not told
    alone = ["unshare", "--mount", "sh", "-c", f"mount --bind '{place}/hosts' /etc/hosts && exec \"$@\"", "--"]
    known = {**os.environ, "DOCKER_CONFIG": str(place), "SSL_CERT_FILE": str(place / "ca.crt")}
    name = f"{SERVICE}:5000/{image}"
    pulls, failed, digests, outage = 0, [], set(), 0.0
    pulled = time.monotonic()
    stopping = False
    while time.monotonic() < end:
        if not stopping and (place / "stop").exists():
            stopping, end = True, time.monotonic() + LAST
        status, said = asked([*alone, crane, "pull", name, str(place / "pulled.tar")], known)
        if not status:
            status, said = asked([*alone, crane, "digest", name], known)
        pulls += 1
        if status:
            failed.append(f"{time.strftime('%H:%M:%S', time.gmtime())} {said[-300:]}")
            time.sleep(0.5)
        outage = max(outage, time.monotonic() - pulled)  # also of one that has not ended
        if not status:
            digests.add(said)
            pulled = time.monotonic()
        seen = {
            "pulls": pulls,
            "failed": failed,
            "longest": round(outage, 1),
            "last": not status,
            "digests": sorted(digests),
        }
        (place / "pulled.new").write_text(json.dumps(seen), encoding="utf-8")
        (place / "pulled.new").replace(place / "pulled.json")
        if stopping and not status:
            break


if __name__ == "__main__":
    main(*sys.argv[1:])

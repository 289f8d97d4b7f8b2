"""``python -m tests.security.fuzz``: serve a registry, throw requests at it, say what happened."""

from __future__ import annotations

import argparse
import random
import secrets
import sys
import tempfile
from pathlib import Path

import bcrypt

from tests.security.fuzz.run import Target, fuzz
from tests.serve.conftest import serve


def _is_usual(line: str) -> bool:
    return line.startswith(('{"time"', "[")) and "rror handling" not in line


def main() -> int:
    parser = argparse.ArgumentParser(description="Throw malformed requests and raw bytes at a served registry.")
    parser.add_argument("--duration", type=float, default=600.0, help="seconds (600)")
    parser.add_argument("--seed", type=int, default=None, help="the number that a run printed, to have it again")
    parser.add_argument("--clients", type=int, default=4, help="clients at once (4); with one, a seed is one sequence")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}, {options.duration:.0f} s, {options.clients} clients", flush=True)
    user, password = "fuzz", secrets.token_urlsafe(12)
    with tempfile.TemporaryDirectory(prefix="image-registry-fuzz-") as name:
        users = Path(name) / "users"
        users.write_text(f"{user}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()}\n", encoding="utf-8")
        for served in serve(Path(name), "--auth", f"htpasswd:{users}"):
            report = fuzz(Target(served.host, served.pid, user, password), options.duration, seed, options.clients)
            print(*report.lines(), sep="\n")
        if report.failures:
            log = (Path(name) / "serve.log").read_text(encoding="utf-8", errors="replace").splitlines()
            print("the end of the log:", *[line[:2000] for line in log if not _is_usual(line)][-60:], sep="\n")
    return int(bool(report.failures))


if __name__ == "__main__":
    sys.exit(main())

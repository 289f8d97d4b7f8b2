"""Runs ``ansible-test sanity`` for the collection so that a stranger's machine gives the same answer.

ansible-test makes environments of its own. To fill them it would fetch a get-pip script from its own host, and it
passes none of pip's settings on but the home directory. So it gets a home of its own below ``.cache`` with two files:
a get-pip that uses the pip which Python carries, and pip's settings as they are in force here (index, certificates).
It runs on a copy of the collection, so that it leaves nothing in the tree; the copy is outside of the repository, whose
ignored folders ansible-test would pass over.
Further arguments go to ansible-test (for example ``--test validate-modules``).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COLLECTION = ROOT / "collections/ansible_collections/alauda/registry"
HOME = ROOT / ".cache/ansible-test"
GET_PIP = '''"""Stands in for get-pip.py: Python carries a pip."""

import ensurepip

ensurepip.bootstrap(default_pip=True)
'''
SETTING = re.compile(r"^(?P<section>[\w-]+|:env:)\.(?P<name>[\w-]+)='(?P<value>.*)'$")


def pip_version() -> str:
    """The pip that this ansible-test wants, as its file name has it."""
    from ansible_test._internal import python_requirements  # type: ignore[import-untyped]

    found = re.search(r"pip='([\d.]+)'", Path(python_requirements.__file__).read_text(encoding="utf-8"))
    if found is None:
        sys.exit(
            "sanity: this ansible-test names its pip in another way; look for get-pip in its python_requirements.py"
        )
    return found[1]


def pip_settings() -> str:
    """pip's settings from files and environment, as one file."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    settings: dict[str, dict[str, str]] = {}
    for line in listed.splitlines():
        if found := SETTING.match(line):
            section = "global" if found["section"] == ":env:" else found["section"]
            settings.setdefault(section, {})[found["name"]] = found["value"].replace("\\n", "\n    ")
    return "".join(
        f"[{section}]\n" + "".join(f"{name} = {value}\n" for name, value in values.items())
        for section, values in settings.items()
    )


def main() -> int:
    """Prepare the home, then hand over to ansible-test."""
    if not COLLECTION.is_dir():
        sys.exit(f"sanity: there is no collection in {COLLECTION.relative_to(ROOT)}")
    get_pip = HOME / f".ansible/test/cache/get_pip_{pip_version().replace('.', '_')}.py"
    get_pip.parent.mkdir(parents=True, exist_ok=True)
    get_pip.write_text(GET_PIP, encoding="utf-8")
    pip_conf = HOME / ".config/pip/pip.conf"
    pip_conf.parent.mkdir(parents=True, exist_ok=True)
    pip_conf.touch(mode=0o600)
    pip_conf.write_text(pip_settings(), encoding="utf-8")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    environment = {**os.environ, "HOME": str(HOME)}
    command = ["ansible-test", "sanity", "--venv", "--python", version, "--color", "no", *sys.argv[1:]]
    with tempfile.TemporaryDirectory(prefix="image-registry-sanity-") as tree:
        copy = Path(tree) / "ansible_collections/alauda/registry"
        shutil.copytree(COLLECTION, copy, ignore=shutil.ignore_patterns("__pycache__", "output", ".ansible"))
        return subprocess.run(command, cwd=copy, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Writes the OLM bundle of the operator: the chart's own objects, ordered as OLM wants them.

The chart is the one source of definitions, rights and the Deployment; ``bundle_source.yaml`` has the words for people.
``--check`` changes nothing and fails when a file is old. Needs ``helm`` (``lab/lab build helm``).
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from bundle import files
from config_language import CHARTS
from derive_schemas import dumped

ROOT = CHARTS.parent
CHART = CHARTS / "cluster-image-registry-operator"
BUNDLE = CHART / "bundle"
SOURCE = CHARTS / "bundle_source.yaml"
NOTE = "---\n# Made from the chart by charts/derive_bundle.py; do not edit.\n"
"""After the mark: tools of OLM read the first document of a file, and a comment before it would be one."""
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "image-registry-lab"


def helm() -> str:
    """The program: what ``HELM`` names, the lab's, or any other."""
    lab = Path(os.environ.get("IMAGE_REGISTRY_LAB") or CACHE) / "bin/helm"
    for found in (os.environ.get("HELM"), str(lab), shutil.which("helm")):
        if found and os.access(found, os.X_OK):
            return found
    sys.exit("no helm: run `lab/lab build helm`, put helm on PATH, or set HELM to the program")


def rendered(namespace: str) -> list[dict[str, Any]]:
    """Every object of the chart with its default values."""
    name = CHART.name
    with tempfile.TemporaryDirectory() as home:
        command = [helm(), "template", name, str(CHART), "--namespace", namespace, "--kube-version", "1.37"]
        environment = {"PATH": os.environ["PATH"], "HOME": home, "KUBECONFIG": f"{home}/none"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)  # noqa: S603
    if done.returncode:
        sys.exit(f"helm template {CHART.relative_to(ROOT)}: {done.stderr.strip()}")
    return [item for item in yaml.safe_load_all(done.stdout) if item]


def derived() -> dict[Path, str]:
    """Every file of the bundle, with what it should hold."""
    source = yaml.safe_load(SOURCE.read_text(encoding="utf-8"))
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    operand = yaml.safe_load((CHARTS / "image-registry/values.yaml").read_text(encoding="utf-8"))
    icon = (CHART / "icon.svg").read_bytes()
    made = files(source, chart, rendered(source["namespace"]), operand, icon)
    return {
        BUNDLE / name: content if isinstance(content, str) else f"{NOTE}{dumped(content)}"
        for name, content in made.items()
    }


def main() -> None:
    """Write the files and remove those that are no longer made, or say which are old."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="change nothing; fail when a file is old")
    arguments = parser.parse_args()
    wanted = derived()
    there = {path for path in BUNDLE.rglob("*") if path.is_file()}
    old = {path for path, text in wanted.items() if path not in there or path.read_text("utf-8") != text}
    gone = there - set(wanted)
    if arguments.check and old | gone:
        names = ", ".join(sorted(str(path.relative_to(ROOT)) for path in old | gone))
        parser.exit(1, f"{names}: not what the chart says: run `make bundle`\n")
    for path in old:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(wanted[path], encoding="utf-8")
    for path in gone:
        path.unlink()


if __name__ == "__main__":
    main()

# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ``helm`` program: what we ask it, with a clean environment, and its failures without its decoration.

Private to this collection. Works with Helm 3.14 and later and with Helm 4; differences of the two are known here alone.
"""

from __future__ import annotations

import json
import os
import re
import subprocess  # arguments are lists, never a shell
from typing import Any

from ansible_collections.alauda.registry.plugins.module_utils._versions import Version

OLDEST = Version(3, 14, 0)
"""The first with ``--dry-run=server`` and ``--reset-then-reuse-values``."""

AMBIENT = (
    "KUBECONFIG",
    "HELM_KUBE",
    "HELM_NAMESPACE",
    "HELM_DRIVER",
    "HELM_DEBUG",
    "HELM_BURST_LIMIT",
    "HELM_QPS",
    "HELM_MAX_HISTORY",
)
"""Variables of the caller that could lead helm to another cluster or another way of keeping releases."""

NOISE = re.compile(r"^(WARNING: Kubernetes configuration file is|level=|time=|I\d{4} |W\d{4} |Pulled: |Digest: )")
LOCATION = re.compile(r"execution error at \([^)]*\): ")
PREFIX = re.compile(r"^(Error: |UPGRADE FAILED: |INSTALLATION FAILED: |uninstall: |release: )+")


class HelmError(Exception):
    """Helm did not do it; the message is what it said."""


class Helm:
    """One helm, for one namespace of one cluster."""

    def __init__(self, binary: str, kubeconfig: str, context: str | None, namespace: str, release: str) -> None:
        self._binary = binary
        self._kubeconfig = kubeconfig
        self._context = context
        self.namespace = namespace
        self.release = release
        self._version: Version | None = None

    def version(self) -> Version:
        """The program's version; raises :class:`HelmError` if there is none."""
        if self._version is None:
            said = self._run(["version", "--template", "{{.Version}}"], cluster=False).strip()
            found = Version.find(said)
            if found is None:
                raise HelmError(f"{self._binary} says it is version {said!r}, which is no version of Helm")
            self._version = found
        return self._version

    def template(self, chart: str, chart_version: str | None, values_file: str, kube_version: str) -> str:
        """Objects and hooks as a new installation would have them, without asking the cluster."""
        return self._run(
            [
                "template",
                self.release,
                chart,
                *_version(chart_version),
                f"--values={values_file}",
                f"--kube-version={kube_version}",
            ],
            cluster=False,
        )

    def dry_run(self, chart: str, chart_version: str | None, values_file: str) -> dict[str, Any]:
        """The release as an install or upgrade would leave it, with everything the chart looks up in the cluster."""
        return self._json([*self._upgrade(chart, chart_version, values_file), "--dry-run=server", "--output=json"])

    def status(self, revision: int | None = None) -> dict[str, Any] | None:
        """The newest revision of the release (or the one asked for), or None if there is no release."""
        chosen = [f"--revision={revision}"] if revision else []
        try:
            return self._json(["status", self.release, *chosen, "--output=json"])
        except HelmError as error:
            if "not found" in str(error):
                return None
            raise

    def chart_of(self) -> dict[str, Any]:
        """Name and versions of the installed chart."""
        return self._json(["get", "metadata", self.release, "--output=json"])

    def values(self, revision: int | None = None) -> dict[str, Any]:
        """The values that the last install or upgrade, or one that is named, was given."""
        chosen = [f"--revision={revision}"] if revision else []
        return self._json(["get", "values", self.release, *chosen, "--output=json"], empty={})

    def history(self) -> list[dict[str, Any]]:
        """Every revision kept, oldest first."""
        return self._json(["history", self.release, "--output=json"], empty=[])

    def start_upgrade(
        self, chart: str, chart_version: str | None, values_file: str, timeout: int
    ) -> subprocess.Popen[str]:
        """Begin to install or upgrade and return at once; the caller watches."""
        return subprocess.Popen(
            self._command(
                [
                    *self._upgrade(chart, chart_version, values_file),
                    f"--timeout={timeout}s",
                    *self._waiting(),
                ]
            ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )

    def upgrade(self, chart: str, chart_version: str | None, values_file: str, timeout: int) -> None:
        """To values that worked before, without hooks: their Secrets are there."""
        self._run_waiting([*self._upgrade(chart, chart_version, values_file), "--no-hooks"], timeout)

    def rollback(self, revision: int, timeout: int) -> None:
        """Back to a revision that worked, without its hooks: its Secrets are there."""
        self._run_waiting(["rollback", self.release, str(revision), "--no-hooks", "--cleanup-on-fail"], timeout)

    def uninstall(self, timeout: int) -> None:
        """Take the release away and wait until its objects are gone; what is marked to be kept stays."""
        self._run_waiting(["uninstall", self.release, "--ignore-not-found", "--cascade=foreground"], timeout)

    def test(self, timeout: int) -> None:
        """Run the chart's test Pod."""
        self._run(["test", self.release, f"--timeout={timeout}s"], timeout=timeout + 60)

    def pull(self, chart: str, chart_version: str | None, folder: str) -> None:
        """Fetch and unpack a chart into ``folder``."""
        self._run(["pull", chart, *_version(chart_version), "--untar", f"--untardir={folder}"], cluster=False)

    def _upgrade(self, chart: str, chart_version: str | None, values_file: str) -> list[str]:
        """What the plan and its execution have in common, which is what is installed."""
        version = _version(chart_version)
        return [
            "upgrade",
            "--install",
            self.release,
            chart,
            *version,
            f"--values={values_file}",
            "--reset-values",
        ]

    def _run_waiting(self, arguments: list[str], timeout: int) -> None:
        self._run([*arguments, f"--timeout={timeout}s", *self._waiting()], timeout=timeout + 60)

    def _waiting(self) -> list[str]:
        return ["--wait=watcher"] if self.version().major >= 4 else ["--wait"]

    def _command(self, arguments: list[str], *, cluster: bool = True) -> list[str]:
        place = [f"--namespace={self.namespace}"]
        if cluster:
            place.append(f"--kubeconfig={self._kubeconfig}")
            if self._context:
                place.append(f"--kube-context={self._context}")
        return [self._binary, *arguments, *([] if arguments[0] == "version" else place)]

    def _run(self, arguments: list[str], *, cluster: bool = True, timeout: int = 120) -> str:
        try:
            done = subprocess.run(
                self._command(arguments, cluster=cluster),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                env=environment(),
                timeout=timeout,
            )
        except FileNotFoundError:
            raise HelmError(f"there is no program {self._binary}") from None
        except PermissionError:
            raise HelmError(f"{self._binary} may not be run by this user") from None
        except OSError as error:
            raise HelmError(f"{self._binary} can not be run: {error.strerror}") from None
        except subprocess.TimeoutExpired:
            raise HelmError(f"helm {arguments[0]} did not end within {timeout} s") from None
        if done.returncode:
            raise HelmError(clean(done.stderr) or f"helm {arguments[0]} ended with status {done.returncode}")
        return done.stdout

    def _json(self, arguments: list[str], empty: Any = None) -> Any:
        said = self._run(arguments)
        begin = next((position for position, letter in enumerate(said) if letter in "{["), None)
        if begin is None:
            if said.strip() == "null" and empty is not None:
                return empty
            raise HelmError(f"helm {arguments[0]} answered something that is not JSON: {said[:200]!r}")
        return json.loads(said[begin:])


def environment() -> dict[str, str]:
    """The caller's environment without what names a cluster; a proxy or a login to a chart registry stays."""
    return {name: value for name, value in os.environ.items() if not name.startswith(AMBIENT)}


def clean(said: str) -> str:
    """What helm means, from what it prints to the error stream."""
    lines = [line.strip() for line in said.splitlines() if line.strip() and not NOISE.match(line)]
    errors = [line for line in lines if line.startswith("Error:")]
    start = lines.index(errors[-1]) if errors else 0
    text = " ".join(line for line in lines[start:] if not line.startswith("Use --debug flag"))
    return LOCATION.sub("", PREFIX.sub("", text))


def _version(chart_version: str | None) -> list[str]:
    return [f"--version={chart_version}"] if chart_version else []

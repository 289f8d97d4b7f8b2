# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an installation would be: the chart's values with the user's over them, and the objects rendered from both.

Private to this collection.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.alauda.registry.plugins.module_utils import _objects, _values
from ansible_collections.alauda.registry.plugins.module_utils._chart import Chart, ChartError, load, merge
from ansible_collections.alauda.registry.plugins.module_utils._findings import Finding
from ansible_collections.alauda.registry.plugins.module_utils._helm import OLDEST, Helm, HelmError


@dataclass
class Wanted:
    """The values as they would count, and the objects; objects are empty when the chart can not be rendered."""

    namespace: str
    release: str
    values: dict[str, Any] = field(default_factory=dict)
    objects: list[dict[str, Any]] = field(default_factory=list)
    kube_version: str = ""
    made: frozenset[str] = frozenset()
    """Secrets and ConfigMaps that need not be there yet."""

    def value(self, path: str, default: Any = None) -> Any:
        """One value by its dotted name."""
        node: Any = self.values
        for part in path.split("."):
            if not isinstance(node, dict) or part not in node:
                return default
            node = node[part]
        return node

    @property
    def claim(self) -> dict[str, Any] | None:
        """Values of the storage claim, if storage is a claim."""
        pvc = self.value("config.storage.pvc")
        return pvc if isinstance(pvc, dict) else None

    @property
    def bundled_database(self) -> dict[str, Any] | None:
        """Values of the bundled database, if it is the bundled one."""
        managed = self.value("config.metadata.postgresql.managed")
        return managed if isinstance(managed, dict) else None

    def release_objects(self) -> list[dict[str, Any]]:
        """Objects that belong to the release, of kinds that we know; hooks do not."""
        return [item for item in self.objects if _objects.known(item) and not _objects.is_hook(item)]


def read(
    helm: Helm, ref: str, version: str | None, values: dict[str, Any], values_file: str, scratch: str, kube_version: str
) -> tuple[Wanted, list[Finding]]:
    """Read the chart, check the values, render; whatever is wrong with tools, chart or values is a finding."""
    wanted = Wanted(helm.namespace, helm.release, values)
    found = list(_tools(helm))
    if any(finding.need == "helm" for finding in found) and "://" in ref:
        return wanted, found
    try:
        chart = load(ref, version, helm, scratch)
    except ChartError as error:
        cure = "set registry_chart_ref to the chart's folder, its archive (.tgz) or its address (oci://…)"
        return wanted, [*found, Finding("chart", str(error), cure)]
    wanted.kube_version = chart.kube_version
    wanted.values = merge(chart.defaults, values)
    faults = list(_faults(chart, wanted.values))
    found += faults
    if not faults and not any(finding.need == "helm" for finding in found):
        try:
            wanted.objects = _objects.parse(helm.template(ref, version, values_file, kube_version))
        except HelmError as error:
            found.append(contradiction(str(error)))
    return wanted, found


def _tools(helm: Helm) -> Iterator[Finding]:
    cure = f"install Helm {OLDEST.major}.{OLDEST.minor} or later, or set registry_helm_binary to its path"
    try:
        version = helm.version()
    except HelmError as error:
        yield Finding("helm", str(error), cure)
        return
    if version < OLDEST:
        yield Finding("helm", f"helm is version {version}, older than {OLDEST}", cure)


def _faults(chart: Chart, values: dict[str, Any]) -> Iterator[Finding]:
    if _values.jsonschema is None:
        yield Finding(
            "values",
            "values can not be checked: the Python package jsonschema is missing",
            "install it for the Python that runs Ansible's modules (pip install jsonschema)",
            "warning",
        )
        return
    for found, cure in _values.faults(chart.schema, values):
        yield Finding("values", found, cure)


def contradiction(sentence: str) -> Finding:
    """The chart's own sentences have the form 'what: cure'."""
    what, _sep, cure = sentence.partition(": ")
    return Finding("values", what, cure) if cure else Finding("values", sentence, "correct the values")

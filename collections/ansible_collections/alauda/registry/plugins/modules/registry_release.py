#!/usr/bin/python
# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: the Helm release of the registry, present or absent."""

from __future__ import annotations

DOCUMENTATION = r"""
module: registry_release
short_description: Install, upgrade or uninstall the Helm release of the image registry
version_added: 2.0.0
description:
  - Brings the release to what the chart makes of the values, and waits until it is ready.
  - The plan comes from Helm itself (a dry run against the cluster). If objects, hooks and values equal those of the
    deployed
    revision and no object is gone, nothing is done.
  - While it waits it looks at Pods, claims and events, so a failure names what is not ready and why.
  - A first installation that fails is taken back as a whole; an upgrade that fails goes back to the revision that
    worked. A
    release that an interrupted run left behind is repaired.
  - A release that the operator looks after is refused.
  - With O(state=absent) the release goes, APIService first; node trust is taken back by the Pods of node-ca as they
    end.
    Claims, Secrets and the CA stay, and the next installation finds them. See M(alauda.registry.registry_data).
extends_documentation_fragment:
  - alauda.registry._cluster
  - alauda.registry._cluster.chart
  - alauda.registry._cluster.helm
  - alauda.registry._cluster.attributes
  - alauda.registry._cluster.action_group
  - alauda.registry._cluster.migration
options:
  state:
    description: Whether the release shall exist.
    type: str
    choices: [present, absent]
    default: present
  chart_ref:
    description:
      - The chart, as a folder, an archive or an address that Helm can pull (V(oci://registry.example.com/charts/image-registry)).
      - Required for O(state=present).
    type: str
    required: false
  same_chart:
    description:
      - Refuse a chart of another version than the release has. For whoever changes one value of a registry and means no
        upgrade by it.
    type: bool
    default: false
  forget:
    description:
      - Values that the release has and that go where O(values) does not say them, by their names, as V(config.routes).
        A name stands for all that is below it, and V(*) for all values.
      - Others that O(values) does not say are refused by their names, since the registry would lose them. An empty list
        lets none go.
    type: list
    elements: str
    default: ["*"]
  namespace_labels:
    description: Labels that the namespace shall have. A value that somebody else gave it is not overruled.
    type: dict
    default: {}
  timeout:
    description: Seconds to wait for readiness, or for the end of the last Pod.
    type: int
    default: 600
  patience:
    description:
      - Seconds after which waiting ends early when it is in vain, for example because an image can not be pulled.
    type: int
    default: 120
attributes:
  diff_mode:
    support: full
author:
  - Alauda Container Platform (@alauda)
seealso:
  - module: alauda.registry.registry_preflight
  - module: alauda.registry.registry_info
  - module: alauda.registry.registry_data
"""

EXAMPLES = r"""
- name: Install or upgrade the registry
  alauda.registry.registry_release:
    kubeconfig: /etc/kubernetes/admin.conf
    chart_ref: charts/image-registry
    values:
      image:
        registry: registry.example.com
        repository: platform/image-registry
        tag: 2.0.0

- name: Uninstall it and keep every image
  alauda.registry.registry_release:
    kubeconfig: /etc/kubernetes/admin.conf
    state: absent
"""

RETURN = r"""
reasons:
  description: Why something is (or would be) changed.
  returned: always
  type: list
  elements: str
  sample: [objects differ]
revision:
  description: Revision of the release afterwards; 0 if there is none.
  returned: always
  type: int
  sample: 3
findings:
  description: What was not ready and why, in the form of M(alauda.registry.registry_preflight).
  returned: on failure
  type: list
  elements: dict
progress:
  description: What happened, in order, with the seconds since the start.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.alauda.registry.plugins.module_utils import (
    _arguments,
    _chart,
    _release,
    _removal,
    _under_migration,
)
from ansible_collections.alauda.registry.plugins.module_utils._cluster import Cluster, ClusterError
from ansible_collections.alauda.registry.plugins.module_utils._helm import Helm, HelmError
from ansible_collections.alauda.registry.plugins.module_utils._operator_objects import CONFIG
from ansible_collections.alauda.registry.plugins.module_utils._progress import Progress


def main() -> None:
    """Plan, then either show the plan or carry it out."""
    module = AnsibleModule(
        argument_spec={
            **_arguments.cluster_arguments(),
            **_arguments.chart_arguments(),
            "chart_ref": {"type": "str"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "same_chart": {"type": "bool", "default": False},
            "forget": {"type": "list", "elements": "str", "default": ["*"]},
            "namespace_labels": {"type": "dict", "default": {}},
            "timeout": {"type": "int", "default": 600},
            "patience": {"type": "int", "default": 120},
            **_under_migration.arguments(),
        },
        required_if=[("state", "present", ("chart_ref",))],
        supports_check_mode=True,
    )
    cluster = _arguments.connect(module)
    _under_migration.refuse(module, cluster)
    helm = _arguments.helm(module)
    progress = Progress()
    try:
        helm.version()
        _refuse_anothers_release(module, cluster)
        if module.params["state"] == "absent":
            removal = _removal.plan(cluster, helm)
            for reason in removal.reasons:
                progress(reason)
            if removal.reasons and not module.check_mode:
                _removal.apply(cluster, helm, removal, module.params["timeout"], progress)
            module.exit_json(
                changed=bool(removal.reasons),
                reasons=removal.reasons,
                revision=0,
                progress=progress.lines,
                diff={"before": {"objects": removal.objects}, "after": {"objects": []}},
            )
        if module.params["same_chart"]:
            _refuse_another_chart(module, helm)
        order = _release.Order(
            module.params["chart_ref"],
            module.params["chart_version"],
            module.params["values"],
            _arguments.values_file(module),
            module.params["timeout"],
            module.params["patience"],
            {key: str(value) for key, value in module.params["namespace_labels"].items()},
            tuple(module.params["forget"]),
        )
        proposal = _release.plan(cluster, helm, order)
        revision = proposal.revision
        for reason in proposal.reasons:
            progress(reason)
        if proposal.reasons and not module.check_mode:
            revision = int(_release.apply(cluster, helm, order, proposal, progress).get("version", 0))
        module.exit_json(
            changed=bool(proposal.reasons),
            reasons=proposal.reasons,
            revision=revision,
            progress=progress.lines,
            diff={"before": proposal.before, "after": proposal.after} if proposal.reasons else {},
        )
    except _release.ReleaseFailed as error:
        findings = [finding.as_dict() for finding in error.findings]
        module.fail_json(msg=str(error), findings=findings, progress=progress.lines)
    except (HelmError, ClusterError, _chart.ChartError) as error:
        module.fail_json(msg=str(error), findings=[], progress=progress.lines)


def _refuse_another_chart(module: AnsibleModule, helm: Helm) -> None:
    if helm.status() is None:
        return
    ref = module.params["chart_ref"]
    installed = str(helm.chart_of().get("version", ""))
    given = str(_chart.load(ref, module.params["chart_version"], helm, module.tmpdir).metadata.get("version", ""))
    if given != installed:
        module.fail_json(
            msg=f"release {helm.release} is of chart version {installed}, and {ref} is {given}: the release was "
            "not changed, as this would be an upgrade, or the way back from one. Run playbooks/upgrade.yml first, or "
            f"set registry_chart_version={installed} (registry_chart_ref, where the chart is a folder or an archive)",
            findings=[],
            progress=[],
        )


def _refuse_anothers_release(module: AnsibleModule, cluster: Cluster) -> None:
    """One writer for each object: what the operator looks after would be changed back, or made again."""
    config = cluster.find(CONFIG.path) if module.params["release_name"] == _arguments.RELEASE else None
    if config is not None and (config.get("spec") or {}).get("managementState") != "Unmanaged":
        if module.check_mode and module.params["state"] == "absent":
            module.warn(
                "the operator looks after this release: unless an earlier task changes that, it would be refused"
            )
            return
        module.fail_json(
            msg=f"the operator looks after release {_arguments.RELEASE}: nothing was changed. Change Config/cluster "
            "(registry_config, or the roles with registry_install_method: operator), or set its managementState to "
            "Unmanaged first to leave the operator",
            findings=[],
            progress=[],
        )


if __name__ == "__main__":
    main()

"""What is not ready, and why: a Pod's own reason and what to do, from objects as the API has them."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.alauda.registry.plugins.module_utils._readiness import View, counted, hopeless, problems


def workload(kind: str = "Deployment", name: str = "image-registry", ready: int = 1, **status: int) -> dict[str, Any]:
    counts = {"updatedReplicas": 1, "readyReplicas": ready, "observedGeneration": 2, **status}
    return {"kind": kind, "metadata": {"name": name, "generation": 2}, "spec": {"replicas": 1}, "status": counts}


def pod(*statuses: dict[str, Any], phase: str = "Running", **more: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "image-registry-0"},
        "spec": more.pop("spec", {}),
        "status": {"phase": phase, "containerStatuses": list(statuses), **more},
    }


def waiting(reason: str, message: str = "", /, **last: Any) -> dict[str, Any]:
    state = {"waiting": {"reason": reason, "message": message}}
    return {"name": "registry", "ready": False, "state": state, "lastState": {"terminated": last} if last else {}}


def event(
    reason: str, message: str, kind: str = "Pod", name: str = "image-registry-0", when: str = "2"
) -> dict[str, Any]:
    return {
        "reason": reason,
        "message": message,
        "involvedObject": {"kind": kind, "name": name},
        "lastTimestamp": f"2026-01-01T00:00:0{when}Z",
    }


def said(view: View) -> str:
    return "\n".join(f"[{finding.need}] {finding.sentence()}" for finding in problems(view))


def test_nothing_is_said_when_all_is_well() -> None:
    good = pod({"name": "registry", "ready": True, "state": {"running": {}}})
    done = pod({"name": "job", "ready": False, "state": {"terminated": {"exitCode": 0}}}, phase="Succeeded")
    available = {"status": {"conditions": [{"type": "Available", "status": "True"}]}}
    view = View([workload()], [good, done], [], [event("Unhealthy", "once, long ago")], {}, available)
    assert problems(view) == []


@pytest.mark.parametrize(
    ("status", "expected", "cure"),
    [
        (
            waiting("ErrImagePull", "not found"),
            "[ErrImagePull] Pod image-registry-0, container registry",
            "registry_image",
        ),
        (waiting("ImagePullBackOff", "Back-off pulling"), "[ImagePullBackOff]", "global.imagePullSecrets"),
        (waiting("CreateContainerConfigError", 'secret "db" not found'), 'secret "db" not found', "make the Secret"),
        (waiting("CrashLoopBackOff", exitCode=3, reason="Error"), "it ended with status 3", "log"),
        (waiting("CrashLoopBackOff", exitCode=137, reason="OOMKilled"), "[OOMKilled]", "config.resources"),
        (
            {"name": "registry", "ready": False, "state": {"terminated": {"exitCode": 2, "reason": "Error"}}},
            "it ended with status 2 (Error)",
            "log",
        ),
    ],
    ids=["no image", "backing off", "no secret", "crashing", "out of memory", "ended"],
)
def test_a_container_that_waits_says_why(status: dict[str, Any], expected: str, cure: str) -> None:
    view = View([workload(ready=0)], [pod(status)])
    first = said(view).splitlines()[0]
    assert expected in first
    assert cure in first
    assert "Deployment image-registry has 0 of 1 Pods ready" in said(view)


def test_the_end_of_the_log_is_told() -> None:
    view = View(
        pods=[pod(waiting("CrashLoopBackOff", exitCode=1))], logs={"image-registry-0/registry": "no route to host"}
    )
    assert "its log ends: no route to host" in said(view)


def test_a_pod_that_fits_nowhere_says_why() -> None:
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/3 nodes are available: 3 Insufficient memory.",
    }
    view = View(pods=[pod(phase="Pending", conditions=[condition])])
    assert "[Unschedulable] Pod image-registry-0: 0/3 nodes are available: 3 Insufficient memory.: add a node" in said(
        view
    )


def test_a_pod_that_is_being_made_says_what_its_newest_event_says() -> None:
    view = View(
        pods=[pod(waiting("ContainerCreating"), phase="Pending")],
        events=[event("FailedMount", "timed out", when="1"), event("FailedAttachVolume", "multi-attach", when="3")],
    )
    assert said(view).startswith(
        "[FailedAttachVolume] Pod image-registry-0: FailedAttachVolume: multi-attach: the volume"
    )


def test_a_container_that_runs_but_is_not_ready_says_what_its_probe_says() -> None:
    view = View(
        pods=[pod({"name": "registry", "ready": False, "state": {"running": {}}})],
        events=[event("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503")],
    )
    assert "statuscode: 503" in said(view)


@pytest.mark.parametrize(("times", "worth_a_word"), [(1, False), (4, False), (5, True)])
def test_the_first_failures_of_a_startup_probe_alarm_nobody(times: int, worth_a_word: bool) -> None:
    refused = event("Unhealthy", "Startup probe failed: connection refused") | {"count": times}
    view = View(pods=[pod({"name": "registry", "ready": False, "state": {"running": {}}})], events=[refused])
    assert ("connection refused" in said(view)) is worth_a_word


def claim(name: str = "image-registry-storage", phase: str = "Pending", **spec: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": spec, "status": {"phase": phase}}


CLAIMING = {"volumes": [{"name": "storage", "persistentVolumeClaim": {"claimName": "image-registry-storage"}}]}


def test_a_claim_that_nobody_serves_says_why() -> None:
    failed = event("ProvisioningFailed", "quota exceeded", "PersistentVolumeClaim", "image-registry-storage")
    view = View(pods=[pod(phase="Pending", spec=CLAIMING)], claims=[claim(storageClassName="fast")], events=[failed])
    assert "claim image-registry-storage is not bound: quota exceeded: check the StorageClass" in said(view)


def test_a_claim_without_a_class_says_so() -> None:
    view = View(pods=[pod(phase="Pending", spec=CLAIMING)], claims=[claim()])
    assert "names no StorageClass and the cluster has no default one" in said(view)


def test_a_claim_that_waits_for_its_first_pod_is_no_problem() -> None:
    assert problems(View(claims=[claim(storageClassName="fast"), claim("somebody-elses")])) == []


def test_pods_that_may_not_even_be_made_are_told_until_they_are() -> None:
    refused = event("FailedCreate", "violates PodSecurity restricted", "DaemonSet", "node-ca")
    missing = workload("DaemonSet", "node-ca")
    missing["status"] = {"desiredNumberScheduled": 2, "numberReady": 0, "observedGeneration": 2}
    view = View([missing], events=[refused])
    assert "[FailedCreate] DaemonSet node-ca: violates PodSecurity restricted" in said(view)
    missing["status"] |= {"numberReady": 2, "updatedNumberScheduled": 2}
    assert problems(view) == []


def test_an_api_service_that_is_not_available_says_why() -> None:
    condition = {"type": "Available", "status": "False", "reason": "MissingEndpoints", "message": "no endpoints"}
    view = View(api_service={"status": {"conditions": [condition]}})
    assert "not available: MissingEndpoints: no endpoints" in said(view)


def test_a_rollout_that_was_not_looked_at_yet_is_not_ready() -> None:
    assert counted(workload())["is_ready"]
    assert not counted(workload(observedGeneration=1))["is_ready"]
    assert not counted(workload(updatedReplicas=0))["is_ready"]


def test_a_workload_scaled_to_nothing_is_ready() -> None:
    item = workload(ready=0, updatedReplicas=0)
    item["spec"]["replicas"] = 0
    assert counted(item)["is_ready"]


def test_pods_on_their_way_out_are_not_blamed() -> None:
    leaving = pod(waiting("ErrImagePull"))
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert problems(View(pods=[leaving])) == []


def test_only_what_waiting_does_not_cure_is_hopeless() -> None:
    view = View(pods=[pod(waiting("ImagePullBackOff")), pod(waiting("CrashLoopBackOff", exitCode=1))])
    assert [finding.need for finding in hopeless(problems(view))] == ["ImagePullBackOff"]


def test_a_renewal_that_failed_is_told_until_one_succeeds_and_stops_nothing() -> None:
    failed = pod({"name": "api-service", "ready": False, "state": {"terminated": {"exitCode": 1}}}, phase="Failed")
    failed["metadata"] |= {"labels": {"app.kubernetes.io/component": "certificates"}, "creationTimestamp": "1"}
    (finding,) = problems(View(pods=[failed]))
    assert finding.need == "RenewalFailed"
    assert finding.severity == "warning"
    later = {**failed, "metadata": {**failed["metadata"], "creationTimestamp": "2"}, "status": {"phase": "Succeeded"}}
    assert problems(View(pods=[failed, later])) == []

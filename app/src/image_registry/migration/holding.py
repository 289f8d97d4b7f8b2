"""One migration in a cluster, by one journal: a Lease says whose it is, from the first run to the end or the way back.

A journal is a file of one machine. Whoever began anew elsewhere, or after the journal was lost, would save what is
changed already as what was before, and a rollback would restore nothing. So the Lease names the journal, and another
one is refused. Clocks of two machines are never compared: who is at work writes a sign, and a sign that does not change
for its time is of nobody.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.errors import ClusterUnreachable, KubeError
from image_registry.migration.actions import Context
from image_registry.migration.journal import Journal
from image_registry.migration.plan import Plan

NAME = "image-registry-migration"
GROUP_VERSION = "coordination.k8s.io/v1"
PLAN = "imageregistry.alauda.io/migration-plan"
OWNER = "imageregistry.alauda.io/migration-owner"
PROCESS = "imageregistry.alauda.io/migration-process"
"""Who is at work now; empty between two runs."""

DURATION = 30
"""Seconds for which a sign of life counts."""

KEPT = 8.0
"""Seconds between two signs."""

LOOK = 2.0
TRIES = 3

Lease = dict[str, Any]


class Held(Exception):
    """Somebody else has it, or nobody knows. The text says who, and what to do."""


class Hold:
    """While a run or a rollback is at work."""

    def __init__(self, context: Context, journal: Journal) -> None:
        self._client, self._context, self._journal = context.client, context, journal
        self._namespace = context.plan.source_namespace
        self._host = os.uname().nodename
        self._process = f"{self._host}/{os.getpid()}"
        self._end = threading.Event()
        self._lost = ""
        self._lease: Lease = {}
        self._keeper = threading.Thread(target=self._keep, name="migration lease", daemon=True)

    def take(self) -> None:
        """Raises :class:`Held`; nothing was written then."""
        for _ in range(TRIES):
            try:
                stands = self._client.find(lease_path(self._namespace))
                self._judge(stands)
                self._lease = self._write(stands)
            except KubeError as error:
                if error.conflict:
                    continue  # somebody was faster: see who
                raise Held(self._unknown(error)) from None
            except ClusterUnreachable as error:
                raise Held(self._unknown(error)) from None
            self._keeper.start()
            return
        raise Held(f"the Lease {self._place} is written by somebody else all the time: wait for the end of that run")

    def look(self) -> None:
        """Whether it could be taken; nothing is written. Raises :class:`Held`."""
        try:
            self._judge(self._client.find(lease_path(self._namespace)))
        except (KubeError, ClusterUnreachable) as error:
            raise Held(self._unknown(error)) from None

    def see_to_it(self) -> None:
        """Before each step. Raises :class:`Held` when somebody has taken it away."""
        if self._lost:
            raise Held(self._lost)

    def release(self, *, over: bool) -> None:
        """``over``: nothing is left to be done, or everything is taken back. Else the journal keeps it."""
        self._end.set()
        self._keeper.join()
        if self._lost:
            return
        try:
            if over:
                self._client.delete(lease_path(self._namespace))
            else:
                self._client.replace(lease_path(self._namespace), self._made(self._lease, process=""))
        except (KubeError, ClusterUnreachable) as error:
            cure = f"remove it: kubectl delete lease -n {self._namespace} {NAME}" if over else "the next run does it"
            self._context.tell(f"the Lease {self._place} was not given back ({error}): {cure}")

    @property
    def _place(self) -> str:
        return f"{self._namespace}/{NAME}"

    def _unknown(self, error: Exception) -> str:
        return (
            f"the Lease {self._place}, which keeps two people from migrating at a time, cannot be written: {error}. "
            "It takes the rights to get, create, update and delete leases there"
        )

    def _judge(self, stands: Lease | None) -> None:
        if stands is None or not _spec(stands).get("holderIdentity"):
            return
        if is_foreign(stands):
            raise Held(f"{foreign(stands)} Nothing was done; then run again")
        if (
            _spec(stands)["holderIdentity"] != self._journal.identity
            or _said(stands, PLAN) != self._context.plan.digest
        ):
            raise Held(
                f"{described(stands)} has begun to migrate this cluster: go on with that plan and that journal, or "
                "roll it back. A new journal would save what is changed already as what was before. If that journal "
                "is lost, put back by hand what its plan has changed, and only then: "
                f"kubectl delete lease -n {self._namespace} {NAME}"
            )
        process = _said(stands, PROCESS)
        if process and process.rpartition("/")[0] != self._host:  # on this machine the lock of the journal has said it
            self._wait_for_silence(stands, process)

    def _wait_for_silence(self, stands: Lease, process: str) -> None:
        sign, began = _spec(stands).get("renewTime"), self._context.clock()
        self._context.tell(f"process {process} has run this journal: waiting {DURATION} s whether it still does")
        while self._context.clock() - began < DURATION:
            self._context.sleep(LOOK)
            now = self._client.find(lease_path(self._namespace)) or {}
            if not _said(now, PROCESS):
                return
            if _spec(now).get("renewTime") != sign:
                raise Held(f"a copy of this journal is in use by process {process}: wait for its end")

    def _write(self, stands: Lease | None) -> Lease:
        self._journal.identify()  # on the disk before the Lease names it
        if stands is None:
            return self._client.create(lease_path(self._namespace).rpartition("/")[0], self._made({}))
        return self._client.replace(lease_path(self._namespace), self._made(stands))

    def _made(self, stands: Mapping[str, Any], process: str | None = None) -> Lease:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        metadata = dict(stands.get("metadata") or {"name": NAME, "namespace": self._namespace})
        metadata["annotations"] = {
            **(metadata.get("annotations") or {}),
            PLAN: self._context.plan.digest,
            OWNER: f"{os.environ.get('USER') or os.getuid()}@{self._host}",
            PROCESS: self._process if process is None else process,
        }
        spec = {
            "holderIdentity": self._journal.identity,
            "leaseDurationSeconds": DURATION,
            "acquireTime": _spec(stands).get("acquireTime") or now,
            "renewTime": now,
        }
        return {"apiVersion": GROUP_VERSION, "kind": "Lease", "metadata": metadata, "spec": spec}

    def _keep(self) -> None:
        while not self._end.wait(KEPT):
            self.renew()
            if self._lost:
                return

    def renew(self) -> None:
        """A sign of life; a cluster that does not answer is asked again."""
        try:
            self._lease = self._client.replace(lease_path(self._namespace), self._made(self._lease))
        except KubeError as error:
            if error.conflict or error.not_found:
                self._look_again()
        except ClusterUnreachable:
            return

    def _look_again(self) -> None:
        with suppress(KubeError, ClusterUnreachable):
            stands = self._client.find(lease_path(self._namespace))
            spec = _spec(stands or {})
            if (
                stands
                and spec.get("holderIdentity") == self._journal.identity
                and _said(stands, PROCESS) == self._process
            ):
                self._lease = stands
                return
            who = described(stands) if stands else "nobody"
            self._lost = (
                f"the Lease {self._place} was taken away while this ran, and {who} has it now: see who did that"
            )


@contextmanager
def holding(hold: Hold, journal: Journal) -> Iterator[Hold]:
    """Taken inside, and given back whatever happens; for good when no step is left to be done, or to be taken back."""
    hold.take()
    try:
        yield hold
    finally:
        hold.release(over=not any(journal.left()) or not journal.touched)


def held_by(plan: Plan, client: ClusterClient) -> str:
    """For people; empty for nobody. Raises ``KubeError`` and ``ClusterUnreachable``."""
    found = client.find(lease_path(plan.source_namespace))
    return "" if found is None or not _spec(found).get("holderIdentity") else described(found)


def described(lease: Mapping[str, Any]) -> str:
    """Who, with what, since when."""
    spec, process = _spec(lease), _said(lease, PROCESS)
    at_work = f", process {process}, last seen {spec.get('renewTime')}" if process else ""
    return (
        f"{_said(lease, OWNER) or 'somebody'} (plan {_said(lease, PLAN)}, journal {spec.get('holderIdentity')}, since "
        f"{spec.get('acquireTime')}{at_work})"
    )


def foreign(lease: Mapping[str, Any]) -> str:
    """Whose a Lease is that names no plan, and how it is removed."""
    metadata, spec = lease.get("metadata") or {}, _spec(lease)
    namespace = metadata.get("namespace")
    makers = sorted(
        {str(entry.get("manager")) for entry in metadata.get("managedFields") or () if entry.get("manager")}
    )
    since = spec.get("acquireTime") or spec.get("renewTime") or "an unknown time"
    return (
        f"the Lease {namespace}/{NAME} stands, by which a migration says that it is under way, but it names no plan, "
        f"so no migration made it: held by {spec.get('holderIdentity')} since {since}, there since "
        f"{metadata.get('creationTimestamp') or 'an unknown time'}, written by {', '.join(makers) or 'somebody'}. Find "
        f"out who needs it; if nobody does, remove it: kubectl delete lease -n {namespace} {NAME}."
    )


def is_foreign(lease: Mapping[str, Any]) -> bool:
    """Whether somebody holds it who is no migration."""
    return bool(_spec(lease).get("holderIdentity")) and not _said(lease, PLAN)


def lease_path(namespace: str) -> str:
    """Of the one Lease that there is."""
    return object_path(GROUP_VERSION, "leases", NAME, namespace=namespace)


def _spec(lease: Mapping[str, Any]) -> Mapping[str, Any]:
    return lease.get("spec") or {}


def _said(lease: Mapping[str, Any], name: str) -> str:
    return str(((lease.get("metadata") or {}).get("annotations") or {}).get(name, ""))

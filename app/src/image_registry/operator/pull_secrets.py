"""Managed pull Secrets: one for every ServiceAccount, with a token of its own, kept good by whoever leads (ADR 55).

Led by the state: everything is listed at the beginning, told by watches after that and listed again from time to time;
whatever may have changed is looked at, and written only where it is not as it should be. A restart writes nothing.
"""

from __future__ import annotations

import math
import secrets
import string
import threading
import time
from collections.abc import Callable
from functools import partial

import structlog
from prometheus_client import CollectorRegistry

from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.errors import ClusterUnreachable, KubeconfigError, KubeError
from image_registry.kube.events import Events
from image_registry.kube.own_access import Right, missing
from image_registry.operator import pull_secret_failures
from image_registry.operator.conditions import Condition
from image_registry.operator.config_values import UNMANAGED
from image_registry.operator.operand import CONFIG
from image_registry.operator.pull_secret_condition import STARTING, Health, condition
from image_registry.operator.pull_secret_failures import LASTING, Failures, is_behind, is_not_found
from image_registry.operator.pull_secret_metrics import PullSecretMetrics
from image_registry.operator.pull_secret_plan import (
    Action,
    Renew,
    Surroundings,
    plan,
    plan_binding,
    renewed_at,
)
from image_registry.operator.pull_secret_questions import Question, Questions
from image_registry.operator.pull_secret_settings import SERVICE, PullSecretOptions, Settings, settings
from image_registry.operator.pull_secret_sources import COLLECTIONS, Key, Sources
from image_registry.operator.pull_secret_view import View
from image_registry.operator.pull_secret_writes import NameTaken, Writes
from image_registry.operator.signing_keys import SigningKeys
from image_registry.operator.work_queue import Pace, Restraint, WorkQueue

COMPONENT = "cluster-image-registry-operator"

LIST_AGAIN = 900.0
SETTINGS_AGAIN, KEYS_AGAIN, RIGHTS_AGAIN = 30.0, 60.0, 20.0
"""Seconds after which something is asked for again, whatever was told."""

SOONEST = 60.0
"""Seconds between two tokens of one Secret, at least, whatever clocks say."""

WRITTEN_AT_ONCE, WRITTEN_AGAIN = 10, 6.0
"""Times that something of one ServiceAccount is put right at once, and seconds after which it is once more: somebody
else may copy Secrets with their labels, or keep an edit, and would do so as fast as we undo it."""

ROUNDS = 4
"""Plans in a row for one ServiceAccount: a name, a Secret, and what had to be deleted before."""

RIGHTS = (
    *(Right(verb, "", "namespaces") for verb in ("list", "watch")),
    *(Right(verb, "", "serviceaccounts") for verb in ("get", "list", "patch", "watch")),
    Right("create", "", "serviceaccounts", "token"),
    *(Right(verb, "", "secrets") for verb in ("create", "delete", "list", "patch", "watch")),
    *(Right(verb, "rbac.authorization.k8s.io", "rolebindings") for verb in ("create", "list", "watch")),
)
_SUFFIX = string.ascii_lowercase + string.digits


class PullSecrets:
    """One term of the process that leads."""

    def __init__(
        self,
        client: ClusterClient,
        options: PullSecretOptions,
        registry: CollectorRegistry,
        changed: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._options = options
        self._changed = changed
        self._clock = clock
        self._ahead = 0.0
        self._view = View()
        self._queue: WorkQueue[Key] = WorkQueue()
        self._pace = Pace(options.calls_per_second)
        self._restraint: Restraint[Key] = Restraint(WRITTEN_AT_ONCE, WRITTEN_AGAIN)
        self._sources = Sources(client, options.namespace, self._view, self._look_at_now, self._ask)
        self._writes = Writes(client, self._view, self._call)
        self._metrics = PullSecretMetrics(registry, self._managed, lambda: float(self._queue.waiting()), self._ends)
        self._events, self._lock = Events(client, COMPONENT), threading.Lock()
        self._settings = Settings(state=UNMANAGED)
        self._keys = SigningKeys()
        self._taken: set[Key] = set()
        self._failures = Failures()
        self._missing: tuple[Right, ...] = ()
        self._refused = True
        self._settled = False
        self._told: Condition | None = None
        # settings and keys before the lists, for these are compared with them
        questions: dict[str, Question] = {
            "settings": (self._read_settings, SETTINGS_AGAIN),
            "keys": (self._read_keys, KEYS_AGAIN),
            **{resource: (partial(self._list, resource), LIST_AGAIN) for resource in COLLECTIONS},
            "rights": (self._check_rights, RIGHTS_AGAIN),
        }
        self._questions = Questions(questions, self._was_refused)
        self._listed: set[str] = set()
        self._wake = threading.Event()

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop``."""
        watches = self._sources.watches()
        for watch in watches:
            watch.start()
        workers: list[threading.Thread] = []
        try:
            while not stop.is_set():
                self._wake.clear()
                self._questions.ask_due()
                if not workers and len(self._listed) == len(COLLECTIONS):
                    workers = self._start(stop)
                self._tell()
                self._wake.wait(1.0)
        finally:
            for watch in watches:
                watch.stop()
            self._queue.close()
            for worker in workers:
                worker.join(15)

    def condition(self) -> Condition:
        """How it is, for ``Config.status``."""
        return self._told or STARTING

    def _start(self, stop: threading.Event) -> list[threading.Thread]:
        found = [
            threading.Thread(target=self._work, args=(stop,), name=f"pull secrets {number}", daemon=True)
            for number in range(self._options.workers)
        ]
        for worker in found:
            worker.start()
        return found

    def _ask(self, what: str) -> None:
        self._questions.ask_soon(what)
        self._wake.set()

    def _read_settings(self) -> None:
        self._call()
        config = self._client.find(CONFIG)
        self._call()
        service = self._client.find(object_path("v1", "services", SERVICE, namespace=self._options.namespace))
        found = settings(config, service, self._options)
        if found != self._settings:
            structlog.get_logger().info("pull Secrets", state=found.state, hosts=sorted(found.hosts))
            self._settings, self._settled = found, False
            self._look_at_all()

    def _read_keys(self) -> None:
        self._call()
        if self._keys.read(self._client):
            self._look_at_all()

    def _was_refused(self) -> None:
        self._refused = True

    def _check_rights(self) -> None:
        """Only when something was refused: which right is it?"""
        if not self._refused and not self._missing:
            return
        self._refused = False
        self._missing = tuple(missing(self._client, RIGHTS))

    def _list(self, resource: str) -> None:
        self._call()
        self._sources.list(resource)
        self._listed.add(resource)
        if len(self._listed) == len(COLLECTIONS):
            self._look_at_all()

    def _look_at_now(self, key: Key) -> None:
        self._queue.add(key, urgent=True)

    def _look_at_all(self) -> None:
        for namespace in self._view.namespaces():
            self._queue.add((namespace, ""))
        for key in self._view.accounts():
            self._queue.add(key)

    def _work(self, stop: threading.Event) -> None:
        while not stop.is_set():
            key = self._queue.take(1.0)
            if key is None:
                continue
            try:
                self._look_at(key)
                self._failures.forget(key)
            except (KubeError, ClusterUnreachable, KubeconfigError) as error:
                self._try_later(key, error)
            except Exception as error:  # noqa: BLE001 - one that nobody foresaw must not end the work for all others
                self._try_later(key, error)
            finally:
                self._queue.done(key)

    def _look_at(self, key: Key) -> None:
        namespace, name = key
        if not self._view.is_active(namespace):
            return
        if not name:
            planned = plan_binding(namespace, self._view.binding(namespace), self._settings)
            if (planned.delete or planned.write) and not self._later(key):
                self._writes.bind(namespace, planned)
            return
        written = False
        for _ in range(ROUNDS):
            around, now = self._around(), self._clock() + self._ahead
            suffix = "".join(secrets.choice(_SUFFIX) for _ in range(5))
            found = plan(*self._view.account(namespace, name), around, now, suffix)
            if not found.actions:
                if found.again:
                    self._queue.add(key, max(found.again - now, SOONEST))
                return
            if not written and self._later(key):
                return
            written = True
            if self._do(key, found.actions, around.settings.hosts):
                return
        self._queue.add(key, pull_secret_failures.FIRST_PAUSE)

    def _later(self, key: Key) -> bool:
        """Whether something has been written so often that it has to wait; then it comes again."""
        pause = self._restraint.pause(key)
        if pause:
            self._queue.add(key, pause)
        return pause > 0

    def _do(self, key: Key, actions: tuple[Action, ...], hosts: frozenset[str]) -> bool:
        """One plan; says whether there is a new token."""
        renewed = False
        for action in actions:
            try:
                written = self._writes.do(action, hosts)
            except NameTaken as error:
                self._taken.add((key[0], str(error)))
                return False
            if written is not None and written.content is not None:
                renewed = True
                said = written.content
                self._ahead = said.issued - self._clock()
                self._metrics.wrote(action.why if isinstance(action, Renew) else "new")
                self._queue.add(key, max(renewed_at(written) - said.issued, SOONEST))
                if self._keys.issued(said.key):
                    self._ask("keys")
        return renewed

    def _around(self) -> Surroundings:
        return Surroundings(settings=self._settings, keys=self._keys.good, taken=frozenset(self._taken))

    def _try_later(self, key: Key, error: Exception) -> None:
        if not key[1] and is_not_found(error) and not self._view.knows(key[0]):
            self._failures.forget(key)  # the namespace is gone; one that is only new is told of, and comes again
            return
        self._metrics.failed()
        times, pause = self._failures.add(key, error)
        if is_behind(error) and key[1]:
            self._look_live(key)
            pause = pause / 5
        elif isinstance(error, KubeError) and error.forbidden:
            self._was_refused()
        self._queue.add(key, pause)
        if times == LASTING:
            what = f"ServiceAccount {key[0]}/{key[1]}" if key[1] else f"namespace {key[0]}"
            status = error.status if isinstance(error, KubeError) else 0
            structlog.get_logger().warning("no pull Secret", of=what, status=status, reason=str(error) or repr(error))
            self._say(key, str(error) or repr(error))

    def _look_live(self, key: Key) -> None:
        try:
            self._writes.look(*key)
        except (KubeError, ClusterUnreachable, KubeconfigError):
            return  # it is tried again anyway

    def _say(self, key: Key, reason: str) -> None:
        account, _ = self._view.account(*key)
        if account is None:
            return
        metadata = {"name": account.name, "namespace": account.namespace, "uid": account.uid}
        about = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}
        with self._lock:
            self._events.tell(about, "Warning", "PullSecretFailed", f"no pull Secret for the image registry: {reason}")

    def _tell(self) -> None:
        """Have the condition written when it is another one."""
        if len(self._listed) == len(COLLECTIONS) and not self._queue.waiting():
            self._settled = True
        now = self._condition()
        if now != self._told:
            self._told = now
            self._changed()

    def _condition(self) -> Condition:
        return condition(
            Health(
                state=self._settings.state,
                settled=self._settled,
                missing=self._missing,
                broken=self._questions.broken,
                failed=self._failures.lasting(),
            )
        )

    def _call(self) -> None:
        self._pace.wait()
        self._metrics.called()

    def _managed(self) -> float:
        return float(sum(held.content is not None for held in self._view.held()))

    def _ends(self) -> float:
        ends = [held.content.expires for held in self._view.held() if held.content is not None]
        return min(ends) - self._clock() - self._ahead if ends else math.inf

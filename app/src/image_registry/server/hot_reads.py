"""Gives kept answers again, right where a connection is read: most of what a cluster asks was asked a moment ago.

For each request, in this order: it is one of the simple ones, byte for byte; the application has answered it before; no
repository that matters has changed since, which the database says once for all requests that are there together; the
files behind a blob are the same; and the gate, the same one that the application asks, lets this caller have it now. If
anything is missing, nothing is answered, and the request goes the usual way. So every refusal and every doubt is the
application's. That a blob is not there is said here in its words, when the storage has been asked.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from email.utils import formatdate
from typing import Any, NamedTuple

from gunicorn import SERVER  # type: ignore[import-untyped]

from image_registry.auth.access import AuthorizationUnavailable, list_streams
from image_registry.auth.gate import Caller, Gate, Refused
from image_registry.auth.identity import AuthenticationUnavailable, InvalidCredentials
from image_registry.auth.trail import Trail
from image_registry.kube.no_waiting import NotRemembered, never_wait
from image_registry.metadata.follower import Follower, NotNow
from image_registry.oci.reference import Repository
from image_registry.server import patterns
from image_registry.server.kept_answers import Answer, KeptAnswers, Key, stamp
from image_registry.server.learning import answer_of
from image_registry.server.observation import Observer, Record
from image_registry.server.request_head import Simple, recognize
from image_registry.storage.blob_store import RENEWED, BlobStore

_NO = (
    AuthenticationUnavailable,
    AuthorizationUnavailable,
    InvalidCredentials,
    NotRemembered,
    Refused,
)
"""Why nobody is answered here: the application says it in the words of the protocol."""


class Given(NamedTuple):
    """A kept answer for a caller who may have it."""

    request: Simple
    answer: Answer
    caller: Caller
    request_id: str

    @property
    def sends_file(self) -> bool:
        """Whether the body is a file that follows :attr:`bytes`."""
        return bool(self.answer.file) and self.request.method == "GET"


class HotReads:
    """One for each worker. Learns in every thread, answers in one.

    Without ``files`` large blobs are the application's: where reads are limited, each of those needs a place.
    """

    def __init__(
        self,
        gate: Gate,
        store: BlobStore,
        follower: Follower,
        observer: Observer,
        *,
        files: bool = True,
        promise: float = RENEWED,
    ) -> None:
        self._gate = gate
        self._store = store
        self._follower = follower
        self._observer = observer
        self._files = files
        self._promise = int(promise * 1e9)
        self.kept = KeptAnswers()
        self.given = 0
        """Answers given again."""
        self._fresh = False
        self._callers: dict[tuple[str | None, str, str], Caller | None] = {}
        self._second = 0
        self._start = b""

    # learning

    def known(self) -> int:
        """What is known before the application is asked: its answer is at least as new."""
        return self._follower.revision

    def learn(
        self,
        environ: dict[str, Any],
        left: Trail,
        at: int,
        status: str,
        headers: Sequence[tuple[str, str]],
        body: bytes | None,
    ) -> None:
        """Keep an answer that the application has just made; ``body`` is ``None`` for a file."""
        made = answer_of(environ, left, at, status, headers, body, self._store)
        if made is not None and (self._files or not made[1].file):
            self.kept.keep(*made)

    # answering

    def begin(self) -> None:
        """To be called once by the thread that answers, before all else."""
        never_wait()

    def next_batch(self) -> None:
        """More requests have arrived: what was true for those before is asked again."""
        self._fresh = False
        self._callers.clear()

    def knows(self, data: bytes) -> bool:
        """Whether there is an answer that could be given again; for any thread."""
        request = recognize(data)
        if request is None:
            return False
        absent = patterns.absence_key(request.method, request.target, self._observer.request_id(request.request_id))
        return _key(request) in self.kept or (absent is not None and absent in self.kept)

    def find(self, data: bytes) -> Given | None:
        """The answer to a request, given as all the bytes of its head; ``None`` if it is for the application."""
        request = recognize(data)
        if request is None:
            return None
        number = self._observer.request_id(request.request_id)
        key = _key(request)
        answer = self._as_it_was(key) if key in self.kept else None
        if answer is not None and request.range:
            answer = patterns.part_of(answer, request)
        if answer is None:
            key = patterns.absence_key(request.method, request.target, number) or key
            answer = self._absence(key, request.target, number)
        if answer is None:
            return None
        caller = self._permitted(request.authorization, answer)
        if caller is None:
            return None
        self.kept.used(key)
        return Given(request, answer, caller, number)

    def bytes(self, given: Given) -> bytes:
        """What goes over the wire: the head, and the body unless it is a file."""
        now = int(time.time())
        if now != self._second:
            self._second = now
            date = formatdate(now, localtime=False, usegmt=True)
            self._start = f"\r\nServer: {SERVER}\r\nDate: {date}\r\nConnection: keep-alive\r\n".encode()
        answer, number = given.answer, given.request_id.encode()
        return b"HTTP/1.1 %b%b%bX-Request-Id: %b\r\n\r\n%b" % (
            answer.status,
            self._start,
            answer.head,
            number,
            answer.body,
        )

    def finished(self, given: Given, remote: str, seconds: float, *, complete: bool = True) -> None:
        """Tell what was done, as the application's requests are told."""
        request, answer, identity = given.request, given.answer, given.caller.identity
        self.given += 1
        self._observer.finished(
            Record(
                method=request.method,
                path=request.target.partition("?")[0],
                status=int(answer.status[:3]),
                seconds=seconds,
                request_id=given.request_id,
                route=answer.route,
                sent=answer.length,
                remote=remote.removeprefix("::ffff:"),
                agent=request.agent,
                caller=identity.username,
                uid=identity.uid,
                repository=answer.named,
                reference=answer.reference,
                digest=answer.digest,
                decision=answer.decision,
                error=answer.error,
                kept=True,
                complete=complete,
            )
        )

    def _as_it_was(self, key: Key) -> Answer | None:
        """A kept answer, if nothing has ended it."""
        answer = self.kept.find(key) if self._up_to_date() else None
        if answer is None:
            return None
        for path, mark in answer.witnesses:
            if stamp(path) != mark:
                self.kept.drop(key)
                return None
        if answer.keep.blob and key[0] == "HEAD" and self._is_old(answer):
            return None
        return answer

    def _is_old(self, answer: Answer) -> bool:
        """Whether the application has to renew the link, because the caller will rely on it."""
        link = answer.witnesses[0][1] if answer.witnesses else None
        return link is not None and time.time_ns() - link[2] > self._promise

    def _absence(self, key: Key, target: str, request_id: str) -> Answer | None:
        """What the application says about a blob that is not there now; the storage is asked each time."""
        pattern = self.kept.lasting(key)
        if pattern is not None and not pattern.keep.lasting:
            pattern = self._as_it_was(key)
        digest = patterns.named(target) if pattern is not None else None
        lacks = getattr(self._store, "surely_lacks", None)
        if pattern is None or pattern.repository is None or digest is None or lacks is None:
            return None
        return patterns.absence_of(pattern, str(digest), request_id) if lacks(pattern.repository, digest) else None

    def _up_to_date(self) -> bool:
        if not self._fresh:
            try:
                changes = self._follower.changes()
            except NotNow:
                return False
            if changes is None or changes:
                self.kept.note(changes, self._follower.revision)
            self._fresh = True
        return True

    def _permitted(self, authorization: str | None, answer: Answer) -> Caller | None:
        keep = answer.keep
        question = (authorization, keep.action, keep.repository)
        if question in self._callers:
            return self._callers[question]
        try:
            caller: Caller | None = self._gate.identify(authorization)
            if caller is not None and not self._may(caller, keep.action, answer.repository):
                caller = None
        except _NO:
            caller = None
        self._callers[question] = caller
        return caller

    def _may(self, caller: Caller, action: str, repository: Repository | None) -> bool:
        if action == "known":
            return self._gate.tokens is None or caller.claims is not None or not caller.identity.is_anonymous
        if action == "list":
            self._gate.permit_catalog(caller)
            return self._gate.decide(caller.identity, list_streams()).allowed
        if repository is None:
            return False
        self._gate.permit(caller, repository, action)
        return True


def _key(request: Simple) -> Key:
    return patterns.part_key(request.target) if request.range else (request.method, request.target, "")

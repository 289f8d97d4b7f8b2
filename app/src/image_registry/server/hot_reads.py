"""Gives kept answers again, right where a connection is read: most of what a cluster asks was asked a moment ago.

For each request, in this order: it is one of the simple ones, byte for byte; the application has answered it before; no
repository that matters has changed since, which the database says once for all requests that are there together; the
files behind a blob are the same; and the gate, the same one that the application asks, lets this caller have it now. If
anything is missing, nothing is answered, and the request goes the usual way. So every refusal, every miss and every
doubt is the application's.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from email.utils import formatdate
from typing import Any, NamedTuple

from gunicorn import SERVER  # type: ignore[import-untyped]

from image_registry.auth.access import AuthorizationUnavailable, list_streams
from image_registry.auth.gate import Caller, Gate, Refused
from image_registry.auth.identity import AuthenticationUnavailable, InvalidCredentials
from image_registry.auth.trail import Keep, Trail
from image_registry.kube.no_waiting import NotRemembered, never_wait
from image_registry.metadata.follower import Follower, NotNow
from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository
from image_registry.server.kept_answers import LARGEST, Answer, KeptAnswers, head, stamp
from image_registry.server.observation import Observer, Record
from image_registry.server.peer import REMOTE_HEADERS
from image_registry.server.request_head import HARMLESS, Simple, recognize
from image_registry.storage.blob_store import BlobStore

_NO = (
    AuthenticationUnavailable,
    AuthorizationUnavailable,
    InvalidCredentials,
    NotRemembered,
    Refused,
)
"""Why nobody is answered here: the application says it in the words of the protocol."""

_HARMLESS = frozenset(name.decode().upper() for name in HARMLESS)


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
        self, gate: Gate, store: BlobStore, follower: Follower, observer: Observer, *, files: bool = True
    ) -> None:
        self._gate = gate
        self._store = store
        self._follower = follower
        self._observer = observer
        self._files = files
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
        headers: Sequence[tuple[str, str]],
        body: bytes | None,
    ) -> None:
        """Keep an answer (200) that the application has just made; ``body`` is ``None`` for a file."""
        target, keep = str(environ.get("RAW_URI", "")), left.keep
        if keep is None or not target or not _simple(environ.get(REMOTE_HEADERS, ())):
            return
        witnesses = self._witnesses(keep)
        if witnesses is None:
            return
        file = witnesses[-1] if body is None else ""
        length = next((int(value) for name, value in headers if name.lower() == "content-length"), -1)
        marks = [(path, mark) for path in witnesses if (mark := stamp(path)) is not None]
        if len(marks) != len(witnesses) or length < 0 or (body and len(body) != length) or len(body or b"") > LARGEST:
            return
        if file and length <= LARGEST:
            body, file = _read(file, length), ""
            if body is None:
                return
        if file and not self._files:
            return
        method = str(environ.get("REQUEST_METHOD"))
        answer = Answer(
            head=head(headers),
            body=body or b"",
            file=file,
            length=0 if method == "HEAD" else length,
            keep=keep,
            named=left.repository,
            repository=Repository.parse(keep.repository) if keep.repository else None,
            witnesses=tuple(marks),
            at=at,
            route=left.route,
            reference=left.reference,
            digest=left.digest,
            decision=left.decision,
        )
        self.kept.keep((method, target), answer)

    def _witnesses(self, keep: Keep) -> Sequence[str] | None:
        """Paths of what must stay as it is; ``None`` if nobody can tell."""
        if not keep.blob:
            return ()
        find = getattr(self._store, "witnesses", None)
        found: Sequence[str] | None = (
            find(Repository.parse(keep.repository), Digest.parse(keep.blob)) if find is not None else None
        )
        return found

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
        words = data.split(b" ", 2)
        return len(words) == 3 and (words[0].decode("latin-1"), words[1].decode("latin-1")) in self.kept

    def find(self, data: bytes) -> Given | None:
        """The answer to a request, given as all the bytes of its head; ``None`` if it is for the application."""
        request = recognize(data)
        if request is None or (key := request[:2]) not in self.kept or not self._up_to_date():
            return None
        answer = self.kept.find(key)
        if answer is None:
            return None
        for path, mark in answer.witnesses:
            if stamp(path) != mark:
                self.kept.drop(key)
                return None
        caller = self._permitted(request.authorization, answer)
        if caller is None:
            return None
        self.kept.used(key)
        return Given(request, answer, caller, self._observer.request_id(request.request_id))

    def bytes(self, given: Given) -> bytes:
        """What goes over the wire: the head, and the body unless it is a file."""
        now = int(time.time())
        if now != self._second:
            self._second = now
            date = formatdate(now, localtime=False, usegmt=True)
            self._start = f"HTTP/1.1 200 OK\r\nServer: {SERVER}\r\nDate: {date}\r\nConnection: keep-alive\r\n".encode()
        answer, number = given.answer, given.request_id.encode()
        return b"%b%bX-Request-Id: %b\r\n\r\n%b" % (self._start, answer.head, number, answer.body)

    def finished(self, given: Given, remote: str, seconds: float, *, complete: bool = True) -> None:
        """Tell what was done, as the application's requests are told."""
        request, answer, identity = given.request, given.answer, given.caller.identity
        self.given += 1
        self._observer.finished(
            Record(
                method=request.method,
                path=request.target.partition("?")[0],
                status=200,
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
                kept=True,
                complete=complete,
            )
        )

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


def _simple(headers: Iterable[tuple[str, str]]) -> bool:
    """Whether the application was asked without anything that could have changed its answer."""
    return all(name in _HARMLESS for name, _ in headers)


def _read(path: str, length: int) -> bytes | None:
    try:
        with open(path, "rb", buffering=0) as file:
            data = os.pread(file.fileno(), length + 1, 0)
    except OSError:
        return None
    return data if len(data) == length else None

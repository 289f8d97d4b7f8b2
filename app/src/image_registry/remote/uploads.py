"""One upload of a blob, request by request (distribution-spec, "Pushing blobs")."""

from __future__ import annotations

from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from http import HTTPStatus
from urllib.parse import urlencode, urljoin, urlsplit

from image_registry.remote.asking import Access, Question, Questions
from image_registry.remote.bodies import Body
from image_registry.remote.credentials import Login
from image_registry.remote.errors import NotARegistry, RemoteError, Untrusted
from image_registry.remote.reference import RemoteReference
from image_registry.remote.tokens import PUSH, Scope
from image_registry.remote.wire import Answer, Method

OCTETS = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload that has begun; ``login`` is whose it is, if that is known."""

    location: str
    login: Login | None = None


class Uploads:
    """Thread-safe. ``target`` names a blob by its digest everywhere."""

    def __init__(self, questions: Questions) -> None:
        self._questions = questions

    def mount(self, target: RemoteReference, origin: str, access: Access) -> Upload | None:
        """Let the repository have a blob that the repository ``origin`` of the same registry has.

        ``None`` if that was done, else an upload to send it by.
        """
        query = urlencode({"mount": str(target.digest), "from": origin})
        scope = Scope(PUSH.actions, (origin,))
        question = Question("POST", target, f"blobs/uploads/?{query}", scope=scope, body=b"")
        with self._questions.put(question, access) as answer:
            if answer.status == HTTPStatus.CREATED:
                return None
            return read_upload(answer)

    def begin(self, target: RemoteReference, access: Access) -> Upload:
        """An upload without a byte."""
        with self._questions.put(Question("POST", target, "blobs/uploads/", scope=PUSH, body=b""), access) as answer:
            return read_upload(answer)

    def offset(self, target: RemoteReference, upload: Upload, access: Access) -> tuple[Upload, int]:
        """How many bytes of an upload are there, and where it goes on. Raises :class:`NotFound`."""
        with self._go_on("GET", target, upload, access) as answer:
            first, _, last = answer.headers.get("range", "").rpartition("=")[2].partition("-")
            if first != "0" or not last.isdigit():
                return read_upload(answer, upload), 0
            # "0-0" is said of no byte and of one: a byte is soon sent again, from the start
            return read_upload(answer, upload), int(last) + 1 if int(last) else 0

    def whole(self, target: RemoteReference, access: Access, data: bytes) -> Upload | None:
        """A blob with the first request; ``None`` if it was taken, else an upload: the registry wants a second one."""
        path = f"blobs/uploads/?{urlencode({'digest': str(target.digest)})}"
        question = Question("POST", target, path, {"Content-Type": OCTETS}, PUSH, data)
        with self._questions.put(question, access) as answer:
            return None if answer.status == HTTPStatus.CREATED else read_upload(answer)

    def piece(self, target: RemoteReference, upload: Upload, access: Access, offset: int, body: Body, n: int) -> Upload:
        """``n`` more bytes of an upload, which has ``offset`` of them."""
        headers = {"Content-Type": OCTETS, "Content-Range": f"{offset}-{offset + n - 1}"}
        with self._go_on("PATCH", target, upload, access, headers, body) as answer:
            return read_upload(answer, upload)

    def finish(
        self, target: RemoteReference, upload: Upload, access: Access, body: Body, part: tuple[int, int] | None = None
    ) -> None:
        """The last bytes, all or none, and the digest of the whole.

        ``part`` says from where to where, if they are not all: some registries take them for all where nobody says it.
        """
        location = upload.location
        location += ("&" if urlsplit(location).query else "?") + urlencode({"digest": str(target.digest)})
        ended = replace(upload, location=location)
        headers = {"Content-Type": OCTETS} | ({"Content-Range": f"{part[0]}-{part[1]}"} if part else {})
        with self._go_on("PUT", target, ended, access, headers, body):
            pass

    def cancel(self, target: RemoteReference, upload: Upload, access: Access) -> None:
        """Give an upload up; a registry that does not let itself be told forgets it some day."""
        with suppress(RemoteError), self._go_on("DELETE", target, upload, access):
            pass

    def _go_on(
        self,
        method: Method,
        target: RemoteReference,
        upload: Upload,
        access: Access,
        headers: dict[str, str] | None = None,
        body: Body | None = None,
    ) -> AbstractContextManager[Answer]:
        question = Question(method, target, headers=headers or {}, scope=PUSH, body=body, at=upload.location)
        return self._questions.put(question, replace(access, login=upload.login))


def read_upload(answer: Answer, before: Upload | None = None) -> Upload:
    """Where an upload goes on, which may be said relative to what was asked."""
    location = answer.headers.get("location", "")
    if not location:
        if before is not None:
            return before
        raise NotARegistry(f"{urlsplit(answer.url).netloc} takes an upload and does not say where")
    target, asked = urlsplit(urljoin(answer.url, location)), urlsplit(answer.url)
    if target.scheme not in ("http", "https") or not target.hostname or target.username or target.password:
        raise NotARegistry(f"{asked.netloc} sends an upload to something that is no address of the web")
    if target.scheme == "http" and asked.scheme == "https" and target.netloc != asked.netloc:
        raise Untrusted(
            f"{asked.netloc} sends an upload to a server without TLS, {target.netloc}; nothing is sent there"
        )
    scheme = asked.scheme if target.netloc == asked.netloc else target.scheme
    return Upload(target._replace(scheme=scheme).geturl(), answer.login)

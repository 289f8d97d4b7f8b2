"""Blobs and manifests are sent to another registry: what is there is not sent, what breaks off is taken up again.

Small blobs go in one request where the registry takes that, larger ones as a stream, very large ones in pieces. Nothing
is ever deleted but an upload that cannot be finished.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from image_registry.oci import media_types
from image_registry.oci.digest import Digest, InvalidDigest
from image_registry.oci.manifest import Manifest
from image_registry.remote.asking import Access, Question, Questions
from image_registry.remote.errors import Mismatch, NotFound, Refused
from image_registry.remote.reference import RemoteReference
from image_registry.remote.registry import ACCEPT
from image_registry.remote.running import Running
from image_registry.remote.sending import Content, Sending, Telling, blob_digest
from image_registry.remote.tokens import PUSH
from image_registry.remote.uploads import Upload, Uploads

WHOLE = 1 << 20
"""Largest blob that is read before it is sent."""

_OF_DOCKER = frozenset({media_types.DOCKER_MANIFEST, media_types.DOCKER_MANIFEST_LIST})

PIECE = 256 << 20
"""Bytes of one request of a very large blob."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A manifest that the registry has now; ``lists_subject`` if it makes the list of referrers itself."""

    digest: Digest
    lists_subject: bool = False


class Writing:
    """Thread-safe. A blob is named by its digest."""

    def __init__(
        self, questions: Questions, *, sleep: Callable[[float], None] = time.sleep, piece: int = PIECE
    ) -> None:
        self.uploads = Uploads(questions)
        self._questions, self._sleep, self._piece = questions, sleep, piece
        self._in_two: set[str] = set()
        """Servers that do not take a blob with the first request."""

    def blob_size(self, target: RemoteReference, access: Access) -> int | None:
        """Bytes of a blob that the repository has; ``None`` if it has none, or does not exist."""
        question = Question("HEAD", target, f"blobs/{blob_digest(target)}", scope=PUSH)
        try:
            with self._questions.put(question, access) as answer:
                return answer.length or 0
        except NotFound:
            return None

    def manifest_digest(self, target: RemoteReference, access: Access) -> Digest | None:
        """What a tag or digest of the repository means now; ``None`` if it means nothing."""
        question = Question("HEAD", target, f"manifests/{target.wanted}", {"Accept": ACCEPT}, PUSH)
        try:
            with self._questions.put(question, access) as answer:
                return Digest.parse(answer.headers.get("docker-content-digest", ""))
        except (NotFound, InvalidDigest):
            return None

    def put_bytes(self, target: RemoteReference, data: bytes, access: Access, upload: Upload | None = None) -> None:
        """A small blob, with one request if the registry can. Raises :class:`Mismatch` if that is not its digest."""
        digest = blob_digest(target)
        if Digest.of(data, digest.algorithm) != digest:
            raise Mismatch(f"the bytes for {target} have another digest; nothing is sent")
        if upload is None and target.server not in self._in_two:
            upload = self.uploads.whole(target, access, data)
            if upload is None:
                return
            self._in_two.add(target.server)
        self.uploads.finish(target, upload or self.uploads.begin(target, access), access, data)

    def put_blob(
        self,
        target: RemoteReference,
        content: Content,
        access: Access,
        *,
        upload: Upload | None = None,
        telling: Telling | None = None,
    ) -> int:
        """A blob of any size; returns the bytes that were sent. Raises :class:`Mismatch` if it is another one.

        ``upload`` is one that has begun: what the registry has of it is not sent again.
        """
        telling = telling or Telling()
        if content.size <= WHOLE and upload is None:
            with content.open(0) as parts:
                data = Running(blob_digest(target), content.size, str(target)).whole(parts)
            self.put_bytes(target, data, access)
            telling.sent(len(data))
            return len(data)
        return Sending(self.uploads, target, content, access, telling, self._piece, self._sleep).run(upload)

    def put_manifest(self, target: RemoteReference, manifest: Manifest, access: Access) -> Taken:
        """A manifest under a tag or its digest. Raises :class:`Mismatch` if the registry made another one of it."""
        headers = {"Content-Type": manifest.media_type}
        question = Question("PUT", target, f"manifests/{target.wanted}", headers, PUSH, manifest.raw)
        try:
            return self._put_manifest(question, manifest, access)
        except Refused as error:
            if manifest.media_type not in _OF_DOCKER:
                raise
            raise Refused(
                f"{error}. It is a manifest of Docker's media type, and some registries take those of OCI alone (zot "
                'takes both with http.compat: ["docker2s2"])',
                error.code,
            ) from None

    def _put_manifest(self, question: Question, manifest: Manifest, access: Access) -> Taken:
        target = question.source
        with self._questions.put(question, access) as answer:
            said = answer.headers.get("docker-content-digest", "")
            if said.startswith(f"{manifest.digest.algorithm}:") and said != str(manifest.digest):
                raise Mismatch(f"{target.registry} made {said} of {manifest.digest}, which was sent as {target}")
            return Taken(manifest.digest, bool(answer.headers.get("oci-subject")))

"""ImageSignatures: made and deleted, and read as part of their Image (parity reference 1.4)."""

from __future__ import annotations

import base64
import re

from image_registry.image_api import documents, status
from image_registry.image_api.collections import translated
from image_registry.image_api.documents import Document
from image_registry.image_api.kinds import Call
from image_registry.image_api.projections import ReadOnly
from image_registry.image_api.resources import SIGNATURES
from image_registry.image_api.status import BadRequest
from image_registry.imagestreams.problems import Problems
from image_registry.imagestreams.signatures import Signature
from image_registry.oci.digest import Digest, InvalidDigest

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}", re.ASCII)

LARGEST = 1024 * 1024
"""Bytes of the content of one signature."""


class Signatures(ReadOnly):
    """Named ``<image>@<name>``."""

    resource = SIGNATURES

    def get(self, namespace: str, name: str) -> Document:  # noqa: ARG002 - one shape for all
        """Not a verb of its own; a deletion looks first."""
        digest, short = _parts(name)
        with translated(self.resource, name):
            for found in self._editor.signatures(Digest.parse(digest)):
                if found.signature.name == short:
                    return documents.signature(Digest.parse(digest), found)
        raise status.not_found(self.resource.plural, name)

    def delete(
        self,
        namespace: str,  # noqa: ARG002 - same
        name: str,
        *,
        uid: str | None,  # noqa: ARG002 - a signature has none, and never changes
        resource_version: int | None,  # noqa: ARG002 - same
        dry_run: bool,
    ) -> Document | None:
        """Wherever the image is held."""
        digest, short = _parts(name)
        with translated(self.resource, name):
            self._editor.remove_signature(Digest.parse(digest), short, dry_run=dry_run)
        return None

    def check(self, document: Document, problems: Problems) -> None:
        """Everything that is wrong with a signature."""
        metadata = document["metadata"]
        digest, _, short = metadata.get("name", "").partition("@")
        try:
            Digest.parse(digest)
        except InvalidDigest as error:
            problems.invalid("metadata.name", metadata.get("name", ""), f"must be <image>@<name>: {error}")
        if not _NAME.fullmatch(short):
            problems.invalid("metadata.name", short, "the name behind the @ has letters, digits, '.', '_' and '-'")
        for member in ("labels", "annotations"):
            if metadata.get(member):
                problems.forbidden(f"metadata.{member}", "a signature has none")
        for member in ("type", "content"):
            if not document.get(member):
                problems.required(member)
        if len(document.get("content", "")) > LARGEST * 4 // 3:
            problems.too_long("content", LARGEST)

    def create(self, namespace: str, document: Document, call: Call) -> Document:  # noqa: ARG002 - same
        """Keep it; what it is said to say is not believed."""
        name = document["metadata"]["name"]
        digest, short = _parts(name)
        with translated(self.resource, name):
            made = self._editor.add_signature(
                Digest.parse(digest),
                Signature(short, document["type"], base64.b64decode(document["content"])),
                created_by=call.identity.username,
                dry_run=call.dry_run,
            )
        return documents.signature(Digest.parse(digest), made)


def _parts(name: str) -> tuple[str, str]:
    digest, at, short = name.partition("@")
    if not (digest and at and short):
        raise BadRequest(f"{name[:300]!r} does not name an ImageSignature: the form is <image>@<name>")
    return digest, short

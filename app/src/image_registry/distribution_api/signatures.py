"""The signatures extension: simple signing without a place of its own to keep signatures (parity reference 4.2).

Clients of containers/image (podman, skopeo, CRI-O) use it when a registry says ``X-Registry-Supports-Signatures: 1``:
they read signatures with every pull and write them with every push that signs. Signatures by referrers are another
matter and need nothing here.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Any, NoReturn

from flask import Blueprint, Response, jsonify, request

from image_registry.auth.access import sign
from image_registry.distribution_api import answers, callers
from image_registry.distribution_api.parts import Parts
from image_registry.distribution_api.received import Body
from image_registry.imagestreams.errors import MetadataUnavailable
from image_registry.imagestreams.errors import SignatureExists as Exists
from image_registry.imagestreams.errors import TooManySignatures as TooMany
from image_registry.imagestreams.signatures import Signature
from image_registry.oci.digest import Digest
from image_registry.oci.errors import SignatureExists, SignatureInvalid

PATH = "/extensions/v2/<namespace>/<name>/signatures/<digest>"
SUPPORTED = "X-Registry-Supports-Signatures"
VERSION = 2
DEFAULT_TYPE = "AtomicImageV1"
LONGEST = 64 << 10
"""Bytes of the document that brings a signature; one has a few hundred."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)
_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+/-]{0,63}", re.ASCII)
_MEMBERS = {"schemaVersion", "name", "type", "content"}


def blueprint(parts: Parts) -> Blueprint:
    """Routes of the extension."""
    routes = Blueprint("signatures", __name__)

    @routes.get(PATH)
    def get(namespace: str, name: str, digest: str) -> Response:
        repository = answers.repository(namespace, name)
        wanted = answers.digest(digest)
        callers.require(parts, repository, "pull")
        try:
            with answers.translated_unless_down():
                found = parts.streams.signatures(repository, wanted)
        except MetadataUnavailable:
            # podman asks with every pull, and pulls go on without the database; who demands a signature finds none
            answer = jsonify(signatures=[])
            answer.headers["Warning"] = '299 - "the metadata database does not answer: signatures are not shown"'
            return answer
        return jsonify(signatures=[_document(wanted, each) for each in found])

    @routes.put(PATH)
    def put(namespace: str, name: str, digest: str) -> Response:
        repository = answers.repository(namespace, name)
        wanted = answers.digest(digest)
        caller = callers.require(parts, repository, "pull", "push", beside=sign(repository))
        signature = _read(wanted)
        try:
            with answers.translated():
                parts.streams.add_signature(repository, wanted, signature, created_by=caller.identity.username)
        except Exists as error:
            raise SignatureExists(str(error)) from None
        except TooMany as error:
            raise SignatureInvalid(str(error)) from None
        return Response(status=201)

    return routes


def _document(digest: Digest, signature: Signature) -> dict[str, Any]:
    return {
        "schemaVersion": VERSION,
        "name": f"{digest}@{signature.name}",
        "type": signature.type,
        "content": base64.b64encode(signature.content).decode(),
    }


def _read(digest: Digest) -> Signature:
    """The document of this request. Raises :class:`SignatureInvalid`."""
    body, raw = Body(), b""
    while len(raw) <= LONGEST and (part := body.read(LONGEST + 1 - len(raw))):
        raw += part
    if len(raw) > LONGEST:
        _refuse(f"is longer than {LONGEST} bytes")
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        _refuse("is not JSON")
    if not isinstance(document, dict) or not set(document) <= _MEMBERS:
        _refuse(f"must be an object with the members {', '.join(sorted(_MEMBERS))} and no other")
    version, name, kind = document.get("schemaVersion"), document.get("name"), document.get("type", DEFAULT_TYPE)
    if version != VERSION or isinstance(version, bool):
        _refuse(f"must have schemaVersion {VERSION}")
    of, _, own = name.rpartition("@") if isinstance(name, str) else ("", "", "")
    if of != str(digest) or not _NAME.fullmatch(own):
        _refuse(f"must be named {digest}@<name>, the name of at most 128 letters, digits, '.', '_' and '-'")
    if not isinstance(kind, str) or not _TYPE.fullmatch(kind):
        _refuse(f"must have a short type, such as {DEFAULT_TYPE}")
    try:
        content = base64.b64decode(document.get("content", ""), validate=True)
    except (binascii.Error, ValueError, TypeError):
        content = b""
    if not content:
        _refuse("must have its content in base64")
    return Signature(own, kind, content)


def _refuse(why: str) -> NoReturn:
    raise SignatureInvalid(f"the signature {why}: {request.method} {request.path[:300]}")

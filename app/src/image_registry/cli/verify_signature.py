"""``ac adm verify-image-signature``: whether an image is signed by whose key you have, for the name you expect.

Signatures of this kind (AtomicImageV1) are OpenPGP messages. GnuPG's ``gpgv`` verifies them, with the key that was
named and no other; the registry itself believes nothing and keeps no verdict. ``--save`` notes one as an annotation of
the Image, which shows it as the conditions ``Trusted`` and ``ForImage`` of the signature.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from image_registry.cli.connection import Place, cluster_options, here
from image_registry.cli.failures import FAILED, NotThere, Wrong
from image_registry.cli.image_api import path
from image_registry.cli.output import document, note, output_option, problem, rows
from image_registry.cli.switches import switch
from image_registry.imagestreams import verified_signatures
from image_registry.imagestreams.verified_signatures import ANNOTATION as VERIFIED
from image_registry.imagestreams.verified_signatures import Note
from image_registry.oci.digest import Digest

ATOMIC = "AtomicImageV1"
CLAIM = "atomic container signature"
LONGEST = 1 << 20
SECONDS = 30
_GOOD = re.compile(r"^\[GNUPG:\] VALIDSIG ([0-9A-F]{40,64})\b", re.MULTILINE)
_NOT_GOOD = re.compile(r"^\[GNUPG:\] (BADSIG|ERRSIG|EXPSIG|EXPKEYSIG|REVKEYSIG|NODATA)\b", re.MULTILINE)
_ARMOR = re.compile(rb"-----BEGIN PGP PUBLIC KEY BLOCK-----\r?\n(?:.*?\r?\n)?\r?\n(.*?)-----END", re.DOTALL)
_REASONS = {
    "BADSIG": "the bytes are not those that were signed",
    "ERRSIG": "it is not by the key of --public-key",
    "EXPSIG": "the signature has expired",
    "EXPKEYSIG": "the key has expired",
    "REVKEYSIG": "the key was revoked",
    "NODATA": "it is no OpenPGP message",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of one signature; ``problem`` is empty if it is good."""

    name: str
    identity: str = ""
    key: str = ""
    problem: str = ""


@click.command("verify-image-signature")
@click.argument("image", metavar="DIGEST", help="The Image: sha256:…")
@click.option("--expected-identity", "identity", default="", metavar="NAME", help="Name the image must be signed for.")
@click.option(
    "--public-key", "key", type=click.Path(path_type=Path, exists=True, dir_okay=False), default=None,
    help="File with the public keys that are believed, armored or not.",
)  # fmt: skip
@switch("--save", default=False, help_="Note the good ones in an annotation of the Image, if you may update it.")
@switch("--remove-all", default=False, help_="With --save: take the note away.")
@output_option("json", "yaml")
@cluster_options
@click.pass_context
def verify(context: click.Context, /, *, image: str, identity: str, key: Path | None, form: str | None,
           **options: Any) -> None:  # fmt: skip
    """Verify the signatures of an image: whose key made them, for which image, under which name.

    Good is one that is by a key of --public-key, is about this digest, and names --expected-identity. Code 1 if none
    is. Signatures by referrers (cosign, notation) are verified by those tools.
    """
    place = here(options)
    where = path("images", str(Digest.parse(image)))
    if options["remove_all"]:
        if not options["save"]:
            raise Wrong("--remove-all changes the Image: --save is needed, too")
        place.client.merge(where, {"metadata": {"annotations": {VERIFIED: None}}})
        note(f"nothing is noted about signatures of {image} any more")
        return
    if not identity or key is None:
        raise Wrong("--expected-identity and --public-key are needed: a signature of anybody for anything says nothing")
    found = place.client.get(where)
    signatures = [entry for entry in found.get("signatures", ()) if entry.get("type") == ATOMIC]
    if not signatures:
        raise NotThere(f"image {image} has no signature of the type {ATOMIC}")
    keys = _keyring(key)
    verdicts = [_verdict(entry, keys, image, identity) for entry in signatures]
    good = [verdict for verdict in verdicts if not verdict.problem]
    if form is not None:
        items = [{"name": v.name, "identity": v.identity, "key": v.key, "problem": v.problem} for v in verdicts]
        document(form, {"kind": "SignatureVerification", "image": image, "items": items})
    else:
        rows(("SIGNATURE", "RESULT", "KEY", "IDENTITY"), (_cells(verdict) for verdict in verdicts))
    if good and options["save"]:
        _save(place, where, good)
    if not good:
        problem(f"no signature of {image} is good")
        context.exit(FAILED)


def _cells(verdict: Verdict) -> tuple[str, str, str, str]:
    return verdict.name, verdict.problem or "good", verdict.key[-16:] or "-", verdict.identity or "-"


def _verdict(entry: Mapping[str, Any], keys: bytes, image: str, identity: str) -> Verdict:
    name = str(entry.get("metadata", {}).get("name", "")).partition("@")[2]
    try:
        content = base64.b64decode(entry.get("content", ""), validate=True)
    except (binascii.Error, ValueError):
        return Verdict(name, problem="it is not base64")
    payload, key, problem = opened(content, keys)
    if problem:
        return Verdict(name, problem=problem)
    claimed, problem = claims(payload, image, identity)
    return Verdict(name, claimed, key, problem)


def claims(payload: bytes, image: str, identity: str) -> tuple[str, str]:
    """Under which name a signed document is about an image, and what is wrong with it. Pure."""
    try:
        critical = json.loads(payload)["critical"]
        kind, digest = critical["type"], critical["image"]["docker-manifest-digest"]
        claimed = critical["identity"]["docker-reference"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return "", "what is signed is no claim about an image"
    claimed = str(claimed)
    if kind != CLAIM:
        return claimed, f"what is signed is a {str(kind)[:60]!r}"
    if digest != image:
        return claimed, f"it is about {str(digest)[:80]}"
    if claimed != identity:
        return claimed, f"it is for another name than {identity}"
    return claimed, ""


def opened(content: bytes, keys: bytes) -> tuple[bytes, str, str]:
    """What was signed, by which key, and what is wrong. Raises :class:`Wrong` without gpgv."""
    program = shutil.which("gpgv")
    if program is None:
        raise Wrong("gpgv is needed to verify signatures, and is not on the PATH: install GnuPG (package gpgv)")
    if len(content) > LONGEST:
        return b"", "", f"it has more than {LONGEST} bytes"
    with tempfile.TemporaryDirectory(prefix="ac-verify-") as folder:
        place = Path(folder)
        (place / "keys.gpg").write_bytes(keys)
        (place / "signed").write_bytes(content)
        command = [program, "--homedir", folder, "--keyring", str(place / "keys.gpg"), "--status-fd", "2"]
        try:
            done = subprocess.run(  # noqa: S603 - no shell, and names of our own
                [*command, "--output", str(place / "payload"), str(place / "signed")],
                capture_output=True, timeout=SECONDS, check=False, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return b"", "", f"gpgv did not end within {SECONDS} seconds"
        said = done.stderr.decode("utf-8", "replace")
        wrong, right = _NOT_GOOD.search(said), _GOOD.search(said)
        payload = place / "payload"
        if wrong or not right or done.returncode != 0 or not payload.exists() or payload.stat().st_size > LONGEST:
            return b"", "", _REASONS[wrong[1]] if wrong else "gpgv does not call it good"
        return payload.read_bytes(), right[1], ""


def _keyring(path: Path) -> bytes:
    """Keys as gpgv reads them."""
    raw = path.read_bytes()
    match = _ARMOR.search(raw)
    if not match:
        return raw
    lines = [line.strip() for line in match[1].splitlines() if line.strip() and not line.startswith(b"=")]
    try:
        return base64.b64decode(b"".join(lines), validate=True)
    except (binascii.Error, ValueError):
        raise Wrong(f"{path} is no armored key (--public-key)") from None


def _save(place: Place, where: str, good: list[Verdict]) -> None:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    text = verified_signatures.write({v.name: Note(v.identity, v.key, now) for v in good})
    place.client.merge(where, {"metadata": {"annotations": {VERIFIED: text}}})
    note(f"noted in the annotation {VERIFIED} of the Image: its signatures have the conditions Trusted and ForImage")

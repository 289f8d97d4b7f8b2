"""A client that pulls whole images by the host that people know, and never rests."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import urllib3

from tests.clients import layout

INSECURE = ("https", "http", "https")
"""As ``--insecure-registry``: TLS first, then without; and again, for the host may move in between."""
PAUSE = 0.7
"""Seconds between two pulls: the migration has the same processors."""
KINDS = f"{layout.MANIFEST}, {layout.INDEX}"


class Pulls:
    """In a thread; ``failed`` says why, ``done`` how many came whole and right."""

    def __init__(self, images: Images, wanted: Mapping[str, str], tokens: Mapping[str, str]) -> None:
        self._images, self._wanted, self._tokens = images, dict(wanted), dict(tokens)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.failed = list[str]()
        self.done = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)
        assert self.done > len(self._wanted), f"nobody pulled; {self.failed[:3]}"

    def _run(self) -> None:
        while True:
            for name, digest in self._wanted.items():
                if self._stop.wait(PAUSE):
                    return
                try:
                    self._images.pull(name, digest, self._tokens[name.partition("/")[0]])
                    self.done += 1
                except (AssertionError, urllib3.exceptions.HTTPError) as error:
                    self.failed.append(f"{name}: {error}")


@dataclass
class Images:
    """A registry at an address, as a client of containers sees it that was told which schemes it may try, in order."""

    address: str
    host: str
    authority: Path
    schemes: tuple[str, ...] = ("https",)
    _pool: urllib3.PoolManager = field(init=False)

    def __post_init__(self) -> None:
        self._pool = urllib3.PoolManager(ca_certs=str(self.authority), server_hostname=self.host)

    def pull(self, name: str, digest: str, token: str) -> None:
        """Index, images, configurations and layers: every byte. Raises ``AssertionError``."""
        repository, _, tag = name.partition(":")
        self._document(repository, tag, digest, token)

    def _document(self, repository: str, reference: str, digest: str, token: str) -> None:
        body = self._get(f"/v2/{repository}/manifests/{reference}", digest, token)
        document = json.loads(body)
        for child in document.get("manifests", ()):
            self._document(repository, child["digest"], child["digest"], token)
        for blob in (*([document["config"]] if "config" in document else ()), *document.get("layers", ())):
            self._get(f"/v2/{repository}/blobs/{blob['digest']}", blob["digest"], token)

    def _get(self, path: str, digest: str, token: str) -> bytes:
        headers = {"Accept": KINDS, "Host": self.host, "Connection": "close"}
        headers |= urllib3.make_headers(basic_auth=f"<token>:{token}")
        answer = self._asked(path, headers)
        assert answer.status == 200, f"{path}: {answer.status} {answer.data[:200]!r}"
        found = f"sha256:{hashlib.sha256(answer.data).hexdigest()}"
        assert found == digest, f"{path}: {found} is not {digest}"
        return answer.data

    def _asked(self, path: str, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
        *others, last = self.schemes
        for scheme in others:
            with suppress(urllib3.exceptions.SSLError, urllib3.exceptions.ProtocolError):
                return self._once(scheme, path, headers)
        return self._once(last, path, headers)

    def _once(self, scheme: str, path: str, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
        url = f"{scheme}://{self.address}{path}"
        try:
            return self._pool.request("GET", url, headers=headers, timeout=30, retries=False)
        finally:
            self._pool.clear()  # urllib3 would ask again on this connection, of which it has been told that it closes


def flat(names: Iterable[str]) -> list[str]:
    """Without names of more than two parts, which become others."""
    return [name for name in names if name.count("/") == 1]

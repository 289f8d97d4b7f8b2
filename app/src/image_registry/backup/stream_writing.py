"""Writing a stream as a backup has it: what its tags shall mean, then what they meant and when.

A history can be larger than what the Image API reads of one request, so it is written in parts of several tags.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from image_registry.backup.kinds import STREAMS, Document
from image_registry.backup.restore_plan import marked, over, path_of, place_of
from image_registry.kube.client import ClusterClient
from image_registry.kube.errors import KubeError

PART = 2 * 1024 * 1024
"""Bytes of histories as JSON that are written at once, about; the Image API reads 3 MiB, and a tag has 50 events."""

PATIENCE = 60.0
"""Seconds for an answer about a stream that may have ten thousand tags."""

ATTEMPTS = 5
"""How often a stream is written that somebody else writes, too."""

Part = Sequence[tuple[str, Document | None]]
"""Tags with what their status shall be; none for a tag that goes."""


class StreamWriting:
    """The streams of one cluster. Methods raise KubeError and ClusterUnreachable."""

    def __init__(self, client: ClusterClient) -> None:
        self._client = client

    def begin(self, document: Document) -> None:
        """Make a stream that wants nothing yet, so that nothing is imported before its images are back."""
        spec = {key: value for key, value in document["spec"].items() if key != "tags"}
        body = {**marked({key: document[key] for key in ("apiVersion", "kind", "metadata")}), "spec": spec}
        try:
            self._client.create(STREAMS.path(place_of(document)), body)
        except KubeError as error:
            if not error.conflict:
                raise

    def finish(self, document: Document) -> None:
        """What its tags shall mean, then what they meant and when; it is marked until both are said."""
        for attempt in range(ATTEMPTS):
            try:
                self._write(document, path_of(document, STREAMS))
            except KubeError as error:
                if not error.conflict or attempt == ATTEMPTS - 1:
                    raise
            else:
                return

    def _write(self, document: Document, path: str) -> None:
        wanted = {key: value for key, value in document.items() if key != "status"}
        there = self._client.get(path, timeout=PATIENCE)
        written = self._client.replace(path, _without_status(over(there, marked(wanted))), timeout=PATIENCE)
        for part in parts(written, document["status"]["tags"]):
            written = self._client.json_patch(f"{path}/status", steps(written, part), timeout=PATIENCE)
        self._client.replace(path, _without_status(over(written, wanted)), timeout=PATIENCE)


def parts(written: Mapping[str, Any], tags: Iterable[Mapping[str, Any]], most: int = PART) -> Iterator[Part]:
    """What is to be written of the histories of a stream, as it is now, in parts of about ``most`` bytes.

    Every event is said to be of the generation in which its tag is wanted now: what came from another registry is
    then known to have come, and is not imported again because the stream is new.
    """
    generations = {tag["name"]: tag.get("generation", 1) for tag in written["spec"].get("tags") or ()}
    there = {tag["tag"]: tag for tag in _tags(written)}
    part: list[tuple[str, Document | None]] = []
    size = 0
    kept = set()
    for entry in tags:
        tag = entry["tag"]
        events = [{**event, "generation": generations.get(tag, 1)} for event in entry.get("items") or ()]
        wanted: Document = {**entry, "items": events}
        kept.add(tag)
        if there.get(tag) == wanted:
            continue
        length = len(json.dumps(wanted))
        if part and size + length > most:
            yield part
            part, size = [], 0
        part.append((tag, wanted))
        size += length
    part += [(tag, None) for tag in there if tag not in kept]
    if part:
        yield part


def steps(written: Mapping[str, Any], part: Part) -> list[Document]:
    """A part as a JSON patch that is good only for the stream as it was read."""
    places = {tag["tag"]: place for place, tag in enumerate(_tags(written))}
    found: list[Document] = [
        {"op": "add", "path": "/metadata/resourceVersion", "value": written["metadata"]["resourceVersion"]}
    ]
    if "tags" not in (written.get("status") or {}):
        found.append({"op": "add", "path": "/status/tags", "value": []})
    for tag, wanted in part:
        if wanted is not None and tag in places:
            found.append({"op": "replace", "path": f"/status/tags/{places[tag]}", "value": wanted})
        elif wanted is not None:
            found.append({"op": "add", "path": "/status/tags/-", "value": wanted})
    gone = sorted((places[tag] for tag, wanted in part if wanted is None), reverse=True)
    return [*found, *({"op": "remove", "path": f"/status/tags/{place}"} for place in gone)]


def _tags(stream: Mapping[str, Any]) -> list[Document]:
    return (stream.get("status") or {}).get("tags") or []


def _without_status(document: Document) -> Document:
    return {key: value for key, value in document.items() if key != "status"}

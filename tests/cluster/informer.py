"""A client that keeps what a watch tells, as client-go's informers do: list once, then go on from the last revision."""

from __future__ import annotations

import http.client
import json
import threading
import time
from typing import Any

from tests.cluster.raw import RawApi


class Informer(threading.Thread):
    """``objects`` is what it believes; ``doubled`` is what it was told twice, which nobody should be."""

    def __init__(self, api: RawApi, path: str) -> None:
        super().__init__(name="informer", daemon=True)
        self._api = api
        self._path = path
        self._leave = threading.Event()
        self.objects: dict[str, Any] = {}
        self.doubled: list[tuple[str, str]] = []
        self.lists = 0
        self.watches = 0
        self.events = 0

    def run(self) -> None:
        version = ""
        while not self._leave.is_set():
            try:
                version = self._watch(version) if version else self._list()
            except (OSError, http.client.HTTPException):
                time.sleep(0.2)

    def leave(self) -> None:
        """End after the watch that is open."""
        self._leave.set()
        self.join(30)

    def _list(self) -> str:
        answer = self._api("GET", self._path)
        if answer.status != 200:
            time.sleep(0.2)
            return ""
        document = answer.json()
        self.lists += 1
        self.objects = {item["metadata"]["name"]: item for item in document["items"]}
        return str(document["metadata"]["resourceVersion"])

    def _watch(self, version: str) -> str:
        query = f"watch=true&resourceVersion={version}&allowWatchBookmarks=true&timeoutSeconds=10"
        self.watches += 1
        for line in self._api.lines(f"{self._path}?{query}"):
            event = json.loads(line)
            if event["type"] == "ERROR":
                return ""
            told = event["object"]["metadata"]
            if event["type"] != "BOOKMARK":
                self._keep(event["type"], event["object"])
            version = str(told["resourceVersion"])
        return version

    def _keep(self, event: str, found: Any) -> None:
        name, version = found["metadata"]["name"], found["metadata"]["resourceVersion"]
        self.events += 1
        known = self.objects.get(name)
        if known is not None and known["metadata"]["resourceVersion"] == version:
            self.doubled.append((name, version))
        if event == "DELETED":
            self.objects.pop(name, None)
        else:
            self.objects[name] = found

"""Reports of a run, for people and for programs, brought up to date while it runs.

Who reads them is somewhere else than who runs it: a report that cannot be written is told once and ends nothing.
"""

from __future__ import annotations

import json
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from image_registry.migration.documents import to_document
from image_registry.migration.journal import Journal
from image_registry.migration.plan import Plan
from image_registry.migration.progress import Progress, progress
from image_registry.migration.progress_page import page
from image_registry.migration.step_results import results_of

PAUSE = 5.0
"""Seconds between two versions, at least."""

SHARE = 20
"""How many times as long as the last version took until the next: with ten thousands of images it is not quick."""


class Reports:
    """``html`` are pages, ``document`` is JSON; ``None`` for one that nobody wants.

    ``folder`` has the results of steps.
    """

    def __init__(
        self,
        plan: Plan,
        journal: Journal,
        folder: Path,
        *,
        html: Path | tuple[Path, ...] | None = None,
        document: Path | None = None,
        tell: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self._plan, self._journal, self._folder = plan, journal, folder
        self._html = (html,) if isinstance(html, Path) else html or ()
        self._document = document
        self._tell = tell
        self._told: set[Path] = set()

    def now(self) -> Progress:
        """How far it is."""
        return progress(self._plan, self._journal, results_of(self._plan, self._journal, self._folder))

    def write(self) -> Progress:
        """Bring them up to date, each whole or as it was."""
        found = self.now()
        if self._html:
            text = page(self._plan, found)
            for path in self._html:
                self._put(path, text)
        if self._document is not None:
            self._put(self._document, json.dumps(to_document(found), indent=1, ensure_ascii=False) + "\n")
        return found

    @contextmanager
    def kept_up(self) -> Iterator[None]:
        """Bring them up to date again and again, and at the end, however it ends; nothing is read for nobody."""
        if not self._html and self._document is None:
            yield
            return
        over = threading.Event()
        thread = threading.Thread(target=self._again, args=(over,), name="migration-reports", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            self._renew()

    def _again(self, over: threading.Event) -> None:
        pause = 0.0
        while not over.wait(pause):
            began = time.monotonic()
            self._renew()
            pause = max(PAUSE, SHARE * (time.monotonic() - began))

    def _renew(self) -> None:
        try:
            self.write()
        except OSError as error:  # of what it is made of
            self._late(self._folder, error)

    def _put(self, path: Path, text: str) -> None:
        try:
            put(path, text)
        except OSError as error:
            self._late(path, error)

    def _late(self, about: Path, error: OSError) -> None:
        if about not in self._told:
            self._told.add(about)
            self._tell(f"the report {about} is not up to date: {error.strerror}")


def put(path: Path, text: str) -> None:
    """Whole or not at all. A new file is the caller's alone, as it names what runs in a cluster.

    One that is there keeps its rights, so that somebody may let others read it. Raises ``OSError``.
    """
    place = path.resolve()  # a link stays one
    if place.exists() and not place.is_file():
        place.write_text(text, encoding="utf-8")  # as /dev/stdout
        return
    rights = stat.S_IMODE(place.stat().st_mode) if place.exists() else 0o600
    new = place.with_name(f".{place.name}.new")
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        os.fchmod(file.fileno(), rights)
    os.replace(new, place)

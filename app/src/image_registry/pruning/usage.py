"""What is in use, and by whom: tags, digests, and what begins like something that nobody can read."""

from __future__ import annotations

from dataclasses import dataclass, field

from image_registry.kube.image_references import ImageReference, Unreadable
from image_registry.pruning.references import Broken, Hosts, Named, digest_in
from image_registry.pruning.rules import Rules

MOST_FINDINGS = 1000
"""Told one by one; more are counted."""


@dataclass(slots=True)
class Usage:
    """Owners are told as ``Deployment team/web``; the first one that was found stands for all."""

    hosts: Hosts
    tags: dict[tuple[str, str], str] = field(default_factory=dict)
    """By repository and tag."""
    digests: dict[tuple[str, str], str] = field(default_factory=dict)
    """By repository and digest."""
    running: dict[str, str] = field(default_factory=dict)
    """By digest, of a manifest or of a configuration: what runs is in use wherever it lies."""
    prefixes: dict[str, str] = field(default_factory=dict)
    """By the beginning of repositories."""
    findings: list[str] = field(default_factory=list)
    """What could not be read, in sentences."""
    more_findings: int = 0

    def add(self, found: ImageReference | Unreadable, rules: Rules) -> None:
        """One thing that an object of the cluster says."""
        if isinstance(found, Unreadable):
            self._add_unreadable(found)
        elif found.over_since is not None and not rules.is_young(int(found.over_since.timestamp())):
            return
        elif found.running:
            self._add_running(found)
        else:
            self._add_named(self.hosts.read(found.text), found.owner, found.text)

    def tag(self, repository: str, tag: str) -> str:
        """Who uses what the tag means now; empty if nobody does."""
        return self.tags.get((repository, tag), "")

    def image(self, repository: str, digest: str) -> str:
        """Who uses an image of a repository, or runs it wherever it came from."""
        return self.digests.get((repository, digest), "") or self.running.get(digest, "")

    def beginning(self, repository: str) -> str:
        """Who names something that may be in this repository, and that cannot be read."""
        if not self.prefixes:
            return ""
        return next((owner for prefix, owner in self.prefixes.items() if repository.startswith(prefix)), "")

    def _add_named(self, found: Named | Broken | None, owner: str, text: str) -> None:
        if isinstance(found, Broken):
            if found.prefix:
                self.prefixes.setdefault(found.prefix, owner)
            what = f"everything that begins with {found.prefix!r} is kept" if found.prefix else "it keeps nothing"
            self._find(f"{owner} names {text[:200]!r}, which cannot be read ({found.why}): {what}")
        elif found is not None and found.digest:
            self.digests.setdefault((found.repository, found.digest), owner)
        elif found is not None:
            self.tags.setdefault((found.repository, found.tag), owner)

    def _add_running(self, found: ImageReference) -> None:
        if not any(self.hosts.is_ours(text) for text in (found.text, *found.names)):
            return  # another registry's, which need not be kept here
        digest = digest_in(found.text)
        if digest:
            self.running.setdefault(digest, found.owner)
        else:
            self._add_named(self.hosts.read(found.text), found.owner, found.text)

    def _add_unreadable(self, found: Unreadable) -> None:
        named = [(text, entry) for text in found.texts for entry in self.hosts.search(text)]
        kept = sum(not isinstance(entry, Broken) or bool(entry.prefix) for _, entry in named)
        self._find(
            f"{found.owner} cannot be understood ({found.why}): "
            + (f"{kept} names of images in it are kept" if kept else "it names no image of this registry")
        )
        for text, entry in named:
            self._add_named(entry, found.owner, text)

    def _find(self, sentence: str) -> None:
        if len(self.findings) < MOST_FINDINGS:
            self.findings.append(sentence)
        else:
            self.more_findings += 1

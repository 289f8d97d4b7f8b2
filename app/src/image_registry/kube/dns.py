"""The cluster's domain, which no API tells: kubelet writes it into every Pod's resolver settings."""

from __future__ import annotations

from pathlib import Path

RESOLV_CONF = Path("/etc/resolv.conf")


def cluster_domain(resolv_conf: Path = RESOLV_CONF) -> str:
    """``svc.<domain>`` in the search list, without ``svc.``; empty outside of a Pod."""
    try:
        text = resolv_conf.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["search"]:
            for word in words[1:]:
                if word.startswith("svc."):
                    return word.removeprefix("svc.").rstrip(".")
    return ""

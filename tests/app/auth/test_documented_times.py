"""How soon a change of rights takes effect is a promise to administrators: the chart's README repeats the constants."""

from __future__ import annotations

from pathlib import Path

from image_registry.auth import cluster, tokens
from image_registry.kube import front_proxy, namespaces

README = Path(__file__).resolve().parents[3] / "charts" / "image-registry" / "README.md"


def test_the_readme_tells_the_times_that_the_code_keeps() -> None:
    text = README.read_text(encoding="utf-8")
    times = {
        line.split("|")[1].strip(): line.split("|")[2].strip()
        for line in text.partition("| Takes effect within |")[2].splitlines()[1:8]
        if line.startswith("| ") and "---" not in line
    }
    fetched = "fetched with it, whose rights end with the bindings"
    longest = cluster.KNOWN + tokens.LIFETIME + tokens.LEEWAY
    assert list(times.values()) == [
        f"{cluster.ALLOWED:.0f} s",
        f"{cluster.REFUSED:.0f} s",
        f"{cluster.KNOWN:.0f} s for the token itself; {longest:.0f} s for a registry token that was {fetched}",
        f"{cluster.UNKNOWN:.0f} s",
        f"{namespaces.REMEMBERED:.0f} s",
        f"{front_proxy.REFRESH:.0f} s",
    ]

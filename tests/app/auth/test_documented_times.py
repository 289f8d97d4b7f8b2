"""How soon a change of rights takes effect is a promise to administrators: the chart's README repeats the constants."""

from __future__ import annotations

from pathlib import Path

from image_registry.auth import cluster, tokens
from image_registry.kube import front_proxy, remembered

README = Path(__file__).resolve().parents[3] / "charts" / "image-registry" / "README.md"


def test_the_readme_tells_the_times_that_the_code_keeps() -> None:
    text = README.read_text(encoding="utf-8")
    lines = text.partition("| Takes effect within |")[2].partition("\n\n")[0].splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    fetched = "fetched with it, whose rights end with the bindings"
    longest = cluster.KNOWN + tokens.LIFETIME + tokens.LEEWAY
    assert [row[1] for row in cells] == [
        f"{cluster.ALLOWED:.0f} s",
        f"{cluster.REFUSED:.0f} s",
        f"{cluster.KNOWN:.0f} s, its registry tokens {remembered.REMEMBERED:.0f} s",
        f"{cluster.KNOWN:.0f} s for the token itself; {longest:.0f} s for a registry token that was {fetched}",
        f"{cluster.UNKNOWN:.0f} s",
        f"{remembered.REMEMBERED:.0f} s",
        f"{front_proxy.REFRESH:.0f} s",
    ]
    told = {row[2] for row in cells} - {"-"}
    assert told == {f"{2 * cluster.SETTLED:.0f} s"}
    assert max(cluster.ALLOWED, cluster.KNOWN, remembered.REMEMBERED) <= 30

"""The benchmark of copying compares what it says, and prepares each client as a person would."""

from __future__ import annotations

from pathlib import Path

import yaml

from benchmarks import mirror

TAGS = ["many/r0:v0", "many/r0:v1", "many/r1:v0"]


def test_the_page_has_ratios_to_ours() -> None:
    seconds = {"ac": [1.0, 2.0, 3.0], "crane": [4.0, 5.0, 6.0]}
    workload = {"name": "few", "about": "some", "bytes": 20 << 20, "seconds": seconds}
    page = mirror._page({"machine": "this one", "workloads": [workload]})
    assert "| few | ac | 2.00 (1.00 to 3.00) | 10 | 1.00 |" in page
    assert "| few | crane | 5.00 (4.00 to 6.00) | 4 | 2.50 |" in page


def test_every_client_is_told_of_every_image(tmp_path: Path) -> None:
    [ours] = mirror._ac("ac", "s:1", "t:2", TAGS, tmp_path)
    assert (tmp_path / "map").read_text() == "s:1/many/r0:*=t:2/many/r0\ns:1/many/r1:*=t:2/many/r1\n"
    assert ours[-1] == str(tmp_path / "map")
    [theirs] = mirror._skopeo("skopeo", "s:1", "t:2", TAGS, tmp_path)
    document = yaml.safe_load((tmp_path / "sync.yml").read_text())
    assert document == {"s:1": {"tls-verify": False, "images": {"many/r0": ["v0", "v1"], "many/r1": ["v0"]}}}
    assert theirs[-1] == "t:2/many"
    assert [command[-2:] for command in mirror._crane("crane", "s:1", "t:2", TAGS, tmp_path)] == [
        ["s:1/many/r0", "t:2/many/r0"],
        ["s:1/many/r1", "t:2/many/r1"],
    ]

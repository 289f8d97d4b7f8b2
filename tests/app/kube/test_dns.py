"""The cluster's domain."""

from __future__ import annotations

from pathlib import Path

import pytest

from image_registry.kube.dns import cluster_domain


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        (
            "nameserver 10.96.0.10\nsearch team.svc.example.org svc.example.org example.org\noptions ndots:5\n",
            "example.org",
        ),
        ("search corp.example\n", ""),
        ("", ""),
    ],
    ids=["Pod", "machine", "empty"],
)
def test_the_clusters_domain_comes_from_the_pods_search_list(tmp_path: Path, text: str, domain: str) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text(text, encoding="utf-8")
    assert cluster_domain(path) == domain


def test_without_resolver_settings_there_is_no_domain(tmp_path: Path) -> None:
    assert cluster_domain(tmp_path / "missing") == ""

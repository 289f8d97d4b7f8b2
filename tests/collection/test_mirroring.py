"""Copies of images on a real registry: check mode is the plan with its sizes, and what is there is not sent."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.alauda.registry.plugins.module_utils import _mirroring
from ansible_collections.alauda.registry.plugins.modules import image_mirror

from tests.app.remote.conftest import REPOSITORY, Remote, open_distribution  # noqa: F401 - a fixture
from tests.collection.conftest import Result

Mirror = Callable[..., Result]


@pytest.fixture
def mirror(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Mirror:
    """The module, which knows no cluster."""

    def run_module(*, check: bool = False, **arguments: Any) -> Result:
        given = {"validate_certs": False, **arguments, "_ansible_check_mode": check}
        capsys.readouterr()
        with patch_module_args({**given, "_ansible_remote_tmp": str(tmp_path)}), pytest.raises(SystemExit) as ended:
            image_mirror.main()
        return Result(bool(ended.value.code), json.loads(capsys.readouterr().out.strip().splitlines()[-1]))

    return run_module


def test_the_plan_has_the_sizes_that_are_sent_and_a_second_run_sends_nothing(
    mirror: Mirror, open_distribution: Remote, tmp_path: Path  # noqa: F811
) -> None:  # fmt: skip
    source = f"{open_distribution.host}/{REPOSITORY}"
    asked = {"images": [{"source": f"{source}:v1,1.*", "target": f"oci:{tmp_path / 'layout'}"}]}
    checked = mirror(check=True, **asked)
    assert not checked.failed, checked.message
    assert checked["changed"]
    assert not (tmp_path / "layout").exists()
    done = mirror(**asked)
    assert not done.failed, done.message
    assert checked["diff"] == done["diff"]
    assert checked["totals"] == done["totals"]
    assert done["totals"]["copied"] == 3
    assert done["totals"]["bytes_sent"] > 0
    assert {row["digest"] for row in done["images"]} == {row["digest"] for row in checked["images"]}
    again = mirror(**asked)
    assert (again["changed"], again["diff"], again["totals"]["present"]) == (False, {}, 3)
    assert again["totals"]["bytes_sent"] == 0


def test_a_journal_of_an_earlier_run_is_no_change(
    mirror: Mirror, open_distribution: Remote, tmp_path: Path  # noqa: F811
) -> None:  # fmt: skip
    pair = {"source": f"{open_distribution.host}/{REPOSITORY}:v1", "target": f"oci:{tmp_path / 'layout'}:v1"}
    asked = {"images": [pair], "journal": str(tmp_path / "journal")}
    assert mirror(**asked)["changed"]
    again = mirror(**asked)
    assert (again["changed"], [row["status"] for row in again["images"]]) == (False, ["present"])


def test_what_is_not_there_is_named_and_the_rest_is_copied(
    mirror: Mirror, open_distribution: Remote, tmp_path: Path  # noqa: F811
) -> None:  # fmt: skip
    source = f"{open_distribution.host}/{REPOSITORY}"
    pairs = [{"source": f"{source}:{tag}", "target": f"oci:{tmp_path / 'layout'}:{tag}"} for tag in ("none", "v1")]
    done = mirror(images=pairs)
    assert done.failed
    assert "1 of 2 images are not at their target" in done.message
    assert [row["status"] for row in done["images"]] == ["failed", "copied"]
    skipped = mirror(images=pairs, skip_missing=True)
    assert not skipped.failed
    assert not skipped["changed"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"images": [{"source": "s3://x", "target": "oci:y"}]}, "buckets are no place"),
        ({"images": [{"source": "a.test/b", "target": "oci:y:z"}], "tag_filters": ["("]}, "no regular expression"),
        ({"images": [{"source": "a.test/b", "target": "oci:y:z"}], "auth_file": "/nowhere"}, "auth_file"),
    ],
)
def test_what_cannot_be_meant_is_said(mirror: Mirror, arguments: dict[str, Any], said: str) -> None:
    done = mirror(**arguments)
    assert done.failed
    assert said in done.message


def test_without_the_package_its_name_is_said(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_mirroring, "IMPORT_ERROR", "Traceback")
    assert "alauda-image-registry" in mirror(images=[{"source": "a.test/b", "target": "oci:y:z"}]).message

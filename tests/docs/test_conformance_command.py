"""``make conformance`` counts right and forgives nothing, whichever suite it runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance import __main__ as command
from tests.conformance import official
from tests.conformance.protocol import Client
from tests.conformance.target import Target

TARGET = Target(Client("http://127.0.0.1:1"), ("one", "two"))


def program(folder: Path, text: str) -> Path:
    """A named fake of an official suite."""
    path = folder / "suite"
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def reports(folder: Path) -> Path:
    made = folder / "reports"
    made.mkdir()
    return made


RUNNER = """
test "$OCI_VERSION $OCI_DATA_SPARSE $OCI_TLS" = "dev true disabled" || exit 9
cat <<'END'
  OCI Conformance Test/sha256 blobs/mount/blob-mount: Skip
  OCI Conformance Test/image/push: FAIL
OCI Conformance Result: FAIL
  Disabled......................:          1
  Skip..........................:          2
  Pass..........................:         30
  FAIL..........................:          4
  Error.........................:          5
END
exit 1
"""


def test_the_newer_suite_is_counted_by_its_own_summary(tmp_path: Path) -> None:
    suite = program(tmp_path, RUNNER)
    counts = official.run(suite, official.kind_of(suite), TARGET, reports(tmp_path))
    assert str(counts) == "30 passed, 9 failed, 2 skipped, 1 disabled"
    assert len(counts.others) == 2


def test_a_suite_that_does_not_get_to_its_summary_is_no_success(tmp_path: Path) -> None:
    with pytest.raises(official.SuiteFailed, match="cannot reach"):
        official.run(program(tmp_path, "echo cannot reach it"), official.RUNNER, TARGET, reports(tmp_path))


GINKGO = """
# onsi/ginkgo
case "$OCI_AUTOMATIC_CROSSMOUNT$OCI_TAG_NAME" in
1) one=passed two=skipped ;;
0) one=skipped two=passed ;;
*) one=skipped two=skipped ;;
esac
case "$*" in *focus*) three=failed ;; *) three=passed ;; esac
step() {
    case $2 in
    passed) echo "<testcase name='$1' status='passed'></testcase>" ;;
    skipped) echo "<testcase name='$1' status='skipped'><skipped message='not asked'/></testcase>" ;;
    failed) echo "<testcase name='$1' status='failed'><failure message='wrong'/></testcase>" ;;
    esac
}
{
    echo "<testsuites><testsuite>"
    step "[AfterSuite]" passed
    step "found" $one
    step "not found" $two
    step "sometimes" $three
    step "never" skipped
    echo "</testsuite></testsuites>"
} > "$OCI_REPORT_DIR/junit.xml"
"""


def test_a_step_of_the_older_suite_counts_by_all_runs_that_asked_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ways = [([], {"OCI_AUTOMATIC_CROSSMOUNT": "1"}), ([], {"OCI_AUTOMATIC_CROSSMOUNT": "0"}), (["-focus"], {})]
    monkeypatch.setattr(official, "_ways", lambda _target: iter(ways))
    suite = program(tmp_path, GINKGO)
    counts = official.run(suite, official.kind_of(suite), TARGET, reports(tmp_path))
    assert str(counts) == "2 passed, 1 failed, 1 skipped, 0 disabled"
    assert counts.others == ["sometimes: wrong", "never: not asked"]


@pytest.mark.parametrize(
    ("body", "line", "status"),
    [
        ("assert True", "1 passed, 0 failed, 0 skipped", 0),
        ("assert False", "0 passed, 1 failed, 0 skipped", 1),
        ("import pytest; pytest.skip('later')", "0 passed, 0 failed, 1 skipped", 1),
    ],
)
def test_the_last_line_is_the_count_and_a_rule_that_is_left_out_fails_the_run(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    body: str,
    line: str,
    status: int,
) -> None:
    (tmp_path / f"test_{tmp_path.name}.py").write_text(f"def test_a_rule():\n    {body}\n", encoding="utf-8")
    monkeypatch.setattr(command, "FOLDER", tmp_path)
    assert command.main(["--", "--rootdir", str(tmp_path), "-c", "/dev/null"]) == status
    assert capsys.readouterr().out.splitlines()[-1] == line

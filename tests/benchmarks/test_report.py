"""A benchmark that flatters is worse than none: what a figure must survive before it is printed."""

from __future__ import annotations

from benchmarks.report import Figure, ratio, table

ROW = ("pull", "MiB/s")


def test_one_failure_voids_a_figure_and_its_ratios() -> None:
    figures = {
        ("pull", "ours"): Figure([900.0, 1000.0, 9999.0], ["500 instead of 200"]),
        ("pull", "peer"): Figure([100.0, 100.0, 100.0]),
    }
    shown = table([ROW], ["ours", "peer"], figures)
    assert ratio(figures, "pull", "ours", "peer") is None
    assert "9,999" not in shown
    assert "invalid: pull on ours: 500 instead of 200" in shown
    assert figures["pull", "ours"].document()["valid"] is False


def test_a_figure_without_samples_is_not_zero_but_invalid() -> None:
    assert not Figure().valid
    assert Figure().shown() == "invalid"


def test_the_ratio_is_that_of_medians_so_one_lucky_sample_changes_nothing() -> None:
    figures = {
        ("pull", "ours"): Figure([200.0, 210.0, 5000.0]),
        ("pull", "peer"): Figure([100.0, 105.0, 1.0]),
    }
    assert ratio(figures, "pull", "ours", "peer") == 2.1
    assert "210 (200-5,000)" in table([ROW], ["ours", "peer"], figures)


def test_the_document_for_programs_keeps_every_sample() -> None:
    document = Figure([3.0, 1.0, 2.0]).document()
    assert (document["median"], document["min"], document["max"]) == (2.0, 1.0, 3.0)
    assert document["samples"] == [3.0, 1.0, 2.0]

"""The benchmark's block of a page, and the tables in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from services.bench.baselines import BASELINES
from services.bench.report import BEGIN, END, NoBlock, markdown, tables, write_report

FIGURES: dict[str, Any] = {
    "payments_per_second": 12_400,
    "unheld": {"payments_per_second": 13_500, "cpu_us_per_payment": 78.1, "core_share": 0.97},
    "core_share": 0.97,
    "cpu_us_per_payment": {"total": 80.0, "payer_hop": 27.0, "models": {"logistic": 1.1}},
    "baselines": {
        "ceiling": {"payments_per_second": 78_000, "cpu_us_per_payment": 12.4, "core_share": 0.96},
        "kafka_streams": {"skipped": "mvn is not on PATH"},
    },
    "ratios": {"ceiling": 0.16},
    "cpu_ratios": {"ceiling": 6.45},
    "latency_ms": {
        "100": {"payments_per_second": 100, "p50": 12.0, "p99": 31.5, "p999": 40.0, "max": 41.0, "payments": 2_000},
        "80_percent": {"payments_per_second": 9_920, "p50": 9.0, "p99": 9.5, "p999": 9.9, "max": 9.9, "payments": 9},
    },
    "agreement": {
        "replay": {
            "event_spread_minutes": 60, "payments": 20_000, "reviews": 115, "outcomes_differ": 3,
            "outcomes_differ_share": 0.00015, "scores_differ": 1_170, "scores_differ_share": 0.0585,
            "scores_apart": 400,
        },
        "real_pace": {
            "event_spread_minutes": 60, "payments": 6_000, "reviews": 79, "outcomes_differ": 0,
            "outcomes_differ_share": 0.0, "scores_differ": 91, "scores_differ_share": 0.015167, "scores_apart": 9,
            "payments_per_second": 300.0,
        },
    },
    "growth": {"cpu_us_per_payment": {"10000": 8.1, "100000": 8.4, "1000000": {"skipped": "no memory"}}},
    "payments": 150_000,
    "partitions": 4,
    "delivery": "exactly_once",
    "champion": "boosting",
    "broker": "apache-kafka-4.3.1",
    "machine": {"cores": 2, "load": 0.3, "python": "3.11.7"},
}  # fmt: skip


def test_every_row_is_as_wide_as_its_table() -> None:
    lines = [line for line in markdown(FIGURES).splitlines() if line.startswith("|")]
    widths = {at: line.count("|") for at, line in enumerate(lines)}
    heads = [at for at, line in enumerate(lines) if line.startswith("|---")]
    assert len(heads) == sum(1 for _ in tables(FIGURES)) == 5
    for head, end in zip(heads, [*(each - 1 for each in heads[1:]), len(lines)], strict=True):
        assert {widths[at] for at in range(head - 1, end)} == {widths[head]}


def test_a_baseline_that_was_skipped_says_why() -> None:
    assert f"| {BASELINES['kafka_streams'].title} | skipped: mvn is not on PATH |" in markdown(FIGURES)


def test_runs_that_were_compared_say_how_many_decisions_differ() -> None:
    text = markdown(FIGURES)
    assert (
        "| the same, at most 60 minutes ahead of each other | 20,000 | 115 | 3 (0.01 %) | 1,170 (5.85 %) | 400 |"
        in text
    )
    assert "| payments of now, 300 a second | 6,000 | 79 | 0 (0.00 %) | 91 (1.52 %) | 9 |" in text


def test_only_what_stands_between_the_marks_is_renewed(tmp_path: Path) -> None:
    page = tmp_path / "PERFORMANCE.md"
    page.write_text(f"# Before\n\n{BEGIN}\nold figures\n{END}\n\nAfter\n")
    write_report(FIGURES, page)
    first = page.read_text()
    assert first.startswith(f"# Before\n\n{BEGIN}\n")
    assert first.endswith(f"{END}\n\nAfter\n")
    assert "old figures" not in first
    drawn = {each.name for each in tmp_path.glob("*.svg")}
    assert drawn == {"performance-rates.svg", "performance-latency.svg", "performance-growth.svg"}
    assert all(f"({name})" in first for name in drawn)
    write_report(FIGURES, page)
    assert page.read_text() == first


@pytest.mark.parametrize("text", ["", f"{BEGIN}\n", f"{END}\n{BEGIN}\n", f"{BEGIN}\n{END}\n{BEGIN}\n{END}\n"])
def test_a_page_without_one_block_is_left_as_it_is(tmp_path: Path, text: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(NoBlock, match="no block to renew"):
        write_report(FIGURES, page)
    assert page.read_text() == text
    assert [each.name for each in tmp_path.iterdir()] == ["page.md"]

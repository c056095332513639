"""What must hold on a small stream: fairness above all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.runtime.settings import load_settings
from services.scorer.rulebook.ruleset_file import load_ruleset
from services.workbench.assessment.paths import Paths
from services.workbench.assessment.report import markdown, plot
from services.workbench.assessment.run import VARIANTS, Options, assess
from services.workbench.assessment.streams import NOTE
from services.workbench.assessment.truth import NO_LINE


def test_the_watched_have_their_paths() -> None:
    paths = Paths([2, 5])
    paths.take(np.array([2, 4, 2, NO_LINE]), np.array([[1.0, 5.0], [2.0, 0.0], [3.0, 4.0], [9.0, 9.0]]))
    assert paths.met == [2]
    assert paths.payments_before(2, 0, 2.0) == 1
    assert paths.payments_before(2, 0, 4.0) is None


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    """A small stream with many payers of the kind, so that the ratios mean something."""
    options = Options(payers=3_000, months=9, training_payers=3_000, base_rates=("unit_test",))
    return assess(options, load_ruleset(load_settings()), lambda doing: None, lambda share: None)


def test_the_result_has_what_its_readers_ask_for(result: dict[str, Any]) -> None:
    for variant in VARIANTS:
        assert {
            "recall_at_precision_50", "recall_payers_5plus_at_precision_50", "recall_facilitators_at_precision_50",
            "recall_at_budget", "median_payments_before_alert",
        } <= result["base_rates"]["unit_test"][variant].keys()  # fmt: skip
    assert result["note"] == NOTE in markdown(result)
    assert result["base_rates"]["unit_test"]["combined"]["recall_payers_5plus_at_precision_50"] > 0.5


def test_swapping_destinations_changes_alerts_by_at_most_a_tenth(result: dict[str, Any]) -> None:
    assert round(abs(result["fairness"]["country_swap_alert_rate_change"]), 9) <= 0.10


def test_blind_to_corridors_nine_tenths_of_the_recall_remain(result: dict[str, Any]) -> None:
    assert result["fairness"]["corridor_ablated_recall_share_combined"] >= 0.90


def test_no_diaspora_twin_is_burdened_who_has_paid_twice(result: dict[str, Any]) -> None:
    """A twin with a single payment cannot be told from a payer of the kind with a single one; the limits of the pack
    and docs/internals/subjects.md say so."""
    assert result["fairness"]["diaspora_twins_with_two_payments_alerted"] == 0


def test_no_victim_of_extortion_is_in_the_lsac_queue(result: dict[str, Any]) -> None:
    assert result["base_rates"]["unit_test"]["extortion_victims_in_lsac_queue"] == 0


def test_the_curves_are_drawn(result: dict[str, Any], tmp_path: Path) -> None:
    plot(result, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")

"""Drawn worlds: what is learned of some families, ranked on others."""

from __future__ import annotations

from typing import Any

import pytest

from services.workbench.assessment.rankers import VARIANTS
from services.workbench.assessment.streams import NOTE
from services.workbench.assessment.subject_ranker import COMBINED
from services.workbench.assessment.worlds import Worlds, assess_worlds
from tests.workbench.assessment.folders import RULESET


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    """Small held-out worlds, after learning from two for training."""
    ranked = Worlds(held_out=True, payers=300, months=2, seed=7, base_rate="0.05")
    taught = Worlds(held_out=False, payers=300, months=2, seed=1, base_rate="0.1").sources()[:2]
    return assess_worlds(ranked, taught, "boosting", RULESET, lambda doing: None, lambda share: None)


def test_each_world_has_figures_of_its_own(result: dict[str, Any]) -> None:
    ranked = Worlds(held_out=True, payers=300, months=2, seed=7, base_rate="0.05").sources()
    assert [each["stream"] for each in result["worlds"].values()] == [each.name for each in ranked]
    assert all(
        each["positives"] > 0 and each["ranking"].keys() == {*VARIANTS, COMBINED} for each in result["worlds"].values()
    )
    assert result["note"] == NOTE


def test_fairness_tells_of_other_countries_and_of_none(result: dict[str, Any]) -> None:
    for each in (result, *result["worlds"].values()):
        for variant in (*VARIANTS, COMBINED):
            fairness = each["ranking"][variant]["fairness"]
            assert {"country_swap_alert_rate_change", "corridor_ablated_recall_share"} <= fairness.keys()


def test_subjects_are_ranked_better_than_by_chance(result: dict[str, Any]) -> None:
    figures = result["ranking"][COMBINED]
    assert figures["auc"] > 0.6
    assert {"average_precision", "recall_at_precision_50", "recall_at_budget", "payees", "classes"} <= figures.keys()


def test_no_held_out_world_is_learned_from(result: dict[str, Any]) -> None:
    assert not set(result["learned_from"]) & set(result["streams"])


def test_worlds_of_seeds_of_their_own_share_no_account() -> None:
    sources = Worlds(held_out=True, payers=60, months=1, seed=7, base_rate="0.05", each=2).sources()
    accounts = [{line.account for line in each.truth.lines} for each in sources]
    assert len(set.union(*accounts)) == sum(map(len, accounts))

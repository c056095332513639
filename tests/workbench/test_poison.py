"""Wrong labels: what they are, and that the bounds on labels hold what they do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from models.influence import ACCOUNT_LABELS_MAX
from models.labels import SILENCE
from services.workbench.backtest import learned, sampled, with_silence
from services.workbench.dataset import NOT_SUSPICIOUS, SUSPICIOUS, UNLABELLED, Dataset, texts
from services.workbench.learners import InTurn, Refitted
from services.workbench.poison import burst, flipped, poisoning
from tests.workbench.samples import sample


def quiet(_share: float) -> None:
    """Tell nobody."""


def with_a_busy_payer(seed: int, n: int) -> Dataset:
    """A payer makes one payment of twelve, all of them much alike and none suspicious."""
    data = sample(seed, n)
    busy = np.arange(n) % 12 == 0
    features = np.where(busy[:, None], data.features[0] + 0.01 * data.features, data.features)
    features[busy, :2] = 0.2
    return replace(
        data,
        payer=texts(["busy" if each else payer for each, payer in zip(busy, data.payer, strict=True)]),
        features=features,
        label=np.where(busy & (data.label != UNLABELLED), NOT_SUSPICIOUS, data.label).astype(np.int8),
    )


def test_labels_that_somebody_gave_are_flipped_and_silence_is_not() -> None:
    data = with_silence(sample(1, 2_000), 14)
    found = flipped(data, 0.05)
    changed = found.label != data.label
    silence = data.source == SILENCE
    assert not changed[silence | (data.label == UNLABELLED)].any()
    assert 0.03 < changed.sum() / ((data.label != UNLABELLED) & ~silence).sum() < 0.07


def test_a_burst_is_wrong_about_one_payer_and_known_from_one_moment() -> None:
    data = with_a_busy_payer(2, 2_000)
    found = burst(data, 30, 5.0)
    rows = np.flatnonzero((found.data.label_ms == found.moment_ms) & (found.data.weight == 5.0))
    assert found.labels == len(rows) == 30
    assert found.payer == "busy"
    assert set(found.data.payer[rows].tolist()) == {"busy"}
    assert (data.event_ms[rows] < found.moment_ms).all()
    assert (found.data.label[rows] == SUSPICIOUS).all(), "they were not, or not labelled"
    rest = np.setdiff1d(np.arange(len(data)), rows)
    np.testing.assert_array_equal(found.data.label[rest], data.label[rest])
    assert learned(found.data)[rows].sum() <= 2 * ACCOUNT_LABELS_MAX, "what was said before, and as much beyond"


def test_a_sample_keeps_every_label_and_whole_payers_and_stands_for_all() -> None:
    data = with_silence(sample(3, 8_000, labelled=0.1), 14)
    found = sampled(data, 0.25)
    given = (data.label != UNLABELLED) & (data.source != SILENCE)
    assert set(data.decision_id[given].tolist()) <= set(found.decision_id.tolist())
    silent = found.source == SILENCE
    assert set(found.weight[silent].tolist()) == {4.0}
    assert found.weight[silent].sum() == pytest.approx((data.source == SILENCE).sum(), rel=0.2)


@pytest.mark.parametrize("kind", ["logistic", "boosting"])
def test_what_poisoned_labels_do_is_bounded(kind: str) -> None:
    data = with_a_busy_payer(4, 2_000)
    attack = burst(data, 80, 20.0)

    def walk(bounded: bool) -> dict[str, Any]:
        def make() -> InTurn | Refitted:
            return InTurn() if kind == "logistic" else Refitted(refit_days=30, positives_min=10, bounded=bounded)

        return poisoning(data, make, 0.05 * bounded, attack, 0.02, quiet, bounded)

    held, loose = walk(True), walk(False)
    assert "flipped" not in loose
    clean = held["clean"]["average_precision"]
    assert clean > 0.3
    assert held["flipped"]["average_precision"] > 0.75 * clean
    assert held["burst"]["average_precision"] > 0.9 * clean, "of all the others"
    account, others = held["burst"]["moved"]["account"], held["burst"]["moved"]["others"]
    assert abs(others["median"]) < 0.2
    assert others["p99"] < loose["burst"]["moved"]["others"]["p99"]
    assert account["median"] < loose["burst"]["moved"]["account"]["median"]
    assert account["decisions"] + others["decisions"] == (data.event_ms >= attack.moment_ms).sum()

"""The compiled anomaly model is River's half-space trees, to the bit, and what is written down of it is all of it."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from river import anomaly

from models.kinds.anomaly import (
    HEIGHT,
    LIMIT,
    SEED,
    TREES,
    WINDOW,
    AnomalyOnline,
    AnomalyState,
)
from models.kinds.kind import Rest
from models.kinds.logistic import FlooredScaler, readable
from models.learning.training import Plan
from services.scorer.path.features.registry import NAMES
from services.scorer.path.scoring.halfspace import halfspace_from
from tests.models.tables import as_matrix, examples, odd, rows_of

SCHEMA = "5c" * 32
PLAN = Plan(SCHEMA, 1, 0.5)


def taught(count: int) -> AnomalyOnline:
    online = AnomalyOnline(PLAN, None)
    for row in examples(1, count)[0]:
        online.pipeline.learn_one(readable(row))
    return online


@pytest.mark.parametrize("count", [0, 1, WINDOW - 1, WINDOW, WINDOW + 130])
def test_a_compiled_model_scores_as_river_does_to_the_bit(count: int) -> None:
    online = taught(count)
    table = as_matrix(examples(2, 60)[0])
    table = np.concatenate([table, odd(table, 2), np.full((1, len(NAMES)), np.nan)])
    expected = [float(online.pipeline.score_one(readable(row))) for row in rows_of(table)]
    model = online.compiled(1, SCHEMA, 0.5)
    assert model.scores(table).tolist() == expected
    assert halfspace_from(model.trees.packed, 1, SCHEMA).scores(table).tolist() == expected


def test_when_the_first_example_has_every_feature_the_trees_are_rivers_own() -> None:
    limits = dict.fromkeys(NAMES, (-LIMIT, LIMIT))
    trees = anomaly.HalfSpaceTrees(n_trees=TREES, height=HEIGHT, window_size=WINDOW, limits=limits, seed=SEED)
    rivers, ours = FlooredScaler() | trees, AnomalyOnline(PLAN, None)
    rows = [dict.fromkeys(NAMES, 1.0), *(readable(row) for row in examples(3, WINDOW + 50)[0])]
    for x in rows:
        assert ours.pipeline.score_one(x) == rivers.score_one(x)
        ours.pipeline.learn_one(x)
        rivers.learn_one(x)


def test_a_payment_far_from_all_others_scores_higher() -> None:
    model = taught(2 * WINDOW).compiled(1, SCHEMA, 0.5)
    usual = as_matrix(examples(4, 200)[0])
    scores, strange = model.scores(usual), model.scores(np.abs(usual) * 200.0)
    assert np.median(strange) > np.quantile(scores, 0.95)


@pytest.mark.parametrize("before", [0, 40, WINDOW + 20])
def test_a_model_restored_from_json_learns_on_identically(before: int) -> None:
    online = taught(before)
    written = msgspec.json.encode(online.state())
    restored = AnomalyOnline(PLAN, Rest(msgspec.json.decode(written, type=AnomalyState), b"", 0))
    for row in examples(5, WINDOW)[0]:
        x = readable(row)
        assert restored.pipeline.score_one(x) == online.pipeline.score_one(x)
        online.pipeline.learn_one(x)
        restored.pipeline.learn_one(x)
    assert restored.state() == online.state()


def test_a_state_of_another_registry_or_of_other_trees_is_refused() -> None:
    state = AnomalyOnline(PLAN, None).state()
    for name in ("means", "latest"):
        with pytest.raises(ValueError, match=name):
            AnomalyOnline(PLAN, Rest(msgspec.structs.replace(state, **{name: (0,)}), b"", 0))

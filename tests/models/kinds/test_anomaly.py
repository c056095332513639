"""The compiled anomaly model is River's half-space trees, to the bit, and what is written down of it is all of it."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from river import anomaly, compose

from models.kinds.anomaly import (
    HEIGHT,
    LIMIT,
    SEED,
    TREES,
    WINDOW,
    AnomalyState,
    anomaly_state,
    compile_anomaly,
    create_anomaly,
    restore_anomaly,
)
from models.kinds.logistic import FlooredScaler, readable
from services.scorer.path.features.registry import NAMES
from services.scorer.path.scoring.halfspace import halfspace_from
from tests.models.tables import as_matrix, examples, odd, rows_of

SCHEMA = "5c" * 32


def taught(count: int) -> compose.Pipeline:
    pipeline = create_anomaly()
    for row in examples(1, count)[0]:
        pipeline.learn_one(readable(row))
    return pipeline


@pytest.mark.parametrize("count", [0, 1, WINDOW - 1, WINDOW, WINDOW + 130])
def test_a_compiled_model_scores_as_river_does_to_the_bit(count: int) -> None:
    pipeline = taught(count)
    table = as_matrix(examples(2, 60)[0])
    table = np.concatenate([table, odd(table, 2), np.full((1, len(NAMES)), np.nan)])
    expected = [float(pipeline.score_one(readable(row))) for row in rows_of(table)]
    model = compile_anomaly(pipeline, 1, SCHEMA)
    assert model.scores(table).tolist() == expected
    assert halfspace_from(model.packed, 1, SCHEMA).scores(table).tolist() == expected


def test_when_the_first_example_has_every_feature_the_trees_are_rivers_own() -> None:
    limits = dict.fromkeys(NAMES, (-LIMIT, LIMIT))
    trees = anomaly.HalfSpaceTrees(n_trees=TREES, height=HEIGHT, window_size=WINDOW, limits=limits, seed=SEED)
    rivers, ours = FlooredScaler() | trees, create_anomaly()
    rows = [dict.fromkeys(NAMES, 1.0), *(readable(row) for row in examples(3, WINDOW + 50)[0])]
    for x in rows:
        assert ours.score_one(x) == rivers.score_one(x)
        ours.learn_one(x)
        rivers.learn_one(x)


def test_a_payment_far_from_all_others_scores_higher() -> None:
    model = compile_anomaly(taught(2 * WINDOW), 1, SCHEMA)
    usual = as_matrix(examples(4, 200)[0])
    scores, strange = model.scores(usual), model.scores(np.abs(usual) * 200.0)
    assert np.median(strange) > np.quantile(scores, 0.95)


@pytest.mark.parametrize("before", [0, 40, WINDOW + 20])
def test_a_model_restored_from_json_learns_on_identically(before: int) -> None:
    pipeline = taught(before)
    written = msgspec.json.encode(anomaly_state(pipeline))
    restored = restore_anomaly(msgspec.json.decode(written, type=AnomalyState))
    for row in examples(5, WINDOW)[0]:
        x = readable(row)
        assert restored.score_one(x) == pipeline.score_one(x)
        pipeline.learn_one(x)
        restored.learn_one(x)
    assert anomaly_state(restored) == anomaly_state(pipeline)


def test_a_state_of_another_registry_or_of_other_trees_is_refused() -> None:
    state = anomaly_state(create_anomaly())
    for name in ("means", "latest"):
        with pytest.raises(ValueError, match=name):
            restore_anomaly(msgspec.structs.replace(state, **{name: (0,)}))

"""What challengers say of decisions is what a scorer would have said had one of them been the champion."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from services.bench.kernels import random_forest
from services.contract.codec import decode
from services.contract.decision import Decision
from services.contract.shadow_scores import ShadowScores
from services.scorer.path.records import Outbound, Record, no_mark
from services.scorer.path.scoring.ensemble import EnsembleModel
from services.shadow.roster import Challenger
from services.shadow.scoring import Shadow
from tests.scorer.path.test_hops import SCHEMA, both_hops, model, seeded_log, written

LOG = seeded_log(150)
BOOSTING = EnsembleModel(replace(random_forest(np.random.default_rng(7)), feature_schema_hash=SCHEMA), 0.9)
MODELS: dict[str, Any] = {"logistic": model(8), "boosting": BOOSTING}
CHALLENGERS = tuple(Challenger(each.hash, kind, each) for kind, each in MODELS.items())


def decided(champion: Any) -> list[Record]:
    """The decisions of the path with ``champion``, as they stand in the log."""
    outputs = written(both_hops(LOG, scorer=champion), "decisions")
    return [Record(at, each.timestamp, each.key, each.value, each.headers) for at, each in enumerate(outputs)]


def shadowed(records: list[Record], challengers: tuple[Challenger, ...]) -> tuple[list[Outbound], Counter[str]]:
    result = Shadow(SCHEMA, 3).process(list(records), challengers, no_mark)
    return result.outputs["shadow_scores"], result.counts


def said(outputs: list[Outbound]) -> list[ShadowScores]:
    return [decode(each.value, ShadowScores) for each in outputs]


DECISIONS = decided(model())


@pytest.mark.parametrize("kind", MODELS)
def test_a_challengers_scores_are_those_of_the_path_with_it_as_champion_to_the_bit(kind: str) -> None:
    challenger = MODELS[kind]
    found = {each.decision_id: each.scores[challenger.hash] for each in said(shadowed(DECISIONS, CHALLENGERS)[0])}
    would = {each.decision_id: each.score for each in (decode(r.value or b"", Decision) for r in decided(challenger))}
    assert found == would
    assert len(set(found.values())) > 20


def test_each_record_names_its_decision_and_what_was_served_and_lies_where_it_lies() -> None:
    outputs, counts = shadowed(DECISIONS, CHALLENGERS)
    assert counts == {"scored": len(DECISIONS)}
    for record, written_, each in zip(DECISIONS, outputs, said(outputs), strict=True):
        decision = decode(record.value or b"", Decision)
        assert (each.decision_id, each.payment_id, each.tenant) == (
            decision.decision_id, decision.payment_id, decision.tenant,
        )  # fmt: skip
        assert (each.event_time_ms, each.model_hash, each.score) == (
            decision.event_time_ms, decision.model_hash, decision.score,
        )  # fmt: skip
        assert (written_.partition, written_.key, written_.timestamp) == (3, record.key, record.timestamp)
        assert ("ce_id", decision.decision_id.encode()) in written_.headers


@settings(derandomize=True, max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(0, len(DECISIONS)), max_size=8))
def test_how_the_log_is_cut_into_batches_changes_no_byte(cuts: list[int]) -> None:
    bounds = [0, *sorted(set(cuts)), len(DECISIONS)]
    parts = [shadowed(DECISIONS[a:b], CHALLENGERS)[0] for a, b in pairwise(bounds)]
    assert [each for part in parts for each in part] == shadowed(DECISIONS, CHALLENGERS)[0]


def changed(record: Record, **fields: Any) -> Record:
    return record._replace(value=orjson.dumps(orjson.loads(record.value or b"") | fields))


def test_a_decision_of_other_features_gets_a_record_without_scores_and_what_cannot_be_read_none() -> None:
    batch = [
        DECISIONS[0],
        changed(DECISIONS[1], feature_schema_hash="0" * 64),
        changed(DECISIONS[2], features=[1.0, None]),
        DECISIONS[3]._replace(value=b"\xff{"),
        DECISIONS[4]._replace(value=None),
        DECISIONS[5],
    ]
    outputs, counts = shadowed(batch, CHALLENGERS)
    assert [(each.unscored, len(each.scores)) for each in said(outputs)] == [
        (None, 2), ("feature_schema", 0), ("feature_schema", 0), (None, 2),
    ]  # fmt: skip
    assert counts == {"scored": 2, "feature_schema": 2, "invalid": 2}
    alone = [each for at in (0, 5) for each in shadowed([DECISIONS[at]], CHALLENGERS)[0]]
    assert [outputs[0], outputs[3]] == alone, "those among others have the same scores"


class Failing:
    """A model that has no number for every second row."""

    def scores(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(np.arange(len(features)) % 2, np.nan, 1.5)


def test_what_is_no_number_is_left_out_and_decisions_that_nobody_scored_say_why() -> None:
    failing = Challenger("f" * 64, "onnx", Failing())
    outputs, counts = shadowed(DECISIONS[:4], (failing,))
    assert [(each.scores, each.unscored) for each in said(outputs)] == [({"f" * 64: 1.5}, None), ({}, "failed")] * 2
    assert counts == {"scored": 2, "failed": 2}
    beside = said(shadowed(DECISIONS[:4], (failing, CHALLENGERS[0]))[0])
    assert [len(each.scores) for each in beside] == [2, 1, 2, 1]
    outputs, counts = shadowed(DECISIONS[:4], ())
    assert {each.unscored for each in said(outputs)} == {"no_challenger"}
    assert counts == {"no_challenger": 4}

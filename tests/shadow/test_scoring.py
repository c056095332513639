"""What challengers say of decisions is what a scorer would have said had one of them been the champion."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from services.bench.kernels import random_forest
from services.contract.columns import ids_of
from services.contract.served import Served, write_served
from services.contract.shadow_scores import ShadowScores, read_shadow_scores, write_shadow_scores
from services.scorer.path.records import Outbound, Record, no_mark
from services.scorer.path.scoring.ensemble import EnsembleModel
from services.shadow.roster import Challenger
from services.shadow.scoring import Shadow
from tests.scorer.path.test_hops import SCHEMA, both_hops, model, seeded_log, written
from tests.support.served import served_in

LOG = seeded_log(150)
CUTS = (20, 60, 61, 110)
BOOSTING = EnsembleModel(replace(random_forest(np.random.default_rng(7)), feature_schema_hash=SCHEMA), 0.9)
MODELS: dict[str, Any] = {"logistic": model(8), "boosting": BOOSTING}
CHALLENGERS = tuple(Challenger(each.hash, kind, each) for kind, each in MODELS.items())


def decided(champion: Any) -> list[Record]:
    """Batches of what the path decided with ``champion``, as they stand in the log."""
    outputs = written(both_hops(LOG, CUTS, scorer=champion), "features")
    return [Record(at, each.timestamp, each.key, each.value, each.headers) for at, each in enumerate(outputs)]


def shadowed(records: list[Record], challengers: tuple[Challenger, ...]) -> tuple[list[Outbound], Counter[str]]:
    result = Shadow(SCHEMA, 3).process(records, challengers, no_mark)
    return list(result.outputs["shadow_scores"]), +result.counts


def said(outputs: list[Outbound]) -> list[ShadowScores]:
    found = [read_shadow_scores(each.value) for each in outputs]
    assert all(isinstance(each, ShadowScores) for each in found), found
    return [each for each in found if isinstance(each, ShadowScores)]


BATCHES = decided(model())
SERVED = [served_in(each.value) for each in BATCHES]


@pytest.mark.parametrize("kind", MODELS)
def test_a_challengers_scores_are_those_of_the_path_with_it_as_champion_to_the_bit(kind: str) -> None:
    at = list(MODELS).index(kind)
    found = {
        name: score
        for each in said(shadowed(BATCHES, CHALLENGERS)[0])
        for name, score in zip(ids_of(each.decision_id), each.scores[:, at].tolist(), strict=True)
    }
    would = {
        name: score
        for each in (served_in(record.value) for record in decided(MODELS[kind]))
        for name, score in zip(each.decision_ids(), each.score.tolist(), strict=True)
    }
    assert found == would
    assert len(set(found.values())) > 20


def test_each_record_names_its_decisions_and_what_was_served_and_lies_where_the_batch_lies() -> None:
    outputs, counts = shadowed(BATCHES, CHALLENGERS)
    assert counts == {"scored": sum(map(len, SERVED))}
    for record, served, written_, each in zip(BATCHES, SERVED, outputs, said(outputs), strict=True):
        for name in ("decision_id", "event_time_ms", "score"):
            assert getattr(each, name).tolist() == getattr(served, name).tolist()
        for name in ("tenant", "payment_id"):
            assert getattr(each, name).chosen(range(len(each))) == served.texts(name)
        assert (each.model_hash, each.challengers) == (served.by.model_hash, tuple(c.model_hash for c in CHALLENGERS))
        assert (written_.partition, written_.key, written_.timestamp) == (3, None, record.timestamp)


@settings(derandomize=True, max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(0, len(BATCHES)), max_size=4))
def test_how_many_records_are_read_at_a_time_changes_no_byte(cuts: list[int]) -> None:
    bounds = [0, *sorted(set(cuts)), len(BATCHES)]
    parts = [shadowed(BATCHES[a:b], CHALLENGERS)[0] for a, b in pairwise(bounds)]
    assert [each for part in parts for each in part] == shadowed(BATCHES, CHALLENGERS)[0]


def changed(at: int, change: Any) -> Record:
    return BATCHES[at]._replace(value=write_served(change(SERVED[at])))


def foreign(served: Served) -> Served:
    return replace(served, by=replace(served.by, feature_schema_hash="0" * 64))


def narrow(served: Served) -> Served:
    names = served.by.feature_names[:2]
    return replace(served, by=replace(served.by, feature_names=names), features=served.features[:, :2])


def test_a_batch_of_other_features_gets_a_record_without_scores_and_what_cannot_be_read_none() -> None:
    batch = [
        BATCHES[0],
        changed(1, foreign),
        changed(2, narrow),
        BATCHES[3]._replace(value=b"\xff{"),
        BATCHES[3]._replace(value=None),
        BATCHES[4],
    ]
    outputs, counts = shadowed(batch, CHALLENGERS)
    sizes = [len(SERVED[at]) for at in (0, 1, 2, 4)]
    assert [(each.unscored, *each.scores.shape) for each in said(outputs)] == [
        ("", sizes[0], 2), ("feature_schema", sizes[1], 0), ("feature_schema", sizes[2], 0), ("", sizes[3], 2),
    ]  # fmt: skip
    assert counts == {"scored": sizes[0] + sizes[3], "feature_schema": sizes[1] + sizes[2], "invalid": 2}
    alone = [each for at in (0, 4) for each in shadowed([BATCHES[at]], CHALLENGERS)[0]]
    assert [outputs[0], outputs[3]] == alone, "those among others have the same scores"


class Failing:
    """A model that has no number for every second row."""

    def scores(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(np.arange(len(features)) % 2, np.nan, 1.5)


def test_a_decision_that_nobody_has_a_number_for_counts_as_failed() -> None:
    failing = Challenger("f" * 64, "onnx", Failing())
    count = len(SERVED[0])
    outputs, counts = shadowed(BATCHES[:1], (failing,))
    assert np.isnan(said(outputs)[0].scores[:, 0]).tolist() == [at % 2 == 1 for at in range(count)]
    assert counts == {"scored": count // 2, "failed": count // 2}
    _, counts = shadowed(BATCHES[:1], (failing, CHALLENGERS[0]))
    assert counts == {"scored": count}


def test_without_a_challenger_each_batch_has_a_record_that_says_so() -> None:
    outputs, counts = shadowed(BATCHES, ())
    assert {(each.unscored, each.scores.shape[1]) for each in said(outputs)} == {("no_challenger", 0)}
    assert counts == {"no_challenger": sum(map(len, SERVED))}


def test_scores_of_another_number_than_challengers_are_refused() -> None:
    (good,) = said(shadowed(BATCHES[:1], CHALLENGERS)[0])
    found = read_shadow_scores(write_shadow_scores(replace(good, challengers=good.challengers[:1])))
    assert not isinstance(found, ShadowScores)
    assert (found.reason, found.field) == ("shadow_scores_invalid", "scores")


@given(st.binary(max_size=200))
def test_no_bytes_raise(value: bytes) -> None:
    assert not isinstance(read_shadow_scores(value), ShadowScores)

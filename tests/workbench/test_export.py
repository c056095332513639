"""Batches of served features as a data set: every row as it was served, and none but those that were asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from services.contract.codec import decode
from services.contract.decision import Decision
from services.contract.served import Served, write_served
from services.runtime.settings import load_settings
from services.scorer.path.features.registry import NAMES
from services.workbench.dataset import NEVER_MS, UNLABELLED
from services.workbench.export import Stretch, decoded
from tests.support.decided import Decided
from tests.support.decided import decided as decided_by_hops
from tests.support.offline import schema_hash
from tests.support.payments import payment_log
from tests.support.served import served_in

SCHEMA = schema_hash(load_settings())


@pytest.fixture(scope="module")
def log() -> Decided:
    return decided_by_hops(payment_log(5, 600, accounts=80, clean=True))


def values(log: Decided) -> list[bytes]:
    return [each.value or b"" for each in log.features]


def batches(log: Decided) -> list[Served]:
    return [served_in(each) for each in values(log)]


def test_a_data_set_has_every_decision_with_the_features_that_it_was_made_of(log: Decided) -> None:
    data, left_out = decoded(values(log), Stretch(SCHEMA))
    decisions = [decode(each.value, Decision) for each in log.decisions]
    assert len(values(log)) > 3
    assert left_out == 0
    assert data.decision_id.tolist() == [each.decision_id for each in decisions]
    assert data.payment_id.tolist() == [each.payment_id for each in decisions]
    assert data.tenant.tolist() == [each.tenant for each in decisions]
    assert data.outcome.tolist() == [each.outcome for each in decisions]
    assert set(data.outcome.tolist()) == {"pass", "review"}
    assert data.event_ms.tolist() == [each.event_time_ms for each in decisions]
    assert data.score.tolist() == [each.score for each in decisions]
    assert data.payee.tolist() == [(each.key or b"").decode() for each in log.decisions]
    assert {each[:12] for each in data.model_hash.tolist()} == {each.model for each in decisions}
    assert {each[:12] for each in data.ruleset_hash.tolist()} == {each.ruleset for each in decisions}
    served = np.concatenate([each.features for each in batches(log)])
    assert data.features.tobytes() == served.tobytes()
    assert data.payer.tolist() == [payer for each in batches(log) for payer in each.texts("payer")]
    assert (data.label == UNLABELLED).all()
    assert (data.label_ms == NEVER_MS).all()


def test_rows_outside_the_stretch_are_left_out_and_not_counted(log: Decided) -> None:
    whole, _ = decoded(values(log), Stretch(SCHEMA))
    early, late = (int(np.quantile(whole.event_ms, share)) for share in (0.2, 0.7))
    data, left_out = decoded(values(log), Stretch(SCHEMA, early, late))
    inside = (whole.event_ms >= early) & (whole.event_ms <= late)
    assert 0 < inside.sum() < len(whole)
    assert data.decision_id.tolist() == whole.decision_id[inside].tolist()
    assert data.features.tobytes() == whole.features[inside].tobytes()
    assert left_out == 0


@pytest.mark.parametrize("changed", [{"feature_schema_hash": "0" * 64}, {"feature_names": tuple(reversed(NAMES))}])
def test_rows_of_other_features_are_counted_and_those_that_nobody_can_read_are_not(
    log: Decided, changed: dict[str, object]
) -> None:
    first, *others = batches(log)
    other = write_served(replace(first, by=replace(first.by, **changed)))  # type: ignore[arg-type]
    whole, _ = decoded(values(log), Stretch(SCHEMA))
    until = int(np.median(first.event_time_ms))
    data, left_out = decoded([other, b"no batch", *map(write_served, others)], Stretch(SCHEMA, upto_ms=until))
    assert left_out == int((first.event_time_ms <= until).sum()) > 0
    assert data.decision_id.tolist() == [
        name
        for name, at_ms in zip(whole.decision_id[len(first) :], whole.event_ms[len(first) :], strict=True)
        if at_ms <= until
    ]


def test_of_nothing_there_is_an_empty_data_set_of_the_schema() -> None:
    data, left_out = decoded([], Stretch(SCHEMA))
    assert (len(data), left_out, data.feature_schema_hash) == (0, 0, SCHEMA)
    assert data.features.shape == (0, len(NAMES))

"""A generated data set is what workers would have served, with the generator's labels."""

from __future__ import annotations

import numpy as np

from services.generator import Configuration, generate
from services.runtime.settings import load_settings
from services.scorer.path.records import Record
from services.scorer.path.replay import Replay
from services.scorer.rulebook.ruleset_file import load_ruleset
from services.workbench.dataset import UNLABELLED
from services.workbench.generated import generated

CONFIGURATION = Configuration(payers=150, months=4, seed=5, base_rate="unit_test", profile="remitter")


def test_a_generated_data_set_has_every_payment_once_with_its_features_and_late_labels() -> None:
    ruleset = load_ruleset(load_settings())
    shares: list[float] = []
    data = generated(CONFIGURATION, ruleset, shares.append)
    records = [
        Record(at, ms, key, value)
        for chunk in generate(CONFIGURATION)
        for at, (key, value, ms) in enumerate(zip(chunk.keys, chunk.values, chunk.times_ms.tolist(), strict=True))
    ]
    payments, features = Replay(ruleset).measure(records)
    assert len(data) == len(payments) == len(set(data.decision_id.tolist())) > 500
    order = np.argsort([payment.event_time_ms for payment in payments], kind="stable")
    np.testing.assert_array_equal(data.features, features[order])
    assert data.payment_id.tolist() == [payments[at].payment_id for at in order.tolist()]
    known = data.label != UNLABELLED
    assert known.any()
    assert (data.label_ms[known] > data.event_ms[known]).all()
    assert (data.label_ms[known] <= data.as_of_ms).all()
    assert shares == sorted(shares)

"""Machines' batches as people read them: every number stands under the name of what it is of."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.contract.columns import Columns
from services.contract.layouts import LAYOUTS, rows_of
from services.contract.served import SERVED, Served, write_served
from services.contract.topics import Topics
from tests.contract.batches import EVERY_KIND, any_columns, served
from tests.contract.payloads import SEEDED

COUNTS = st.integers(0, 3)


def test_every_topic_of_columns_has_its_layout_and_every_layout_its_topic() -> None:
    assert {each.columns for each in Topics().all() if each.columns} == set(LAYOUTS)
    for layout in LAYOUTS.values():
        assert {each.named_by for each in layout.columns if each.named_by} <= set(layout.metadata)


def naive_row(batch: Served, row: int) -> dict[str, Any]:
    """What a person is to read of a row, field by field."""
    by = batch.by
    packs, outcomes = batch.packs[row].tolist(), ["no_hit", "hit", "error"]
    return {
        "decision_id": str(UUID(bytes=bytes(batch.decision_id[row].tolist()))),
        **{name: batch.texts(name)[row] for name in ("tenant", "payment_id", "payer", "payee")},
        **{
            name: getattr(batch, name)[row].item()
            for name in ("event_time_ms", "appended_ms", "partition", "offset", "score", "probability")
        },
        "outcome": ["pass", "review"][batch.outcome[row]],
        "rules": dict(zip(by.rule_ids, (outcomes[code] for code in batch.rules[row].tolist()), strict=True)),
        "packs": {
            pack: {"payer": packs[2 * at], "payee": packs[2 * at + 1]} for at, pack in enumerate(by.pack_names)
        },
        "features": dict(zip(by.feature_names, batch.features[row].tolist(), strict=True)),
        "model_version": str(by.model_version),
        "model_hash": by.model_hash,
        "ruleset_hash": by.ruleset_hash,
        "feature_schema_hash": by.feature_schema_hash,
    }  # fmt: skip


@SEEDED
@given(features=COUNTS, rules=COUNTS, packs=COUNTS, seed=st.integers(0, 2**32 - 1), chosen=st.sets(st.integers(0, 4)))
def test_rows_of_served_features_say_what_their_columns_hold(
    features: int, rules: int, packs: int, seed: int, chosen: set[int]
) -> None:
    batch = served(5, features, rules, packs, seed)
    read = SERVED.read(write_served(batch), "unread")
    assert isinstance(read, Columns)
    found = list(rows_of(SERVED, read, sorted(chosen)))
    np.testing.assert_equal(found, [naive_row(batch, row) for row in sorted(chosen)])


@SEEDED
@given(any_columns())
def test_lists_without_names_and_numbers_without_codes_are_told_as_they_are(batch: Columns) -> None:
    found = list(rows_of(EVERY_KIND, batch, range(batch.rows)))
    assert len(found) == batch.rows
    for row, told in enumerate(found):
        np.testing.assert_equal(told["reals"], batch.arrays["reals"][row].tolist())
        np.testing.assert_equal(told["codes"], batch.arrays["codes"][row].tolist())
        assert (told["name"], told["said"]) == (batch.texts("name")[row], batch.said["said"])


def test_a_code_and_a_list_that_the_metadata_does_not_explain_are_told_as_numbers() -> None:
    read = SERVED.read(write_served(served(1, rules=3)), "unread")
    assert isinstance(read, Columns)
    arrays = {**read.arrays, "outcome": np.array([9], dtype=np.uint8), "rules": np.array([[0, 1, 7]], dtype=np.uint8)}
    (told,) = rows_of(SERVED, Columns(1, arrays, {**read.said, "rule_ids": "only-one"}), [0])
    assert (told["outcome"], told["rules"]) == (9, ["no_hit", "hit", 7])

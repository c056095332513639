"""A decision computed again is held against two records: its bytes, and the bits that it was made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from services.contract.columns import Texts
from services.contract.served import Served
from services.scorer.audit.recompute import Recomputed
from tests.contract.batches import served

DECISION = b'{"decision_id":"d","score":0.5}'
ROW = served(1)


def recomputed(decision: bytes = DECISION, row: Served = ROW) -> Recomputed:
    return Recomputed(DECISION, decision, ROW, row, 7)


def test_what_agrees_in_every_bit_is_the_same() -> None:
    of_a_batch = served(3).part(slice(0, 1))
    assert recomputed().same
    again = Recomputed(DECISION, DECISION, of_a_batch, served(3).part(slice(0, 1)), 7)
    assert again.same
    assert (
        again.summary
        == f"the same {len(DECISION)} bytes, made of the same bits in features.v1, from 7 records of the logs"
    )


@pytest.mark.parametrize(
    ("decision", "said"),
    [
        (b'{"decision_id":"d","score":0.75}', "DIFFERENT in score"),
        (b'{"decision_id":"d","rules":[],"score":0.5}', "DIFFERENT in rules"),
        (b'{"decision_id": "d","score":0.5}', "DIFFERENT in spelling"),
    ],
)
def test_a_decision_of_other_bytes_is_told_by_its_fields(decision: bytes, said: str) -> None:
    found = recomputed(decision)
    assert not found.same
    assert found.summary == said


def last_bit(values: np.ndarray) -> np.ndarray:
    """``values``, the last bit of the last of them turned."""
    bits = values.copy().view(np.uint8)
    bits[..., -values.itemsize] ^= 1
    return bits.view(values.dtype)


CHANGES: dict[str, Callable[[Served], Served]] = {
    "features": lambda row: replace(row, features=last_bit(row.features)),
    "packs": lambda row: replace(row, packs=last_bit(row.packs)),
    "rules": lambda row: replace(row, rules=row.rules ^ np.uint8(1)),
    "score": lambda row: replace(row, score=last_bit(row.score)),
    "offset": lambda row: replace(row, offset=row.offset + 1),
    "payee": lambda row: replace(row, payee=Texts.of([b"somebody else"])),
    "metadata": lambda row: replace(row, by=replace(row.by, model_hash="0" * 64)),
}


@pytest.mark.parametrize("column", CHANGES)
def test_one_bit_of_what_it_was_made_of_is_told_by_its_column(column: str) -> None:
    found = recomputed(row=CHANGES[column](ROW))
    assert not found.same
    assert found.summary == f"DIFFERENT in {column} (features.v1)"


def test_a_missing_number_is_the_same_as_itself_and_not_as_one_with_other_bits() -> None:
    missing = replace(ROW, features=np.full_like(ROW.features, np.nan))
    one = replace(missing, features=missing.features.copy())
    other = replace(missing, features=-missing.features)
    assert Recomputed(DECISION, DECISION, missing, one, 1).same
    assert not Recomputed(DECISION, DECISION, missing, other, 1).same

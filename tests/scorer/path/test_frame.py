"""A frame's parts, one by one: what names it, and what the payee hop reads of it."""

from __future__ import annotations

import numpy as np
import pytest

from services.contract.decision import Origin
from services.scorer.path.features.inputs import PAYEE_INPUT
from services.scorer.path.features.registry import INDEX
from services.scorer.path.frame import (
    HEADER,
    LABEL,
    OUTFLOW,
    PAYMENT,
    PAYMENT_HEAD,
    is_payment_from,
    schema_number,
)
from services.scorer.path.frame_reading import read_frames
from services.scorer.path.hops import schema_of
from tests.scorer.path.test_frames import FRAME
from tests.scorer.path.test_hops import RULESET


def test_a_schema_is_known_by_its_first_eight_bytes() -> None:
    schema = bytes(range(1, 10))
    assert schema_number(schema) == 0x0807060504030201
    assert schema_number(schema[:8]) == schema_number(schema)


def test_a_payment_is_found_by_its_origin_and_nothing_else_passes_for_it() -> None:
    value = FRAME[PAYMENT].value or b""
    header = np.frombuffer(value, dtype=HEADER, count=1)[0]
    partition, offset = int(header["partition"]), int(header["offset"])
    assert is_payment_from(value, Origin(partition, offset))
    assert is_payment_from(value[: HEADER.itemsize], Origin(partition, offset)), "its header says so"
    assert not is_payment_from(value, Origin(partition + 1, offset))
    assert not is_payment_from(value, Origin(partition, offset + 1))
    for other in (value[: HEADER.itemsize - 1], b"", b"{" + value[1:], b"{}"):
        assert not is_payment_from(other, Origin(partition, offset))


@pytest.mark.parametrize("kind", [OUTFLOW, LABEL])
def test_what_is_no_payment_is_not_found_as_one(kind: int) -> None:
    value = FRAME[kind].value or b""
    header = np.frombuffer(value, dtype=HEADER, count=1)[0]
    assert not is_payment_from(value, Origin(int(header["partition"]), int(header["offset"])))


def test_the_payee_hop_reads_what_the_payer_hop_measured_and_of_notes_their_amount_alone() -> None:
    frames = read_frames([FRAME[PAYMENT], FRAME[OUTFLOW]], schema_of(RULESET), 1, None)
    told = frames.told.copy()
    told["features"] = 1.0 + np.arange(told["features"].shape[1])
    for name in PAYMENT_HEAD["told"].names or ():
        if told[name].ndim == 1:
            told[name] = 3
    frames.told = told
    rows = frames.inputs()
    assert rows["outflow"].tolist() == [False, True]
    assert rows["amount"][1] == frames.headers["amount"][1] > 0.0
    assert rows["event_ms"].tolist() == frames.headers["event_ms"].tolist()
    names = PAYEE_INPUT.names or ()
    measured = [name for name in names if name in INDEX]
    assert [float(rows[name][0]) for name in measured] == [1.0 + INDEX[name] for name in measured]
    given = [name for name in told.dtype.names or () if name in names and name not in INDEX and told[name].ndim == 1]
    assert len(given) >= 6
    assert {name: float(rows[name][0]) for name in given} == {name: float(told[name][0]) for name in given}
    assert all(not np.asarray(rows[name][1]).any() for name in (*measured, *given) if name != "amount")

"""A frame's parts, one by one: what names it, and what the payee hop reads of it."""

from __future__ import annotations

import numpy as np
import pytest

from services.contract.decision import Origin
from services.contract.label import PaymentLabel
from services.scorer.path.features.inputs import PAYEE_INPUT, PAYER_INPUT
from services.scorer.path.features.registry import INDEX, PAYER_HOP
from services.scorer.path.frame import (
    HEADER,
    LABEL,
    LABEL_FRAME,
    OUTFLOW,
    PAYMENT,
    PAYMENT_HEAD,
    TOLD,
    Source,
    headers_of,
    is_payment_from,
    label_frames,
    schema_number,
    told_of,
)
from services.scorer.path.frame_reading import read_frames
from services.scorer.path.hops import schema_of
from tests.scorer.path.logs import START_MS
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


def test_a_label_is_framed_with_its_place_and_what_it_says() -> None:
    label = PaymentLabel("p-0", "a", "b", START_MS, True, 50.0, 2.5)
    unknown = PaymentLabel("p-1", "a", "b", START_MS + 1, False, None, None)
    framed = label_frames([label, unknown], [7, 8], Source(2, 99, 3), [b"te", b"t"])
    assert [frame[LABEL_FRAME.itemsize :] for frame in framed] == [b"te", b"t"]
    rows = [np.frombuffer(frame, dtype=LABEL_FRAME, count=1)[0] for frame in framed]
    for at, (row, said, frame) in enumerate(zip(rows, (label, unknown), framed, strict=True)):
        header = row["header"]
        assert (int(header["kind"]), int(header["partition"]), int(header["schema"])) == (LABEL, 2, 99)
        assert (int(header["generation"]), int(header["offset"]), int(header["event_ms"])) == (
            3,
            7 + at,
            said.event_time_ms,
        )
        assert (int(header["size"]), int(header["tenant"])) == (len(frame), 2 - at)
        assert bool(row["confirmed"]) is said.confirmed
    assert (float(rows[0]["header"]["amount"]), float(rows[0]["over_cleared"])) == (50.0, 2.5)
    assert np.isnan([rows[1]["header"]["amount"], rows[1]["over_cleared"]]).all()


def test_the_headers_of_payments_name_their_places() -> None:
    payments = np.zeros(3, dtype=PAYER_INPUT)
    payments["event_ms"], payments["amount"] = [1, 2, 3], [10.0, 20.0, 30.0]
    headers = headers_of(payments, np.array([2, 0]), [9, 7], Source(1, 5, 2))
    assert headers["kind"].tolist() == [PAYMENT, PAYMENT]
    assert headers["offset"].tolist() == [9, 7]
    assert headers["event_ms"].tolist() == [3, 1]
    assert headers["amount"].tolist() == [30.0, 10.0]
    assert [headers[name].tolist() for name in ("partition", "schema", "generation")] == [[1, 1], [5, 5], [2, 2]]


def test_a_log_that_took_no_others_place_is_the_first() -> None:
    assert Source(1, 5) == (1, 5, 0)


def test_what_is_told_of_payments_is_theirs() -> None:
    payments = np.zeros(3, dtype=PAYER_INPUT)
    payments["payee_opened_ms"] = [4, 5, 6]
    features = np.arange(3.0 * len(PAYER_HOP)).reshape(3, -1)
    recent = 7 + np.arange(3 * TOLD["recent_payees"].shape[0], dtype=np.uint16).reshape(3, -1)
    told = told_of(payments, features, recent, np.array([2, 0]))
    assert told["opened_ms"].tolist() == [6, 4]
    assert told["features"].tolist() == features[[2, 0]].tolist()
    assert told["recent_payees"].tolist() == recent[[2, 0]].tolist()


@pytest.mark.parametrize("kind", [OUTFLOW, LABEL])
def test_what_is_no_payment_is_not_found_as_one(kind: int) -> None:
    value = FRAME[kind].value or b""
    header = np.frombuffer(value, dtype=HEADER, count=1)[0]
    assert not is_payment_from(value, Origin(int(header["partition"]), int(header["offset"])))


def test_the_payee_hop_reads_what_the_payer_hop_measured_and_of_notes_their_amount_alone() -> None:
    frames = read_frames([FRAME[PAYMENT], FRAME[OUTFLOW]], schema_of(RULESET), 1, None)
    assert frames.duplicates == 0
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

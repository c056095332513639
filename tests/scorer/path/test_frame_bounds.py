"""Frames at the bounds of what the payer hop can write are read: only what is beyond them is put aside."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from services.contract.codec import Rejection
from services.contract.fields import AMOUNT_EUR_MAX, EVENT_TIME_MS_MAX, OVER_CLEARED_MAX
from services.scorer.path.decode import FUTURE_MS_MAX
from services.scorer.path.features.inputs import COUNTRY_CODE, STATUS_CODE
from services.scorer.path.features.state import account_key
from services.scorer.path.frame import GENERATIONS_MAX, HEADER, LABEL, OUTFLOW, PAYMENT, Frames
from services.scorer.path.frame_reading import read_frames
from services.scorer.path.hops import schema_of
from services.scorer.path.records import Record
from tests.scorer.path.test_frames import APPENDED_MS, FRAME, field
from tests.scorer.path.test_hops import RULESET

LONGEST_TENANT = ("\N{GRINNING FACE}" * 128).encode()
"""Of 512 bytes."""


def read(*records: Record) -> Frames:
    return read_frames(list(records), schema_of(RULESET), 2)


def why(record: Record) -> Rejection | None:
    """Why a frame is put aside; ``None`` where it is read."""
    frames = read(record)
    assert len(frames.rejected) + len(frames.records) + len(frames.labelled) == 1
    return frames.rejected[0][1] if frames.rejected else None


AT_A_BOUND: list[tuple[int, str, Any]] = [
    (PAYMENT, "offset", 0),
    (PAYMENT, "offset", 2**47 - 1),
    (PAYMENT, "partition", 1),
    (PAYMENT, "generation", GENERATIONS_MAX),
    (PAYMENT, "amount", 0.0),
    (PAYMENT, "amount", AMOUNT_EUR_MAX),
    (PAYMENT, "amount", np.nan),
    (OUTFLOW, "amount", 0.0),
    (OUTFLOW, "event_ms", 0),
    (OUTFLOW, "event_ms", APPENDED_MS + FUTURE_MS_MAX),
    (LABEL, "header.event_ms", EVENT_TIME_MS_MAX),
    (LABEL, "over_cleared", 0.0),
    (LABEL, "over_cleared", OVER_CLEARED_MAX),
    (LABEL, "over_cleared", np.nan),
    *((PAYMENT, "told.status", value) for value in (0, len(STATUS_CODE) - 1)),
    *((PAYMENT, "told.payer_country", value) for value in (-1, 0, max(COUNTRY_CODE.values()))),
    *((PAYMENT, "told.opened_ms", value) for value in (-1, 0, EVENT_TIME_MS_MAX)),
    *((PAYMENT, "told.features", value) for value in (-OVER_CLEARED_MAX, OVER_CLEARED_MAX, np.nan)),
]


@pytest.mark.parametrize("kind, name, value", AT_A_BOUND)
def test_a_frame_at_a_bound_is_read(kind: int, name: str, value: Any) -> None:
    assert why(field(kind, name, value)) is None


@pytest.mark.parametrize(
    "kind, name, value, at",
    [
        (PAYMENT, "told.payer_country", -2, "payer_country"),
        (PAYMENT, "told.opened_ms", -2, "opened_ms"),
        (PAYMENT, "told.opened_ms", EVENT_TIME_MS_MAX + 1, "opened_ms"),
        (PAYMENT, "told.status", len(STATUS_CODE), "status"),
        (PAYMENT, "told.features", np.nextafter(OVER_CLEARED_MAX, np.inf), "features"),
        (PAYMENT, "amount", np.nextafter(AMOUNT_EUR_MAX, np.inf), "amount"),
        (PAYMENT, "offset", 2**47, "offset"),
        (LABEL, "over_cleared", np.nextafter(OVER_CLEARED_MAX, np.inf), "over_cleared"),
    ],
)
def test_a_frame_just_beyond_a_bound_is_put_aside(kind: int, name: str, value: Any, at: str) -> None:
    said = why(field(kind, name, value))
    assert said is not None
    assert (said.reason, said.field) == ("frame_invalid", at)


@pytest.mark.parametrize(
    "appended_ms, event_ms, is_read",
    [
        (0, FUTURE_MS_MAX, True),
        (0, FUTURE_MS_MAX + 1, False),
        (1, FUTURE_MS_MAX + 2, False),
        # Where the broker tells no time of the append, there is none to be ahead of.
        (-1, EVENT_TIME_MS_MAX, True),
    ],
)
def test_what_is_ahead_of_its_append_by_more_than_a_day_is_put_aside(
    appended_ms: int, event_ms: int, is_read: bool
) -> None:
    said = why(field(OUTFLOW, "event_ms", event_ms)._replace(timestamp=appended_ms))
    assert (said is None) == is_read
    assert said is None or said.reason == "event_time_in_future"
    of_label = field(LABEL, "header.event_ms", event_ms)._replace(timestamp=appended_ms)
    assert why(of_label) is None, "a label tells the time of a payment that was read"


@pytest.mark.parametrize(
    "tenant, is_read",
    [(LONGEST_TENANT, True), (LONGEST_TENANT + b"x", False), (b"t", True), (b"t" * 128, True), (b"t" * 129, False)],
)
def test_a_tenant_has_as_many_characters_as_the_contract_allows(tenant: bytes, is_read: bool) -> None:
    value = FRAME[OUTFLOW].value or b""
    head = np.frombuffer(value, dtype=HEADER, count=1).copy()
    head["tenant"], head["size"] = len(tenant), HEADER.itemsize + len(tenant)
    assert (why(FRAME[OUTFLOW]._replace(value=head.tobytes() + tenant)) is None) == is_read


def test_a_label_says_of_whom_it_is_and_whether_it_was_confirmed() -> None:
    frames = read(field(LABEL, "confirmed", 0), field(LABEL, "confirmed", 1)._replace(key=b"another"))
    assert frames.labels["confirmed"].tolist() == [False, True]
    assert frames.labelled == [account_key(b"default", b"b"), account_key(b"default", b"another")]

"""Frames that are corrupt or forged: each is a dead letter, moves no clock and makes no later payment vanish."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from services.contract.codec import encode
from services.contract.dead_letter import read_dead_letter
from services.contract.fields import EVENT_TIME_MS_MAX
from services.contract.label import PaymentLabel
from services.contract.payment import Party, Payment
from services.scorer.path.decode import FUTURE_MS_MAX
from services.scorer.path.frame import GENERATIONS_MAX, HEADER, LABEL, LABEL_FRAME, OUTFLOW, PAYMENT, PAYMENT_HEAD
from services.scorer.path.frame_reading import OFFSET_MAX
from services.scorer.path.hops import PayeeHop, PayerHop
from services.scorer.path.records import HopResult, Record
from services.scorer.path.replay import label_record
from tests.scorer.path.logs import START_MS
from tests.scorer.path.test_hops import RULESET, model

APPENDED_MS = START_MS + 1_000
PAYMENTS = [
    Payment(f"p-{at}", START_MS + at, 5_000, "EUR", Party("a", country="DE"), Party("b", country="PH", opened_ms=5))
    for at in range(2)
]
LABEL_OF = PaymentLabel("p-0", "a", "b", START_MS, True, 50.0, 1.0)
KEYS = {PAYMENT: b"b", OUTFLOW: b"a", LABEL: b"b"}


def payee_hop(repeats_possible: bool = False) -> PayeeHop:
    return PayeeHop(RULESET, "by-payee", 0, 2, 1, repeats_possible)


def frames() -> list[Record]:
    """Of a payment, its note, its label, another payment and its note, as the payer hop writes them."""
    log = [
        Record(0, APPENDED_MS, b"a", encode(PAYMENTS[0])),
        label_record(LABEL_OF, 1, APPENDED_MS),
        Record(2, APPENDED_MS, b"a", encode(PAYMENTS[1])),
    ]
    out = PayerHop(RULESET, "payments.v1", 0, 1).process(log, model()).outputs["payments_by_payee"]
    return [Record(at, each.timestamp, each.key, each.value) for at, each in enumerate(out)]


def kind_of(record: Record) -> int:
    return int(np.frombuffer(record.value or b"", dtype=HEADER, count=1)["kind"][0])


FRAME = {kind_of(each): each for each in reversed(frames())}
"""The first of each kind."""


def field(kind: int, name: str, value: Any) -> Record:
    """The frame of ``kind`` with one number changed; a name with a dot is one that the payer hop told."""
    frame = FRAME[kind].value or b""
    layout = {PAYMENT: PAYMENT_HEAD, LABEL: LABEL_FRAME, OUTFLOW: HEADER}[kind]
    head = np.frombuffer(frame, dtype=layout, count=1).copy()
    part, _, inner = name.rpartition(".")
    (head[part] if part else head if inner in (layout.names or ()) else head["header"])[inner] = value
    return FRAME[kind]._replace(value=head.tobytes() + frame[head.nbytes :])


def spliced(old: bytes, new: bytes) -> Record:
    """The payment's frame with a piece of the same length replaced."""
    assert len(old) == len(new)
    assert old in (FRAME[PAYMENT].value or b"")
    return FRAME[PAYMENT]._replace(value=(FRAME[PAYMENT].value or b"").replace(old, new))


def cut(stop: int) -> Record:
    return FRAME[PAYMENT]._replace(value=(FRAME[PAYMENT].value or b"")[:stop])


INVALID = "frame_invalid"
FORGED: list[tuple[str, Record, str, str]] = [
    ("nothing", cut(0), INVALID, ""),
    ("a header only", cut(HEADER.itemsize), INVALID, ""),
    ("cut in the payment", cut(-1), INVALID, ""),
    ("no key", FRAME[PAYMENT]._replace(key=None), INVALID, "key"),
    ("of another kind", field(PAYMENT, "kind", 7), INVALID, ""),
    ("a payment that says it is a note", field(PAYMENT, "kind", OUTFLOW), INVALID, ""),
    ("a payment that says it is a label", field(PAYMENT, "kind", LABEL), INVALID, ""),
    ("a note that says it is a payment", field(OUTFLOW, "kind", PAYMENT), INVALID, ""),
    ("another schema", field(PAYMENT, "schema", 7), "feature_schema_mismatch", ""),
    ("no such partition", field(PAYMENT, "partition", 2), INVALID, "partition"),
    ("the last partition there could be", field(LABEL, "header.partition", 65_535), INVALID, "partition"),
    ("a tenant that is the whole frame", field(PAYMENT, "tenant", 65_535), INVALID, ""),
    ("no tenant", field(OUTFLOW, "tenant", 0), INVALID, ""),
    ("an id where none is", field(OUTFLOW, "payment_id", 3), INVALID, ""),
    ("an offset below 0", field(PAYMENT, "offset", -1), INVALID, "offset"),
    ("an offset that no log has", field(PAYMENT, "offset", OFFSET_MAX), INVALID, "offset"),
    ("the largest offset", field(OUTFLOW, "offset", 2**63 - 1), INVALID, "offset"),
    ("a log replaced without end", field(PAYMENT, "generation", GENERATIONS_MAX + 1), INVALID, "generation"),
    ("a label's offset", field(LABEL, "header.offset", 2**62), INVALID, "offset"),
    ("a time before 1970", field(PAYMENT, "event_ms", -1), INVALID, "event_ms"),
    ("a time after all", field(OUTFLOW, "event_ms", EVENT_TIME_MS_MAX + 1), INVALID, "event_ms"),
    ("the largest time", field(LABEL, "header.event_ms", 2**63 - 1), INVALID, "event_ms"),
    ("in future", field(OUTFLOW, "event_ms", APPENDED_MS + FUTURE_MS_MAX + 1), "event_time_in_future", "event_ms"),
    ("another time", field(PAYMENT, "event_ms", START_MS + 1), INVALID, ""),
    ("an amount below 0", field(PAYMENT, "amount", -1.0), INVALID, "amount"),
    ("an endless amount", field(PAYMENT, "amount", np.inf), INVALID, "amount"),
    ("a note of no amount", field(OUTFLOW, "amount", np.nan), INVALID, "amount"),
    ("a status below 0", field(PAYMENT, "told.status", -1), INVALID, "status"),
    ("a status that is none", field(PAYMENT, "told.status", 4), INVALID, "status"),
    ("a country behind the set", field(PAYMENT, "told.payer_country", 704), INVALID, "payer_country"),
    ("a country far behind", field(PAYMENT, "told.payer_country", 2**31 - 1), INVALID, "payer_country"),
    ("a country before the set", field(PAYMENT, "told.payer_country", -(2**31)), INVALID, "payer_country"),
    ("opened after all", field(PAYMENT, "told.opened_ms", 2**62), INVALID, "opened_ms"),
    ("endless features", field(PAYMENT, "told.features", np.inf), INVALID, "features"),
    ("an endless flag", field(PAYMENT, "told.confirmed", -np.inf), INVALID, "features"),
    ("an endless ratio", field(LABEL, "over_cleared", np.inf), INVALID, "over_cleared"),
    ("a ratio below 0", field(LABEL, "over_cleared", -1.0), INVALID, "over_cleared"),
    ("neither confirmed nor cleared", field(LABEL, "confirmed", 2), INVALID, "over_cleared"),
    ("a tenant with a control character", spliced(b"default", b"def\x1fult"), INVALID, ""),
    ("a tenant that is no text", spliced(b"default", b"defa\xfflt"), INVALID, ""),
    ("another payment id", spliced(b"p-0{", b"p-9{"), INVALID, ""),
    ("another account", FRAME[PAYMENT]._replace(key=b"c"), INVALID, ""),
    ("a note for no account", FRAME[OUTFLOW]._replace(key=b"\xff"), INVALID, "tenant"),
    ("a label for no account", FRAME[LABEL]._replace(key=b""), INVALID, "tenant"),
    ("a payment that is no JSON", spliced(b'"currency"', b'"currency '), INVALID, ""),
    ("a payment that is no text", spliced(b'"DE"', b'"\xff\xfe"'), INVALID, ""),
    ("a payment without an amount", spliced(b'"amount_minor"', b'"amount_miner"'), INVALID, "amount_minor"),
]  # fmt: skip


@pytest.mark.parametrize("repeats_possible", [False, True])
@pytest.mark.parametrize(("record", "reason", "at"), [pytest.param(*rest, id=why) for why, *rest in FORGED])
def test_a_forged_frame_is_put_aside_and_changes_nothing(
    record: Record, reason: str, at: str, repeats_possible: bool
) -> None:
    hop, alone = payee_hop(repeats_possible), payee_hop(repeats_possible)
    result = hop.process([record], model())
    (letter,) = result.outputs["dead_letters"]
    said = read_dead_letter(letter.headers)
    assert (said.reason, said.field, letter.value, letter.key) == (reason, at, record.value or b"", record.key)
    assert result.outputs["decisions"] == []
    assert (hop.state.watermark.tolist(), hop.state.origins.tolist(), len(hop.state)) == ([0], [-1, -1], 0)
    assert outputs(hop.process(frames(), model())) == outputs(alone.process(frames(), model()))


def outputs(result: HopResult) -> Any:
    assert result.counts["decided"] == len(PAYMENTS)
    assert result.counts["label"] == 1
    return result.outputs


@pytest.mark.parametrize("at", range(len(frames()) + 1))
def test_a_bad_frame_between_good_ones_leaves_them_their_places(at: int) -> None:
    good = frames()
    mixed = [*good[:at], FRAME[PAYMENT]._replace(key=b"c"), *good[at:]]
    found = payee_hop().process(mixed, model())
    assert found.outputs["decisions"] == payee_hop().process(good, model()).outputs["decisions"]
    assert found.counts["dead_letter"] == 1


def test_where_nothing_repeats_a_forged_offset_makes_no_payment_vanish() -> None:
    forged = field(PAYMENT, "offset", OFFSET_MAX - 1)
    lost, kept = payee_hop(repeats_possible=True), payee_hop()
    for hop in (lost, kept):
        hop.process([forged], model())
    assert lost.process(frames()[3:], model()).counts["duplicate"] == 1, "the price of at-least-once, which docs tell"
    assert kept.process(frames()[3:], model()).counts["decided"] == 1


def test_what_a_log_holds_that_took_the_place_of_another_is_no_repeat() -> None:
    """Its offsets begin anew; without the generation every payment of it would vanish."""
    payer, hop = PayerHop(RULESET, "payments.v1", 0, 1), payee_hop(repeats_possible=True)
    hop.process(frames(), model())
    payer.state.begin_at(0, generation=1)
    log = [Record(0, APPENDED_MS, b"a", encode(PAYMENTS[1]))]
    out = payer.process(log, model()).outputs["payments_by_payee"]
    again = [Record(9 + at, each.timestamp, each.key, each.value) for at, each in enumerate(out)]
    assert hop.process(again, model()).counts["decided"] == 1
    assert hop.process(again, model()).counts["duplicate"] == 1


def test_every_byte_of_a_frame_may_be_any_other() -> None:
    """Nothing raises; and what is still taken for a frame gives decisions that can be read."""
    for kind, record in FRAME.items():
        value = record.value or b""
        hop = payee_hop()
        for at in range(min(len(value), 1_500)):
            for bits in (0x01, 0x80, 0xFF):
                changed = value[:at] + bytes([value[at] ^ bits]) + value[at + 1 :]
                result = hop.process([record._replace(value=changed)], model())
                taken = result.counts["decided"] + result.counts["label"] + (kind == OUTFLOW)
                assert taken or result.counts["dead_letter"]

"""Identity of payments and time at the payer hop: repeats, conflicts, wrong partitions, times that cannot be."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import structs

from services.contract.codec import encode
from services.contract.dead_letter import DeadLetter, read_dead_letter
from services.contract.partitioner import partition_of
from services.contract.payment import Party, Payment
from services.contract.units import DAY_MS, HOUR_MS
from services.runtime.settings import load_settings
from services.scorer.path.features.registry import feature_schema_hash
from services.scorer.path.hops import PayeeHop, PayerHop
from services.scorer.path.intake import Intake
from services.scorer.path.records import HopResult, Record
from services.scorer.path.scoring.model import untrained_model
from services.scorer.rulebook.ruleset_file import load_ruleset
from tests.support.states import contents

RULESET = load_ruleset(load_settings())
MODEL = untrained_model(feature_schema_hash(RULESET.parameters))
START_MS = 1_700_000_000_000
YEARS_50_MS = 50 * 365 * DAY_MS
PARTITIONS = 4


def paid(number: int, payer: str = "", **changed: Any) -> Payment:
    """A remittance by one of seven payers, each after the one before."""
    payment = Payment(
        f"p{number}",
        START_MS + number * 1_000,
        1_000 + number,
        "EUR",
        Party(payer or f"A{number % 7}", country="SE"),
        Party(f"B{number % 5}", country="PH", phone=f"t{number % 3}"),
        reference="for dinner",
    )
    return structs.replace(payment, **changed)


def record(offset: int, payment: Payment, value: bytes | None = None, appended_ms: int = -1) -> Record:
    return Record(offset, appended_ms, payment.payer.account.encode(), encode(payment) if value is None else value)


def log_of(payments: list[Payment], first_offset: int = 0) -> list[Record]:
    return [record(first_offset + at, payment) for at, payment in enumerate(payments)]


def hop(**chosen: int) -> PayerHop:
    return PayerHop(RULESET, "payments.v1", 0, 1, intake=Intake(**chosen))


def letters(result: HopResult) -> list[DeadLetter]:
    return [read_dead_letter(letter.headers) for letter in result.outputs["dead_letters"]]


def outcome(result: HopResult) -> dict[str, int]:
    return {name: count for name, count in result.counts.items() if count}


def bad(offset: int) -> Record:
    return Record(offset, -1, b"A0", b"{")


def test_a_file_that_is_replayed_whole_changes_nothing() -> None:
    file = [paid(number) for number in range(500)]
    file[60] = structs.replace(file[20], status="returned")
    once = hop()
    once.process(log_of(file), MODEL)
    before = contents(once.state, RULESET.parameters)
    again = once.process(log_of(file, 500), MODEL)
    assert outcome(again) == {"duplicate": 500}
    assert not again.outputs["payments_by_payee"]
    assert not again.outputs["dead_letters"]
    assert contents(once.state, RULESET.parameters) == before


def test_another_content_under_the_same_id_goes_to_the_dead_letters_with_both_origins() -> None:
    payer = hop()
    payer.process(log_of([paid(number) for number in range(10)]), MODEL)
    result = payer.process([record(77, paid(3, amount_minor=7))], MODEL)
    (letter,) = letters(result)
    assert (letter.reason, letter.field, letter.offset) == ("conflicting_repeat", "payment_id", 77)
    assert (letter.first_offset, letter.first_generation) == (3, None)
    assert result.outputs["dead_letters"][0].value == encode(paid(3, amount_minor=7))
    assert result.reasons == {"conflicting_repeat": 1}
    assert outcome(payer.process([record(78, paid(3))], MODEL)) == {"duplicate": 1}, "the first one still holds"


def test_two_spellings_of_a_payment_are_the_same_content() -> None:
    payer, payment = hop(), paid(1)
    fields = json.loads(encode(payment))
    spellings = [
        json.dumps(fields, indent=2).encode(),
        json.dumps(dict(reversed(fields.items())) | {"of_nobody": {"nested": [1]}, "tenant": "default"}).encode(),
        encode(payment).replace(b"dinner", b"d\\u0069nner"),
    ]
    log = [record(at, payment, value) for at, value in enumerate([spellings[2], encode(payment), *spellings])]
    assert outcome(payer.process(log, MODEL)) == {"forwarded": 1, "duplicate": 4}


def test_the_same_id_of_another_payer_or_tenant_is_another_payment() -> None:
    payments = [paid(1), paid(1, payer="other"), paid(1, tenant="t2")]
    assert outcome(hop().process(log_of(payments), MODEL)) == {"forwarded": 3}


def test_a_refusal_counts_once_however_often_it_is_told() -> None:
    payer = hop()
    statuses: list[Any] = ["accepted", "rejected", "rejected", "returned", "accepted"]
    log = log_of([paid(0, status=status) for status in statuses])
    assert outcome(payer.process(log, MODEL)) == {"forwarded": 1, "status_update": 2, "duplicate": 2}
    assert payer.state.rows["refused_1d"].sum() == 1.0


def test_dead_letters_keep_the_order_of_the_log_however_it_is_cut() -> None:
    log = [bad(0), record(1, paid(1)), record(2, paid(1, amount_minor=9)), bad(3), record(4, paid(1, amount_minor=8))]
    at_once, one_by_one = hop(), hop()
    whole = at_once.process(log, MODEL).outputs["dead_letters"]
    parts = [each for one in log for each in one_by_one.process([one], MODEL).outputs["dead_letters"]]
    assert [letter.headers for letter in whole] == [letter.headers for letter in parts]
    assert [read_dead_letter(letter.headers).offset for letter in whole] == [0, 2, 3, 4]


def test_a_topic_made_again_does_not_make_repeats_new() -> None:
    """After ``tocsin topics accept``: another log, with the state of the former one."""
    payments = [paid(number) for number in range(300)]
    before = hop()
    before.process(log_of(payments, 1_000), MODEL)
    after = hop()
    after.state.restore(before.state.checkpoint(1_300))
    after.state.begin_at(0, 1)
    log = [*log_of(payments), record(300, paid(7, amount_minor=1)), record(301, paid(500)), record(302, paid(501))]
    result = after.process(log, MODEL)
    assert outcome(result) == {"duplicate": 300, "dead_letter": 1, "forwarded": 2}
    (letter,) = letters(result)
    assert (letter.offset, letter.first_offset, letter.first_generation) == (300, 1_007, 0)
    (letter,) = letters(after.process([record(303, paid(500, amount_minor=1))], MODEL))
    assert (letter.first_offset, letter.first_generation) == (301, None)


@pytest.mark.parametrize("spelled", ["plain", "escaped"])
def test_a_record_in_a_partition_that_is_not_its_keys_is_a_dead_letter(spelled: str) -> None:
    payments = [paid(number, payer=f"account-{number}") for number in range(40)]
    log = log_of(payments)
    if spelled == "escaped":
        values = [encode(payment).replace(b"dinner", b"d\\u0069nner") for payment in payments]
        log = [record(at, payment, value) for at, (payment, value) in enumerate(zip(payments, values, strict=True))]
    result = hop(partitions=PARTITIONS).process(log, MODEL)
    home = [at for at, payment in enumerate(payments) if partition_of(payment.payer.account.encode(), PARTITIONS) == 0]
    assert outcome(result) == {"forwarded": len(home), "dead_letter": 40 - len(home)}
    assert {(letter.reason, letter.field) for letter in letters(result)} == {("wrong_partition", "key")}
    assert [letter.offset for letter in letters(result)] == [at for at in range(40) if at not in home]


UNITS = [
    (START_MS // 1_000, "seconds"),
    (0, "seconds"),
    (START_MS * 1_000, "microseconds"),
    (START_MS * 1_000_000, "nanoseconds"),
]


@pytest.mark.parametrize(("event_time", "unit"), UNITS)
@pytest.mark.parametrize("appended_ms", [-1, START_MS])
def test_a_time_that_is_no_milliseconds_is_a_dead_letter_that_says_what_it_looks_like(
    event_time: int, unit: str, appended_ms: int
) -> None:
    payment = paid(1, event_time_ms=event_time)
    (letter,) = letters(hop().process([record(0, payment, appended_ms=appended_ms)], MODEL))
    assert (letter.reason, letter.field) == ("event_time_unit", "event_time_ms")
    assert letter.detail == f"This looks like {unit} since 1970: milliseconds are asked for"


DISTANCES = [
    (24 * HOUR_MS, None),
    (24 * HOUR_MS + 1, "event_time_in_future"),
    (-30 * DAY_MS, None),
    (-30 * DAY_MS - 1, "event_time_in_past"),
]


@pytest.mark.parametrize(("distance_ms", "reason"), DISTANCES)
@pytest.mark.parametrize("escape", [False, True])
def test_a_payment_far_from_its_append_is_a_dead_letter(distance_ms: int, reason: str | None, escape: bool) -> None:
    payment = paid(0)
    value = encode(payment).replace(b"dinner", b"d\\u0069nner") if escape else encode(payment)
    limits = Intake.chosen(1, ahead_hours=24, behind_days=30, window_payments=1_000, window_days=400)
    payer = PayerHop(RULESET, "payments.v1", 0, 1, intake=limits)
    result = payer.process([record(0, payment, value, START_MS - distance_ms)], MODEL)
    assert [letter.reason for letter in letters(result)] == ([] if reason is None else [reason])
    if reason is not None:
        setting = "TOCSIN_EVENT_BEHIND_DAYS" if distance_ms < 0 else "TOCSIN_EVENT_AHEAD_HOURS"
        assert setting in letters(result)[0].detail


def test_a_backfill_and_a_log_without_append_times_have_no_limit_behind() -> None:
    payment = paid(0)
    backfill = Intake.chosen(1, ahead_hours=24, behind_days=0, window_payments=1_000, window_days=400)
    payer = PayerHop(RULESET, "payments.v1", 0, 1, intake=backfill)
    log = [record(0, payment, appended_ms=START_MS + YEARS_50_MS)]
    assert outcome(payer.process(log, MODEL)) == {"forwarded": 1}
    limits = Intake.chosen(1, ahead_hours=24, behind_days=30, window_payments=1_000, window_days=400)
    assert outcome(PayerHop(RULESET, "payments.v1", 0, 1, intake=limits).process([record(0, payment)], MODEL)) == {
        "forwarded": 1
    }


def test_one_payment_50_years_ahead_ages_no_other_account_and_evicts_nobody() -> None:
    """Without append times, where nothing else holds it back; at both hops."""
    payments = [paid(number) for number in range(200)]
    at_home = Party("B", country="SE")
    mad = paid(1_000, payer="mad", payee=at_home, event_time_ms=START_MS + YEARS_50_MS)
    calm, disturbed = hop(), hop()
    payee_of = {id(calm): PayeeHop(RULESET, "by-payee", 0, 1, 1), id(disturbed): PayeeHop(RULESET, "by-payee", 0, 1, 1)}
    payments_of = {id(calm): payments, id(disturbed): [*payments[:100], mad, *payments[100:]]}
    rows: list[list[bytes]] = []
    for payer in (calm, disturbed):
        payee, log = payee_of[id(payer)], log_of(payments_of[id(payer)])
        handed = payer.process(log, MODEL).outputs["payments_by_payee"]
        payee.process([Record(at, each.timestamp, each.key, each.value) for at, each in enumerate(handed)], MODEL)
        assert payer.state.latest_event_ms == payee.state.latest_event_ms == payments[-1].event_time_ms
        every = contents(payer.state, RULESET.parameters)
        rows.append([row for name, row in every.items() if len(name) == 32])
    assert (len(rows[0]), len(rows[1])) == (7, 8)
    assert set(rows[0]) < set(rows[1]), "the rows of the others are what they were"

"""What else the payer does: retries, merchants, travel, devices."""

from __future__ import annotations

import math
from typing import Any

import pytest

from services.contract.payment import Party
from tests.scorer.path.features.asking import NAN, SMALL, domestic, last, payment_with_id, remittance, same, values
from tests.scorer.path.logs import DAY_MS, START_MS

REFUSED = remittance(0, "B", status="rejected", rail="bank")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 0.0),
        ({"payee": Party("C", country="PH")}, 1.0),
        ({"rail": "wallet"}, 1.0),
        ({"rail": None}, 0.0),
        ({"amount_minor": SMALL + 1}, 1.0),
        ({"currency": "USD"}, 1.0),
        ({"rail": "wallet", "status": "returned"}, 0.0),
        ({"rail": "wallet", "status": "attempted"}, 1.0),
        ({"rail": "wallet", "event_time_ms": START_MS + DAY_MS}, 1.0),
        ({"rail": "wallet", "event_time_ms": START_MS + DAY_MS + 1}, 0.0),
        ({"reference": "another"}, 0.0),
    ],
)
def test_a_retry_differs_from_the_payment_that_was_refused(changes: dict[str, Any], expected: float) -> None:
    retry = remittance(0, **{"rail": "bank", **changes})
    assert last([REFUSED, retry, remittance(0, event_time_ms=retry.event_time_ms)], "payer_retries_7d") == expected


def test_a_retry_is_compared_with_the_latest_refusal_only() -> None:
    other = remittance(0, "C", status="rejected", rail="bank")
    retry = remittance(0, "C", rail="bank")
    assert last([REFUSED, other, retry, retry], "payer_retries_7d") == 0.0
    assert last([other, REFUSED, retry, retry], "payer_retries_7d") == 1.0


def test_a_retry_may_follow_a_later_change_of_status_and_decays_with_seven_days() -> None:
    accepted = payment_with_id(remittance(0, "B", rail="bank"), "first")
    between = payment_with_id(remittance(3, "B", rail="bank"), "second")
    returned = payment_with_id(remittance(0, "B", rail="bank", status="returned"), "first")
    retry = payment_with_id(remittance(4, "C", rail="bank"), "third")
    asking = payment_with_id(remittance(11, "B", rail="bank"), "fourth")
    assert last([accepted, between, returned, retry, asking], "payer_retries_7d") == same(0.5)
    assert last([accepted, returned, between, retry, asking], "payer_retries_7d") == 0.0


@pytest.mark.parametrize(
    ("category", "adult", "travel"),
    [
        ("5967", 1.0, 0.0), ("7273", 1.0, 0.0), ("3000", 0.0, 1.0), ("3999", 0.0, 1.0), ("4511", 0.0, 1.0),
        ("4722", 0.0, 1.0), ("7011", 0.0, 1.0), ("2999", 0.0, 0.0), ("4000", 0.0, 0.0), ("30000", 0.0, 0.0),
        ("305", 0.0, 0.0), (None, NAN, NAN), ("4829", NAN, NAN),
    ],
)  # fmt: skip
def test_merchants_are_told_by_their_category(category: str | None, adult: float, travel: float) -> None:
    log = [*(remittance(0) for _ in range(5)), domestic(0, merchant_category=category), domestic(180)]
    assert last(log, "payer_adult_merchants_180d") == same(adult / 2)
    assert last(log, "payer_travel_180d") == same(travel / 2)


@pytest.mark.parametrize(
    ("number", "elapsed_ms", "expected"),
    [(5, 90 * DAY_MS, 1.0), (5, 90 * DAY_MS + 1, 0.0), (4, 0, 0.0), (9, DAY_MS, 1.0)],
)
def test_travel_follows_at_least_five_remittances_within_ninety_days(
    number: int, elapsed_ms: int, expected: float
) -> None:
    flight = domestic(0, merchant_category="3005", event_time_ms=START_MS + elapsed_ms)
    log = [*(remittance(0) for _ in range(number)), flight, remittance(0, event_time_ms=START_MS + elapsed_ms)]
    assert last(log, "payer_travel_180d") == same(expected)


def test_travel_before_the_fifth_remittance_does_not_count_later() -> None:
    flight = domestic(0, merchant_category="3005")
    assert last([remittance(0), flight, *(remittance(0) for _ in range(9))], "payer_travel_180d") == 0.0


@pytest.mark.parametrize(
    ("devices", "expected"),
    [
        ("-", [NAN]),
        ("1", [0.0]),
        ("12", [0.0, 1.0]),
        ("1-1", [0.0, NAN, 0.0]),
        ("-12", [NAN, NAN, 1.0]),
        ("12341", [0.0, 1.0, 1.0, 1.0, 0.0]),
        ("123451", [0.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
        ("1234151", [0.0, 1.0, 1.0, 1.0, 0.0, 1.0, 0.0]),
        ("1234152", [0.0, 1.0, 1.0, 1.0, 0.0, 1.0, 1.0]),
    ],
)
def test_a_device_is_new_that_is_not_among_the_four_used_last(devices: str, expected: list[float]) -> None:
    log = [domestic(0, device=None if each == "-" else each) for each in devices]
    assert values(log, "device_is_new") == same(expected)


def test_a_device_of_the_payees_or_of_another_payer_is_not_the_payers() -> None:
    log = [
        domestic(0, device="1"),
        remittance(0, Party("B", country="PH", device="2")),
        remittance(0, payer="C", device="2"),
        domestic(0, device="2"),
    ]
    assert values(log, "device_is_new") == same([0.0, NAN, 0.0, 1.0])


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (["attempted"], [0.0, NAN]),
        (["attempted", "accepted"], [0.0, NAN, 0.0]),
        (["attempted", "rejected"], [0.0, NAN, 1.0]),
        (["accepted", "attempted"], [0.0, 0.0, 0.0]),
    ],
)
def test_while_payments_are_only_attempted_it_is_not_known_whether_any_was_refused(
    statuses: list[str], expected: list[float]
) -> None:
    log = [domestic(0, status=each) for each in (*statuses, "accepted")]
    assert values(log, "payer_refused_1d") == same(expected)
    assert [math.isnan(each) for each in values(log, "payer_retries_7d")] == [math.isnan(each) for each in expected]


def test_a_later_status_tells_what_became_of_an_attempt() -> None:
    attempted = payment_with_id(domestic(0, status="attempted"), "first")
    accepted = payment_with_id(domestic(0), "first")
    asking = payment_with_id(domestic(1), "second")
    assert last([attempted, asking], "payer_refused_1d") == same(NAN)
    assert last([attempted, accepted, asking], "payer_refused_1d") == 0.0

"""What is usual in a corridor, and an amount against it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from services.contract.payment import Party, Payment
from services.scorer.path.features.corridors import Corridors
from tests.scorer.path.features.asking import (
    AGAINST_CORRIDOR,
    IN_PESOS,
    NAN,
    SMALL,
    domestic,
    last,
    remittance,
    same,
    values,
)


def through(amounts_minor: Sequence[int], day: float = 0.0, country: str = "SE", **changes: Any) -> list[Payment]:
    """A remittance of each amount, each by a payer of its own."""
    return [
        remittance(day, payer=Party(f"P{day}-{at}", country=country), amount_minor=minor, **changes)
        for at, minor in enumerate(amounts_minor)
    ]


HALF_AND_HALF = [900, 9_900] * 15
"""9 and 99 EUR: log(1 + amount) is ln 10 and 2 ln 10, so its mean is 1.5 ln 10 and its standard deviation 0.5 ln 10."""


@pytest.mark.parametrize(("eur", "expected"), [(999, 3.0), (99, 1.0), (0, -3.0)])
def test_an_amount_is_held_against_the_corridors_mean_and_standard_deviation(eur: int, expected: float) -> None:
    log = [*through(HALF_AND_HALF), remittance(0, amount_minor=100 * eur)]
    assert last(log, "amount_against_corridor") == same(expected)


def test_a_corridor_has_no_baseline_until_thirty_remittances_with_a_known_amount() -> None:
    log = [*through([SMALL] * 10, currency="USD"), *through([SMALL] * 30, **IN_PESOS), remittance(0, **IN_PESOS)]
    assert values(log, "amount_against_corridor")[-2:] == same([NAN, 0.0])
    assert values(log, "round_against_corridor")[-2:] == same([NAN, 0.0])


def test_a_corridor_has_no_roundness_until_thirty_remittances_of_which_both_amounts_are_known() -> None:
    log = [*through([SMALL] * 40), *through([SMALL] * 30, **IN_PESOS), remittance(0, **IN_PESOS), remittance(0)]
    assert values(log, "round_against_corridor")[-3:] == same([NAN, 0.0, NAN])
    assert values(log, "amount_against_corridor")[-3:] == same([0.0, 0.0, 0.0])


def test_a_corridor_where_all_pay_the_same_has_a_standard_deviation_of_a_tenth() -> None:
    log = [*through([5_000] * 30), remittance(0, amount_minor=10_000)]
    assert last(log, "amount_against_corridor") == same(6.832948841)  # ln(101 / 51) / 0.1


def time_passes(day: float) -> list[Payment]:
    """Two payers elsewhere, whose word moves the partition's time."""
    return [domestic(day, payer=Party(name, country="SE")) for name in ("elsewhere", "elsewhere too")]


def test_a_corridor_forgets_half_in_thirty_days_of_the_partitions_time() -> None:
    """Mean 5/3 ln 10, variance (0.5 (2/3)^2 + (1/3)^2) / 1.5 = 2/9 ln^2 10: 1000 is 4/3 over sqrt(2/9) above."""
    log = [*through([900] * 30, day=0), *time_passes(30), *through([9_900] * 30, day=30)]
    asked = remittance(30, amount_minor=99_900)
    assert last([*log, asked], "amount_against_corridor") == same(2 * math.sqrt(2))
    late = remittance(-100, amount_minor=99_900)
    assert last([*log, late], "amount_against_corridor") == same(2 * math.sqrt(2))


def test_a_corridor_counts_a_late_payment_as_of_the_partitions_present_whatever_its_payers_is() -> None:
    log = [*through([900] * 30), *time_passes(30), *through([9_900] * 30, day=0.5)]
    assert last([*log, remittance(1, amount_minor=99_900)], "amount_against_corridor") == same(2 * math.sqrt(2))


@pytest.mark.parametrize(
    "changes",
    [
        {"rail": "wallet"},
        {"country": "NO"},
        {"payee": Party("B", country="TH")},
        {"merchant_category": "5411"},
    ],
)
def test_a_corridor_is_two_countries_and_a_rail_and_takes_remittances_only(changes: dict[str, Any]) -> None:
    log = [*through(HALF_AND_HALF), *through([SMALL] * 30, **changes)]
    assert [last(log, name) for name in AGAINST_CORRIDOR] == same([NAN, NAN])


def test_a_currency_stands_for_a_country_that_is_not_told() -> None:
    """999 EUR lies 3 above where half of 30 are 9 EUR and half are 99 EUR."""
    unknown: dict[str, Any] = {"payee": Party("B"), **IN_PESOS}
    log = [*through(HALF_AND_HALF, **unknown), remittance(0, amount_minor=99_900, **unknown)]
    assert last(log, "amount_against_corridor") == same(3.0)
    assert last([*log, remittance(0, **IN_PESOS)], "amount_against_corridor") == same(NAN)
    assert last([*log, remittance(0, payer=Party("A"), **unknown)], "amount_against_corridor") == same(NAN)


def test_any_number_of_corridors_comes_back_from_the_changelog() -> None:
    kept, back = Corridors(), Corridors()
    for at in range(200):
        slot = kept.slot("SE", "PH", f"rail-{at}")
        kept.rows[slot]["remits"] = at
    back.table.place(np.arange(1, 201), kept.rows[1:201], home=0)
    back.settle()
    assert back.items() == kept.items()
    assert [back.slot("SE", "PH", f"rail-{at}") for at in range(201)] == list(range(1, 202))


def test_a_refused_remittance_still_tells_its_corridor_what_was_asked() -> None:
    log = [*through(HALF_AND_HALF, status="rejected"), remittance(0, amount_minor=99_900)]
    assert last(log, "amount_against_corridor") == same(3.0)


def test_the_mean_against_the_corridor_is_over_the_payers_remittances_as_they_stood() -> None:
    """999 EUR stood 3 above; then 90 d later, when only the 31 are left behind it, the mean is still that of then."""
    log = [*through(HALF_AND_HALF), remittance(0, amount_minor=99_900), remittance(90, currency="USD"), remittance(180)]
    assert values(log, "remit_amount_against_corridor_180d")[-3:] == same([0.0, 3.0, 3.0])


def test_while_no_remittance_could_be_held_against_its_corridor_nothing_is_known_of_the_mean() -> None:
    assert values([remittance(0), remittance(1)], "remit_amount_against_corridor_180d") == same([0.0, NAN])


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"amount_minor": 50_000}, 0.5),
        ({"amount_minor": 25_000}, 0.5),
        ({"amount_minor": 12_500}, -0.5),
        ({"amount_minor": 12_345, "received_amount_minor": 300_000}, 0.5),
        ({"amount_minor": 50_000, "currency": "USD"}, 0.5),
    ],
)
def test_a_round_amount_is_held_against_the_corridors_share_of_round_ones(
    changes: dict[str, Any], expected: float
) -> None:
    received: dict[str, Any] = {"received_amount_minor": 312_345, "received_currency": "PHP"}
    log = [*through([50_000, 12_345] * 15, **received), remittance(0, **{**received, **changes}), remittance(0)]
    assert values(log, "round_against_corridor")[-2] == same(expected)
    assert last(log, "remit_round_excess_180d") == same(expected)
    assert last(log, "remit_round_share_180d") == same(0.5 + expected)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"amount_minor": 50_000}, NAN),
        ({"amount_minor": 50_000, "payee": Party("B", country="DE")}, 1.0),
        ({"amount_minor": 50_000, "payee": Party("B", country="DE"), "currency": "USD"}, NAN),
        ({"amount_minor": 50_000, "received_amount_minor": 312_345, "received_currency": "PHP"}, 1 / 6),
    ],
)
def test_the_amount_received_is_told_or_what_was_paid_where_the_payees_country_has_its_currency(
    changes: dict[str, Any], expected: float
) -> None:
    assert last([remittance(0, **changes)], "received_roundness") == same(expected)

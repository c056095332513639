"""The payer's earlier remittances: rhythm, amounts, payees, texts, and the signs that they add up to."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from services.contract.payment import Party, Payment
from tests.scorer.path.features.asking import (
    DAY,
    LARGE,
    NAN,
    NIGHT,
    PAYEES,
    SMALL,
    B,
    C,
    D,
    alike,
    asked,
    domestic,
    last,
    remittance,
    same,
    unlike,
    values,
)
from tests.scorer.path.logs import DAY_MS, HOUR_MS, START_MS


def test_remittances_are_counted_with_half_lives_of_thirty_and_of_a_hundred_and_eighty_days() -> None:
    log = [remittance(0), domestic(1), remittance(90, merchant_category="5411"), remittance(180), remittance(180)]
    assert last(log, "remit_payments_180d") == same(1.5)
    assert last(log, "remit_payments_30d") == same(1.015625)  # 1 + 2**-6


def on_days(*days: float) -> list[Payment]:
    return [remittance(day) for day in days]


def gaps_of(*gaps: float) -> list[Payment]:
    """Remittances with these days between them, and one that asks, a day after."""
    days = [sum(gaps[:at]) for at in range(len(gaps) + 1)]
    return on_days(*days, days[-1] + 1)


@pytest.mark.parametrize(
    ("gaps", "expected"),
    [
        ((), 365.0),
        ((10, 6), 365.0),
        ((10, 6, 14), 10.0),
        ((10, 6, 14, 20), 12.0),
        ((50, 50, 50, 50, 50, 50, 10, 10, 10, 10, 10), 30.0),
        ((400, 500, 600), 365.0),
        ((0, 0, 0), 0.0),
    ],
)
def test_the_median_gap_is_over_the_latest_ten(gaps: tuple[float, ...], expected: float) -> None:
    assert last(gaps_of(*gaps), "remit_gap_median") == same(expected)


@pytest.mark.parametrize(
    ("gaps", "expected"),
    [
        ((4,) * 5 + (2,) * 4, 1.0),
        ((4,) * 5 + (2,) * 5, 0.5),
        ((90, 4, 4, 4, 4, 4, 2, 2, 2, 2, 32), 2.0),
        ((0,) * 10, 1.0),
        ((0,) * 5 + (1,) * 5, 100.0),
        ((1,) * 5 + (0,) * 5, 0.01),
        ((1,) * 5 + (150,) * 5, 100.0),
        ((150,) * 5 + (1,) * 5, 0.01),
    ],
)
def test_the_trend_of_gaps_is_the_newest_five_over_the_five_before(gaps: tuple[float, ...], expected: float) -> None:
    assert last(gaps_of(*gaps), "remit_gap_trend") == same(expected)


def test_gaps_are_between_remittances_whatever_else_is_paid_and_of_effective_times() -> None:
    log = [*on_days(0, 10), domestic(15), *on_days(20, 12, 30, 31)]
    assert last(log, "remit_gap_median") == same(10.0)  # 10, 10, 0 (late, so at day 20), 10


def test_a_share_over_remittances_decays_and_leaves_out_what_is_not_known() -> None:
    log = [remittance(0), remittance(90, currency="USD"), remittance(180, amount_minor=LARGE), remittance(180)]
    assert values(log, "remit_small_share_180d") == same([0.0, 1.0, 1.0, 1 / 3])


def test_a_share_of_which_nothing_is_known_is_missing_and_nought_only_without_remittances() -> None:
    us = Party("A", country="US")
    log = [remittance(0, payer=us, currency="USD", utc_offset_minutes=None), remittance(1, payer=us)]
    assert values(log, "remit_small_share_180d") == same([0.0, NAN])
    assert values(log, "remit_night_share_180d") == same([0.0, NAN])


def test_amounts_that_rise_as_the_square_of_their_number_have_a_slope_of_two() -> None:
    rising = [remittance(at, amount_minor=(10 * number**2 - 1) * 100) for at, number in enumerate((1, 2, 3, 4))]
    unknown = remittance(2, currency="USD", amount_minor=1)
    log = [*rising[:2], unknown, *rising[2:], remittance(9)]
    assert values(log, "remit_amount_slope") == same([0.0, 0.0, 0.0, NAN, NAN, 2.0])


def paid(*payments: tuple[int, str]) -> list[Payment]:
    return [*(remittance(0, payee, amount_minor=minor) for minor, payee in payments), remittance(0)]


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        (paid(), 0.0),
        (paid((5_000, B), (5_000, B)), 1.0),
        (paid((5_000, B), (7_000, C), (5_000, C), (5_000, B)), 2.0),
        (paid((5_000, B), (5_000, alike(B, 64))), 1.0),
        ([remittance(0, B), remittance(0, C, currency="USD"), remittance(0)], 1.0),
        (paid((1, B), (1, C), *((price, B) for price in range(2, 9))), 2.0),
        (paid((1, B), (1, C), *((price, B) for price in range(2, 10))), 1.0),
        (paid((1, B), (1, C), *((price, B) for price in range(2, 10)), (1, D)), 1.0),
        (paid((1, B), (2, B), (1, C), *((price, B) for price in range(3, 10))), 2.0),
        ([domestic(0, B), domestic(0, C), remittance(0)], 0.0),
    ],
)
def test_a_price_point_is_one_of_the_eight_prices_used_last(log: list[Payment], expected: float) -> None:
    assert last(log, "remit_price_point_payees") == expected


def test_nights_are_held_against_the_payers_other_payments() -> None:
    nights = [remittance(0, utc_offset_minutes=offset) for offset in (NIGHT, DAY)]
    others = [domestic(0, utc_offset_minutes=offset) for offset in (NIGHT, DAY, DAY, DAY)]
    merchant = remittance(0, utc_offset_minutes=DAY, merchant_category="5411")
    untold = remittance(0, utc_offset_minutes=NIGHT, payee=Party("B"))
    log = [*nights, *others, merchant, untold, remittance(0)]
    assert last(log, "remit_night_share_180d") == same(0.5)
    assert last(log, "remit_night_excess_180d") == same(0.5 - 0.2)
    assert last([*nights, remittance(0)], "remit_night_excess_180d") == same(NAN)
    assert last([*others, remittance(0)], "remit_night_excess_180d") == same(NAN)


@pytest.mark.parametrize(
    ("elapsed_ms", "payee", "expected"),
    [(3 * HOUR_MS, "B", 1.0), (3 * HOUR_MS + 1, "B", 0.0), (0, "B", 1.0), (0, "C", 0.0)],
)
def test_a_session_is_another_remittance_to_the_payee_within_three_hours(
    elapsed_ms: int, payee: str, expected: float
) -> None:
    at_ms = START_MS + elapsed_ms
    log = [remittance(0), remittance(0, payee, event_time_ms=at_ms), remittance(0, event_time_ms=at_ms)]
    assert values(log, "remit_sessions_180d") == same([0.0, 0.0, expected])


def test_a_session_ends_when_its_payee_is_forgotten() -> None:
    others = [remittance(0, payee) for payee in PAYEES[:17]]
    assert last([*others, others[0], remittance(0)], "remit_sessions_180d") == 0.0
    assert last([*others[:16], others[0], remittance(0)], "remit_sessions_180d") == 1.0


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        ((0, 1, 2), 1.0),
        ((0, 7, 14, 49), 1.0),
        ((0, 30.436875, 60.87375, 152.184375), 1.0),
        ((0, 15.2184375, 45.6553125, 60.87375), 1.0),
    ],
)
def test_payments_that_keep_to_a_week_or_a_month_or_half_of_it_have_a_rhythm_of_one(
    days: tuple[float, ...], expected: float
) -> None:
    assert last(on_days(*days, days[-1]), "remit_rhythm") == same(expected)


def test_of_payments_that_keep_to_no_period_the_best_one_is_taken() -> None:
    """Of four within a day only the month holds them together: phases 0, 10, 20 and 30 hours, hardly decayed."""
    log = on_days(0, 10 / 24, 20 / 24, 30 / 24, 30 / 24)
    assert last(log, "remit_rhythm") == same(resultant([0, 10, 20, 30], period_hours=30.436875 * 24))


def resultant(hours: Sequence[float], period_hours: float) -> float:
    """Length of the mean of unit vectors, decayed (180 d) to the last."""
    weights: list[float] = [2.0 ** (-(hours[-1] - each) / (180 * 24)) for each in hours]
    cosines = sum(w * math.cos(2 * math.pi * each / period_hours) for w, each in zip(weights, hours, strict=True))
    sines = sum(w * math.sin(2 * math.pi * each / period_hours) for w, each in zip(weights, hours, strict=True))
    return math.hypot(cosines, sines) / sum(weights)


def test_sixteen_payees_are_remembered_the_least_recently_paid_is_forgotten_first() -> None:
    to = [*PAYEES[:16], PAYEES[0], PAYEES[16], PAYEES[0], PAYEES[1]]
    log = [*(remittance(0, payee) for payee in to), remittance(0)]
    assert values(log, "remit_new_payees_180d") == same([*map(float, range(17)), 16.0, 17.0, 17.0, 18.0])
    assert last(log, "remit_top_payee_share") == same(3 / 18)  # 3 to the first, one to each of 15 others


def test_a_payee_of_other_payments_is_new_to_remittances() -> None:
    log = [domestic(0, "B"), remittance(0, "B"), remittance(0, "B")]
    assert last(log, "remit_new_payees_180d") == 1.0


def test_the_top_payees_share_is_of_the_remembered_payees_remittances() -> None:
    assert values([remittance(0, to) for to in "BBCC"], "remit_top_payee_share") == same([NAN, 1.0, 1.0, 2 / 3])


@pytest.mark.parametrize(("number", "elapsed_ms", "expected"), [
    (5, 45 * DAY_MS + 1, 1.0), (5, 45 * DAY_MS, 0.0), (6, 45 * DAY_MS + 1, 0.0), (1, 46 * DAY_MS, 1.0),
])  # fmt: skip
def test_a_payee_is_dropped_after_at_most_five_and_more_than_45_days(
    number: int, elapsed_ms: int, expected: float
) -> None:
    log = [*(remittance(0) for _ in range(number)), remittance(0, "C", event_time_ms=START_MS + elapsed_ms)]
    assert last(log, "remit_dropped_payees") == expected


@pytest.mark.parametrize(
    ("remittances", "expected"),
    [
        ("B0 B30 C0 C60", NAN),
        ("B0 C0 B30 D30 C60", 30.0),
        ("B0 C0 D0 B800 C800 D800", 365.0),
        ("B0 C0 D0 B800 C800 E800 F800", 320.0),
    ],
)
def test_the_life_of_relations_is_from_first_to_latest(remittances: str, expected: float) -> None:
    paid_on = sorted((int(each[1:]), each[0]) for each in remittances.split())
    log = [remittance(day, payee) for day, payee in paid_on]
    assert last([*log, log[-1]], "remit_relation_life") == same(expected)


RAILS = unlike(["bank", "agent", "wallet", "remitter", "voucher", "virtual_asset"], 8, 3)


@pytest.mark.parametrize(
    ("rails", "expected"),
    [
        ((RAILS[0], RAILS[1], RAILS[0]), 2.0),
        ((RAILS[0], alike(RAILS[0], 8)), 1.0),
        ((None, None), NAN),
        ((None, RAILS[0]), 1.0),
        ((), 0.0),
    ],
)
def test_rails_are_told_apart_by_three_bits(rails: tuple[str | None, ...], expected: float) -> None:
    log = [*(remittance(0, rail=rail) for rail in rails), remittance(0)]
    assert last(log, "remit_rails_90d") == same(expected)


@pytest.mark.parametrize(("elapsed_ms", "expected"), [(90 * DAY_MS, 2.0), (90 * DAY_MS + 1, 1.0)])
def test_a_rail_counts_for_ninety_days(elapsed_ms: int, expected: float) -> None:
    later_ms = START_MS + elapsed_ms
    log = [remittance(0, rail=RAILS[0]), *(remittance(0, event_time_ms=later_ms, rail=RAILS[1]) for _ in range(2))]
    assert last(log, "remit_rails_90d") == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([(B, "food"), (B, "hospital"), (B, "rent")], 1.0),
        ([(B, "food"), (C, "hospital"), (C, "rent")], 2.0),
        ([(B, "food"), (C, "food"), (D, "Food!")], 1.0),
        ([(B, "food"), (C, "thank you"), (D, None)], 1.0),
        ([(B, "food"), (alike(B, 64), "hospital")], 1.0),
        ([(B, "thank you"), (C, None)], 0.0),
    ],
)
def test_excuses_count_by_kind_and_no_more_than_the_payees_they_were_given_to(
    given: list[tuple[str, str | None]], expected: float
) -> None:
    log = [*(remittance(0, payee, reference=reference) for payee, reference in given), remittance(0)]
    assert last(log, "remit_excuse_kinds") == expected


def test_references_without_text_are_a_share_of_the_remittances_whose_reference_is_known() -> None:
    log = [remittance(0, reference=text) for text in (None, " \t", "for you", "", None)] + [remittance(0)]
    assert values(log, "remit_absent_share_180d") == same([0.0, NAN, 1.0, 1 / 2, 2 / 3, 3 / 4])


def test_of_a_payer_that_never_tells_a_reference_it_is_not_known_whether_there_is_none() -> None:
    log = [remittance(at, reference=None) for at in range(4)]
    for name in ("reference_is_absent", "reference_is_handle", "reference_is_excuse"):
        assert values(log, name) == same([NAN] * 4)
    for name in ("remit_absent_share_180d", "remit_excuse_kinds"):
        assert values(log, name) == same([0.0, NAN, NAN, NAN])


def plain_past(number: int) -> list[Payment]:
    """Remittances without a sign: large, by day, of different amounts, to one payee, 20 days apart."""
    return [remittance(20 * at, amount_minor=LARGE + at) for at in range(number)]


def at_once(smalls: int, nights: int, number: int) -> list[Payment]:
    """Two remittances cannot have a median gap, and so on: ``number`` at one time, after plain ones 400 days before."""
    return [
        remittance(0, amount_minor=SMALL + at if at < smalls else LARGE + at,
                   utc_offset_minutes=NIGHT if at < nights else DAY)
        for at in range(number)
    ]  # fmt: skip


GAPS_ARE_SHORT = 1.0


@pytest.mark.parametrize(
    ("log", "after_days", "expected"),
    [
        (plain_past(5), 0, 0.0),
        (at_once(0, 0, 5), 0, GAPS_ARE_SHORT),
        (at_once(4, 0, 5), 0, GAPS_ARE_SHORT + 1),
        (at_once(19, 0, 24), 0, GAPS_ARE_SHORT),
        (at_once(0, 2, 5), 0, GAPS_ARE_SHORT + 1),
        (at_once(0, 9, 23), 0, GAPS_ARE_SHORT),
        (at_once(5, 5, 5), 0, GAPS_ARE_SHORT + 2),
        ([remittance(20 * at - at / 1000, amount_minor=LARGE + at) for at in range(5)], 0, GAPS_ARE_SHORT),
        ([remittance(0, to, amount_minor=LARGE + at) for at, to in enumerate((B, C, D))], 44, 1.0),
        ([remittance(0, to, amount_minor=LARGE + at) for at, to in enumerate((B, C, D))], 46, 2.0),
        ([remittance(0, to, amount_minor=LARGE + at) for at, to in enumerate((B, C, D))], 48, 1.0),
        ([remittance(0, to, amount_minor=LARGE) for to in (B, C)], 0, 1.0),
        ([remittance(0, to, amount_minor=LARGE + at) for at, to in enumerate((B, C))], 46, 1.0),
        ([remittance(0, B, amount_minor=LARGE)], 46, 0.0),
    ],
)
def test_signs_count_what_holds(log: list[Payment], after_days: float, expected: float) -> None:
    """Of three new payees 2.504 are left after 47 days, 2.494 after 48; two or more are dropped after 45."""
    assert asked(log, after_days) == expected

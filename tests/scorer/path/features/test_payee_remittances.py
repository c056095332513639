"""The payee's earlier remittances, and what their payers have in common."""

from __future__ import annotations

import math

import pytest

from services.contract.payment import Party, Payment
from tests.scorer.path.features.asking import (
    IN_PESOS,
    LARGE,
    NAN,
    NIGHT,
    PAYEES,
    SMALL,
    B,
    C,
    D,
    domestic,
    last,
    remittance,
    same,
    values,
)
from tests.scorer.path.logs import DAY_MS, START_MS


def test_what_a_payee_receives_decays_and_only_small_ones_of_new_payers_count_as_such() -> None:
    log = [
        remittance(0, payer="P0"),
        remittance(0, payer="P0"),
        remittance(0, payer="P1", amount_minor=LARGE),
        remittance(0, payer="P2", currency="USD"),
        remittance(0, payer="P3", merchant_category="5411"),
        remittance(180, payer="P3"),
        remittance(180, payer="P4"),
    ]
    assert last(log, "payee_remit_180d") == same(3.0)  # four of half, one of now
    assert last(log, "payee_small_new_payers_180d") == same(0.5)  # P0's first; P3 had paid before
    assert last(log, "payee_small_remit_share_180d") == same(0.8)  # (1 + 1) / (1.5 + 1)


@pytest.mark.parametrize(("others", "expected"), [(11, 12.0), (12, 14.0)])
def test_a_payer_is_new_again_after_twelve_others(others: int, expected: float) -> None:
    payers = ["P", *(f"Q{at}" for at in range(others)), "P", "P"]
    assert last([remittance(0, payer=each) for each in payers], "payee_small_new_payers_180d") == same(expected)


def test_two_countries_in_equal_parts_have_an_entropy_of_ln_2_and_one_of_nought() -> None:
    def of(*countries: str) -> list[Payment]:
        return [remittance(0, payer=Party(f"P{at}", country=each)) for at, each in enumerate(countries)]

    assert last(of("SE"), "payee_country_entropy_180d") == 0.0
    assert last(of("SE", "SE", "SE"), "payee_country_entropy_180d") == same(0.0)
    assert last(of("SE", "NO", "SE"), "payee_country_entropy_180d") == same(math.log(2))
    eight = ("SE", "NO", "DE", "GB", "US", "AU", "CA", "FR")
    assert last(of(*eight, "SE"), "payee_country_entropy_180d") == same(math.log(8))
    assert last(of("JP", "JP", *eight, "SE"), "payee_country_entropy_180d") == same(math.log(8))
    # SE was forgotten when JP came; when it is met again it counts once, and NO is forgotten.
    assert last(of("SE", *eight, "JP", "SE", "SE"), "payee_country_entropy_180d") == same(math.log(8))


def test_a_country_that_is_not_told_is_none_of_the_countries() -> None:
    log = [remittance(0), *(remittance(0, payer=Party("P"), **IN_PESOS) for _ in range(3)), remittance(0)]
    assert values(log, "payee_country_entropy_180d") == same([0.0] * 5)
    assert values(log[1:], "payee_country_entropy_180d") == same([0.0, NAN, NAN, NAN])


def test_an_entropy_weighs_countries_by_their_decayed_counts() -> None:
    log = [remittance(0), remittance(180, payer=Party("P", country="NO")), remittance(180)]
    assert last(log, "payee_country_entropy_180d") == same(0.636514168)  # of 1/3 and 2/3


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ("P:for you 1|Q:FOR YOU 1!", 1.0),
        ("P:for you 1|P:for you 1", 0.0),
        ("P:hello|Q:hello", NAN),
        ("P:hello|Q:hello|P:for you 1", 0.0),
        ("P:hello1|Q:hello1", 1.0),
        ("P:for you 1|Q:for you 1|P:for you 1|P:for you 1", 2.0),
        ("P:for you 1|" + "|".join(f"P:another text {at}" for at in range(7)) + "|Q:for you 1", 1.0),
        ("P:for you 1|" + "|".join(f"P:another text {at}" for at in range(8)) + "|Q:for you 1", 0.0),
        ("P:for you 1|" + "|".join(f"P:bye {at}" for at in range(8)) + "|Q:for you 1", 1.0),
    ],
)
def test_the_same_text_of_another_payer_is_a_collision_while_remembered(texts: str, expected: float) -> None:
    given = [each.split(":") for each in texts.split("|")]
    log = [*(remittance(0, payer=payer, reference=text) for payer, text in given), remittance(0)]
    assert last(log, "payee_text_collisions_180d") == same(expected)


def risky(payer: str, day: float, to: str = "B") -> list[Payment]:
    """Small remittances by night to two others, at one price; the next of this payer has three signs and more."""
    before = [remittance(day, f"{payer}-{at % 2}", payer, utc_offset_minutes=NIGHT) for at in range(4)]
    return [*before, remittance(day, to, payer)]


def test_a_payee_of_risky_payers_is_told_of_the_others() -> None:
    log = [*risky("P", 0), *risky("Q", 1), remittance(1, payer="calm"), remittance(1), remittance(1, payer="P")]
    assert values(log, "payee_risky_payers_360d")[-3:] == [2.0, 2.0, 1.0]


@pytest.mark.parametrize(("amount_minor", "signs", "expected"), [(LARGE, 2.0, 0.0), (SMALL, 3.0, 1.0)])
def test_a_payer_is_risky_from_three_signs_on(amount_minor: int, signs: float, expected: float) -> None:
    """One price for two payees and short gaps are two signs; small amounts are the third."""
    to_others = [remittance(0, f"P-{at % 2}", "P", amount_minor=amount_minor) for at in range(4)]
    log = [*to_others, remittance(0, payer="P"), remittance(0)]
    assert values(log, "remit_signs")[-2] == signs
    assert last(log, "payee_risky_payers_360d") == expected


@pytest.mark.parametrize(("elapsed_ms", "expected"), [(360 * DAY_MS, 1.0), (360 * DAY_MS + 1, 0.0)])
def test_a_risky_payer_counts_for_360_days(elapsed_ms: int, expected: float) -> None:
    log = [*risky("P", 0), remittance(0, event_time_ms=START_MS + elapsed_ms)]
    assert last(log, "payee_risky_payers_360d") == expected


def test_eight_risky_payers_are_remembered() -> None:
    log = [each for at in range(10) for each in risky(f"P{at}", at)]
    assert last([*log, remittance(10)], "payee_risky_payers_360d") == 8.0
    assert last([*log, remittance(10, payer="P9")], "payee_risky_payers_360d") == 7.0
    assert last([*log, remittance(10, payer="P0")], "payee_risky_payers_360d") == 8.0


def test_a_payment_that_is_no_remittance_makes_no_payer_risky() -> None:
    log = [*risky("P", 0)[:-1], remittance(0, payer="P", merchant_category="5411"), remittance(0)]
    assert last(log, "payee_risky_payers_360d") == 0.0


def test_a_confirmed_payee_is_told_even_where_no_border_is() -> None:
    log = [remittance(0, payee=Party(account)) for account in ("A1", "A2")]
    assert values(log, "payee_is_confirmed") == [1.0, 0.0]


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        (None, NAN), ("", 0.0), ("rent", 0.0), ("moon_river7", 1.0), ("for MOON_RIVER7!", 1.0), ("moon_river77", 0.0),
        ("moon river7", 0.0), ("hospital please", 1.0), ("the h\u00f3spital - please, now", 1.0),
        ("hospital", 0.0), ("hospital, yes please", 0.0), ("please hospital", 0.0), ("hospitalplease", 0.0),
    ],
)  # fmt: skip
def test_a_term_of_the_lexicon_is_whole_words_side_by_side(reference: str | None, expected: float) -> None:
    assert last([remittance(0, reference=reference)], "reference_in_lexicon") == same(expected)


def shares(payer: str, *payees: str, day: float = 0.0) -> list[Payment]:
    """Small remittances by night, to each of these twice at one price: three signs and more from the fifth on."""
    return [remittance(day, each, payer, utc_offset_minutes=NIGHT) for each in (*payees, *payees)]


SHARED = "payee_shared_payees_360d"


@pytest.mark.parametrize(
    ("others", "own", "expected"),
    [
        ((C, D), (), 1.0),
        ((C, D), (C,), 2.0),
        ((C, D), (C, D), 3.0),
        ((C, D), (PAYEES[5],), 1.0),
        ((C, D), (C, B), 2.0),
    ],
)
def test_payees_in_common_with_a_risky_payer_count_this_one_with_them(
    others: tuple[str, ...], own: tuple[str, ...], expected: float
) -> None:
    log = [*shares("P", *others), remittance(0, B, "P"), *(remittance(0, each, "Q") for each in own)]
    assert last([*log, remittance(0, B, "Q")], SHARED) == expected


def test_nothing_is_in_common_without_another_risky_payer() -> None:
    calm = [*(remittance(20 * at, each, "P", amount_minor=LARGE + at) for at, each in enumerate((C, D))),
            remittance(60, B, "P", amount_minor=LARGE)]  # fmt: skip
    assert last([*calm, remittance(60, C, "Q"), remittance(60, B, "Q")], SHARED) == 0.0
    assert last([*shares("Q", C, D), remittance(0, B, "Q"), remittance(0, B, "Q")], SHARED) == 0.0


def test_the_most_in_common_with_one_of_them_is_taken_and_not_the_sum() -> None:
    e = PAYEES[3]
    log = [*shares("P", C, D), remittance(0, B, "P"), *shares("R", e, PAYEES[7]), remittance(0, B, "R")]
    assert last([*log, *(remittance(0, each, "Q") for each in (C, D, e)), remittance(0, B, "Q")], SHARED) == 3.0


def test_eight_payees_paid_last_travel_and_the_others_are_as_of_their_latest_risky_payment() -> None:
    many = PAYEES[8:16]
    log = [*shares("P", C, D), remittance(0, B, "P"), *(remittance(0, each, "P") for each in many)]
    own = [remittance(0, each, "Q") for each in (C, D)]
    assert last([*log, *own, remittance(0, B, "Q")], SHARED) == 3.0  # what P paid after it does not matter to B
    assert last([*log, remittance(0, B, "P"), *own, remittance(0, B, "Q")], SHARED) == 1.0  # B hears of the many
    pushed_out = [*own, *(remittance(0, f"further-{at}", "Q") for at in range(8))]
    assert last([*log, *pushed_out, remittance(0, B, "Q")], SHARED) == 1.0


@pytest.mark.parametrize(("elapsed_ms", "expected"), [(360 * DAY_MS, 2.0), (360 * DAY_MS + 1, 0.0)])
def test_what_is_in_common_counts_for_360_days(elapsed_ms: int, expected: float) -> None:
    at_ms = START_MS + elapsed_ms
    log = [*shares("P", C, D), remittance(0, B, "P"), remittance(0, C, "Q", event_time_ms=at_ms)]
    assert last([*log, remittance(0, B, "Q", event_time_ms=at_ms)], SHARED) == expected


def test_only_payees_of_remittances_are_in_common() -> None:
    log = [*shares("P", C, D), remittance(0, B, "P"), domestic(0, C, payer=Party("Q", country="SE"))]
    assert last([*log, remittance(0, B, "Q")], SHARED) == 1.0

"""Cases of the features that typologies need, each with its number worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import count
from typing import Any

import pytest

from services.contract.identity import digest64
from services.contract.types import Party, Payment
from services.scorer.path.features.corridors import Corridors
from services.scorer.path.features.registry import FEATURES, INDEX, PAYER_HOP
from tests.scorer.path.logs import DAY_MS, HOUR_MS, NO_HORIZON, START_MS, payment
from tests.scorer.path.runs import payee_log, payee_matrix, payer_matrix, run_payee, run_payer

SMALL, LARGE = 5_000, 50_000
"""50 EUR lies in the small band, 500 EUR does not."""
NIGHT, DAY = 0, 720
"""Offsets from UTC, in minutes: the log starts at 22:13 UTC."""
NAN = math.nan


def remittance(day: float, payee: str | Party = "B", payer: str | Party = "A", **changes: Any) -> Payment:
    """A small remittance from Sweden to the Philippines, by day and with nothing else to say, on the ``day``-th day."""
    plain: dict[str, Any] = {
        "event_time_ms": START_MS + round(day * DAY_MS),
        "amount_minor": SMALL,
        "payer": Party(payer, country="SE") if isinstance(payer, str) else payer,
        "payee": Party(payee, country="PH") if isinstance(payee, str) else payee,
        "utc_offset_minutes": DAY,
        "reference": "for you",
    }
    return payment(0, **{**plain, **changes})


def domestic(day: float, payee: str = "shop", **changes: Any) -> Payment:
    """A payment of the same payer that crosses no border."""
    return remittance(day, Party(payee, country="SE"), **changes)


def numbered(log: Sequence[Payment]) -> list[Payment]:
    """The same log with ids of its own."""
    return [payment_with_id(each, f"p-{at}") for at, each in enumerate(log)]


def payment_with_id(like: Payment, payment_id: str) -> Payment:
    return Payment(**{**{name: getattr(like, name) for name in like.__struct_fields__}, "payment_id": payment_id})


def values(log: Sequence[Payment], name: str) -> list[float]:
    """The feature for each payment of a log in which every payment goes on (or has an id of its own choosing)."""
    given = numbered(log) if all(each.payment_id == "p-0" for each in log) else list(log)
    run = run_payer(given, NO_HORIZON)
    if INDEX[name] < len(PAYER_HOP):
        found = payer_matrix(run)[:, INDEX[name]]
    else:
        found = payee_matrix(run_payee(payee_log(given, run, NO_HORIZON), NO_HORIZON))[:, INDEX[name] - len(PAYER_HOP)]
    return [float(each) for each in found]


def last(log: Sequence[Payment], name: str) -> float:
    """The feature for the last payment: what the earlier ones make of it."""
    return values(log, name)[-1]


def same(expected: float | list[float]) -> object:
    return pytest.approx(expected, rel=1e-9, abs=1e-9, nan_ok=True)


def alike(text: str, kinds: int) -> str:
    """Another text whose digest cannot be told from that of ``text`` among so many kinds."""
    texts = (f"{text}-{at}" for at in count())
    return next(each for each in texts if digest64(each) % kinds == digest64(text) % kinds)


def unlike(texts: Sequence[str], kinds: int, wanted: int) -> list[str]:
    """The first of ``texts`` that can be told apart."""
    found: dict[int, str] = {}
    for text in texts:
        found.setdefault(digest64(text) % kinds, text)
    assert len(found) >= wanted
    return list(found.values())[:wanted]


PAYEES = unlike([f"B{at}" for at in range(200)], 64, 20)
"""Accounts that 6 bits tell apart."""


IN_PESOS: dict[str, Any] = {"received_amount_minor": 5, "received_currency": "PHP"}
"""Another currency than remittances are paid in here."""


# --- what a remittance is --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 1.0),
        ({"payee": Party("B", country="SE")}, 0.0),
        ({"merchant_category": "5411"}, 0.0),
        ({"merchant_category": "4829"}, 1.0),
        ({"payee": Party("B")}, NAN),
        ({"payer": Party("A")}, NAN),
        ({"payee": Party("B"), "merchant_category": "5411"}, NAN),
        ({"payee": Party("B"), **IN_PESOS}, 1.0),
        ({"payer": Party("A"), "payee": Party("B"), **IN_PESOS}, 1.0),
        ({"payee": Party("B"), "received_amount_minor": 5, "received_currency": "EUR"}, NAN),
        ({"payee": Party("B", country="SE"), **IN_PESOS}, 0.0),
        ({"payee": Party("B"), **IN_PESOS, "merchant_category": "5411"}, 0.0),
    ],
)
def test_a_remittance_crosses_a_border_and_goes_to_no_merchant(changes: dict[str, Any], expected: float) -> None:
    assert last([remittance(0, **changes)], "is_remittance") == same(expected)


OVER_BORDERS = [
    feature.name for feature in FEATURES if feature.needs == FEATURES[INDEX["is_cross_border"]].needs
    and feature.name not in ("is_cross_border", "payer_cross_border_share_30d", "payee_cross_border_share_30d")
]  # fmt: skip
AGAINST_CORRIDOR = ("amount_against_corridor", "round_against_corridor")


@pytest.mark.parametrize("name", OVER_BORDERS)
def test_what_is_said_of_remittances_is_missing_where_this_payments_border_is_not_told(name: str) -> None:
    before = [*(remittance(at / 4) for at in range(30)), domestic(8)]
    assert math.isnan(last([*before, remittance(9, payee=Party("B"))], name))
    assert not math.isnan(last([*before, remittance(9)], name))


def test_a_payment_that_crosses_no_border_is_told_of_the_remittances_before_it_but_has_no_corridor() -> None:
    log = [*(remittance(0) for _ in range(30)), domestic(0)]
    assert last(log, "remit_payments_30d") == 30.0
    assert [last(log, name) for name in AGAINST_CORRIDOR] == same([NAN, NAN])


@pytest.mark.parametrize(
    ("changes", "expected"),
    [({"relationship": "none"}, 1.0), ({"relationship": "family"}, 0.0), ({}, NAN)],
)
def test_unrelated_is_declared_or_missing(changes: dict[str, Any], expected: float) -> None:
    assert last([remittance(0, **changes)], "is_unrelated") == same(expected)


@pytest.mark.parametrize(("minor", "expected"), [(True, 1.0), (False, 0.0), (None, NAN)])
def test_a_minors_account_is_told_or_missing(minor: bool | None, expected: float) -> None:
    assert last([remittance(0, payee=Party("B", country="PH", minor=minor))], "payee_is_minor") == same(expected)


@pytest.mark.parametrize(
    ("reference", "handle", "excuse"),
    [
        (None, 0.0, 0.0),
        ("for @moon", 1.0, 0.0),
        ("moon_river", 1.0, 0.0),
        ("moon77", 1.0, 0.0),
        ("INV123", 0.0, 0.0),
        ("20240131", 0.0, 0.0),
        ("Hospital, please", 0.0, 1.0),
        ("gastos médicos: MÉDICO", 0.0, 1.0),
        ("pour l'e\u0301cole", 0.0, 1.0),
        ("ecole", 0.0, 1.0),
        ("éco", 0.0, 0.0),
        ("hospitality", 0.0, 0.0),
    ],
)
def test_a_reference_is_a_handle_or_an_excuse_by_its_words(reference: str | None, handle: float, excuse: float) -> None:
    log = [remittance(0, reference=reference)]
    assert (last(log, "reference_is_handle"), last(log, "reference_is_excuse")) == (handle, excuse)


# --- corridors -------------------------------------------------------------------------------------------------------


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
    log = [*through([SMALL] * 10, currency="USD"), *through([SMALL] * 30), remittance(0)]
    assert values(log, "amount_against_corridor")[-2:] == same([NAN, 0.0])
    assert values(log, "round_against_corridor")[-2:] == same([NAN, 0.0])


def test_a_corridor_where_all_pay_the_same_has_a_standard_deviation_of_a_tenth() -> None:
    log = [*through([5_000] * 30), remittance(0, amount_minor=10_000)]
    assert last(log, "amount_against_corridor") == same(6.832948841)  # ln(101 / 51) / 0.1


def test_a_corridor_forgets_half_in_thirty_days_of_the_partitions_time() -> None:
    """Mean 5/3 ln 10, variance (0.5 (2/3)^2 + (1/3)^2) / 1.5 = 2/9 ln^2 10: 1000 is 4/3 over sqrt(2/9) above."""
    log = [*through([900] * 30, day=0), *through([9_900] * 30, day=30)]
    asked = remittance(30, amount_minor=99_900)
    assert last([*log, asked], "amount_against_corridor") == same(2 * math.sqrt(2))
    late = remittance(-100, amount_minor=99_900)
    assert last([*log, late], "amount_against_corridor") == same(2 * math.sqrt(2))


def test_a_corridor_counts_a_late_payment_as_of_the_partitions_present_whatever_its_payers_is() -> None:
    log = [*through([900] * 30), domestic(30, payer=Party("elsewhere", country="SE")), *through([9_900] * 30, day=0.5)]
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
    for key, value in kept.items():
        back.restore(key, value)
    assert back.items() == kept.items()


def test_a_refused_remittance_still_tells_its_corridor_what_was_asked() -> None:
    log = [*through(HALF_AND_HALF, status="rejected"), remittance(0, amount_minor=99_900)]
    assert last(log, "amount_against_corridor") == same(3.0)


def test_the_mean_against_the_corridor_is_over_the_payers_remittances_as_they_stood() -> None:
    """999 EUR stood 3 above; then 90 d later, when only the 31 are left behind it, the mean is still that of then."""
    log = [*through(HALF_AND_HALF), remittance(0, amount_minor=99_900), remittance(90, currency="USD"), remittance(180)]
    assert values(log, "remit_amount_against_corridor_180d")[-3:] == same([0.0, 3.0, 3.0])


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"amount_minor": 50_000}, 0.5),
        ({"amount_minor": 25_000}, 0.5),
        ({"amount_minor": 12_500}, -0.5),
        ({"amount_minor": 12_345, "received_amount_minor": 300_000, "received_currency": "PHP"}, 0.5),
        ({"amount_minor": 50_000, "currency": "USD"}, 0.5),
    ],
)
def test_a_round_amount_is_held_against_the_corridors_share_of_round_ones(
    changes: dict[str, Any], expected: float
) -> None:
    log = [*through([50_000, 12_345] * 15), remittance(0, **changes), remittance(0)]
    assert values(log, "round_against_corridor")[-2] == same(expected)
    assert last(log, "remit_round_excess_180d") == same(expected)
    assert last(log, "remit_round_share_180d") == same(0.5 + expected)


# --- the payer's remittances -----------------------------------------------------------------------------------------


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


def test_a_share_of_which_nothing_is_known_is_nought() -> None:
    log = [remittance(0, currency="USD", utc_offset_minutes=None), remittance(1)]
    assert (last(log, "remit_small_share_180d"), last(log, "remit_night_share_180d")) == (0.0, 0.0)


def test_amounts_that_rise_as_the_square_of_their_number_have_a_slope_of_two() -> None:
    rising = [remittance(at, amount_minor=(10 * number**2 - 1) * 100) for at, number in enumerate((1, 2, 3, 4))]
    unknown = remittance(2, currency="USD", amount_minor=1)
    log = [*rising[:2], unknown, *rising[2:], remittance(9)]
    assert values(log, "remit_amount_slope") == same([0.0] * 5 + [2.0])


def paid(*payments: tuple[int, str]) -> list[Payment]:
    return [*(remittance(0, payee, amount_minor=minor) for minor, payee in payments), remittance(0)]


B, C, D = PAYEES[:3]


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
    nights = [remittance(0, utc_offset_minutes=offset) for offset in (NIGHT, DAY, None)]
    others = [domestic(0, utc_offset_minutes=offset) for offset in (NIGHT, DAY, DAY, DAY, None)]
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
    assert values([remittance(0, to) for to in "BBCC"], "remit_top_payee_share") == same([1.0, 1.0, 1.0, 2 / 3])


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
        ("B0 B30 C0 C60", 365.0),
        ("B0 C0 B30 D30 C60", 30.0),
        ("B0 C0 D0 B800 C800 D800", 365.0),
        ("B0 C0 D0 B800 C800 E800 F800", 320.0),
    ],
)
def test_the_life_of_relations_is_from_first_to_latest(remittances: str, expected: float) -> None:
    paid_on = sorted((int(each[1:]), each[0]) for each in remittances.split())
    log = [remittance(day, payee) for day, payee in paid_on]
    assert last([*log, log[-1]], "remit_relation_life") == same(expected)


RAILS = unlike(["bank", "card", "wallet", "remitter", "voucher", "virtual_asset"], 8, 3)


@pytest.mark.parametrize(
    ("rails", "expected"),
    [
        ((RAILS[0], RAILS[1], RAILS[0]), 2.0),
        ((RAILS[0], alike(RAILS[0], 8)), 1.0),
        ((None, None), 1.0),
        ((None, alike("", 8)), 1.0),
        ((None, next(each for each in RAILS if digest64(each) % 8 != digest64("") % 8)), 2.0),
    ],
)
def test_rails_are_told_apart_by_three_bits(rails: tuple[str | None, ...], expected: float) -> None:
    log = [*(remittance(0, rail=rail) for rail in rails), remittance(0)]
    assert last(log, "remit_rails_90d") == expected


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


def test_references_without_text_are_a_share_of_all_remittances() -> None:
    log = [remittance(0, reference=text) for text in (None, " \t", "for you", "")] + [remittance(0)]
    assert last(log, "remit_absent_share_180d") == same(0.75)


# --- signs -----------------------------------------------------------------------------------------------------------


def plain_past(number: int) -> list[Payment]:
    """Remittances without a sign: large, by day, of different amounts, to one payee, 20 days apart."""
    return [remittance(20 * at, amount_minor=LARGE + at) for at in range(number)]


def asked(log: Sequence[Payment], after_days: float = 0.0) -> float:
    at_ms = max(each.event_time_ms for each in log) + round(after_days * DAY_MS)
    return last([*log, remittance(0, event_time_ms=at_ms)], "remit_signs")


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


# --- what else the payer does ----------------------------------------------------------------------------------------

REFUSED = remittance(0, "B", status="rejected", rail="bank")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 0.0),
        ({"payee": Party("C", country="PH")}, 1.0),
        ({"rail": "wallet"}, 1.0),
        ({"rail": None}, 1.0),
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
        ("305", 0.0, 0.0), (None, 0.0, 0.0),
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


# --- the payee's remittances -----------------------------------------------------------------------------------------


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


def test_an_entropy_weighs_countries_by_their_decayed_counts() -> None:
    log = [remittance(0), remittance(180, payer=Party("P", country="NO")), remittance(180)]
    assert last(log, "payee_country_entropy_180d") == same(0.636514168)  # of 1/3 and 2/3


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ("P:for you 1|Q:FOR YOU 1!", 1.0),
        ("P:for you 1|P:for you 1", 0.0),
        ("P:hello|Q:hello", 0.0),
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
    assert last(log, "payee_text_collisions_180d") == expected


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
        (None, 0.0), ("", 0.0), ("rent", 0.0), ("moon_river7", 1.0), ("for MOON_RIVER7!", 1.0), ("moon_river77", 0.0),
        ("moon river7", 0.0), ("hospital please", 1.0), ("the h\u00f3spital - please, now", 1.0),
        ("hospital", 0.0), ("hospital, yes please", 0.0), ("please hospital", 0.0), ("hospitalplease", 0.0),
    ],
)  # fmt: skip
def test_a_term_of_the_lexicon_is_whole_words_side_by_side(reference: str | None, expected: float) -> None:
    assert last([remittance(0, reference=reference)], "reference_in_lexicon") == expected


# --- devices ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("devices", "expected"),
    [
        ("-", [NAN]),
        ("1", [0.0]),
        ("12", [0.0, 1.0]),
        ("1-1", [0.0, NAN, 0.0]),
        ("-12", [NAN, 0.0, 1.0]),
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


# --- shared tokens ---------------------------------------------------------------------------------------------------


def sharer(account: str, *, phone: str | None = None, device: str | None = None, pickup: str | None = None) -> Party:
    return Party(account, country="PH", phone=phone, device=device, pickup=pickup)


def counted(*members: int) -> list[float]:
    """Linear counting over 64 bits, of each of so many members."""
    return [64 * math.log(64 / (64 - each)) for each in members]


def linked(log: Sequence[Payment]) -> tuple[list[float], list[float]]:
    return values(log, "payee_linked_payees"), values(log, "payee_linked_payers")


PAYERS = unlike([f"P{at}" for at in range(400)], 64, 40)


@pytest.mark.parametrize("kind", ["phone", "device", "pickup"])
def test_payees_that_tell_one_token_are_linked_from_the_second_on(kind: str) -> None:
    log = [
        remittance(0, sharer(payee, **{kind: "1"}), payer)
        for payee, payer in zip((*PAYEES[:3], PAYEES[0]), (*PAYERS[:2], PAYERS[1], PAYERS[2]), strict=True)
    ]
    payees, payers = linked(log)
    one, two = counted(1, 2)
    assert payees == same([1.0, 1.0 + one, 1.0 + two, 1.0 + two])
    assert payers == same([0.0, one, two, two])


@pytest.mark.parametrize(
    "changes",
    [
        {"payee": sharer("C")},
        {"payee": Party("C", phone="1")},
        {"payee": Party("C", country="SE", phone="1")},
        {"merchant_category": "5411"},
    ],
)
def test_nothing_is_shared_by_what_is_no_remittance_or_tells_no_token(changes: dict[str, Any]) -> None:
    shared = remittance(0, sharer("B", phone="1"))
    asked = remittance(0, **{"payee": sharer("C", phone="1"), **changes})
    log = [shared, asked, remittance(0, sharer(PAYEES[5], phone="1"))]
    payees, payers = linked(log)
    assert [payees[1], payers[1]] == same([NAN, NAN])
    assert [payees[2], payers[2]] == same([1.0 + counted(1)[0], counted(1)[0]])


def test_a_phone_is_no_device_and_another_tenants_token_is_another() -> None:
    log = [
        remittance(0, sharer(B, phone="1")),
        remittance(0, sharer(C, device="1")),
        remittance(0, sharer(D, pickup="1")),
        remittance(0, sharer(C, phone="1"), tenant="other"),
    ]
    assert linked(log) == ([1.0] * 4, [0.0] * 4)


def test_a_payee_with_several_tokens_joins_all_who_share_one_of_them() -> None:
    """B and C by phone, D and E by device; F tells both. Then whoever tells either is linked with all."""
    e, f, g = PAYEES[3:6]
    log = [
        *(remittance(0, sharer(each, phone="1"), PAYERS[at]) for at, each in enumerate((B, C))),
        *(remittance(0, sharer(each, device="2"), PAYERS[2]) for each in (D, e)),
        remittance(0, sharer(f, phone="1", device="2"), PAYERS[3]),
        remittance(0, sharer(g, phone="1")),
        remittance(0, sharer(g, device="2")),
    ]
    payees, payers = linked(log)
    three, four, five = counted(3, 4, 5)
    one, two = counted(1, 2)
    assert payees == same([1.0, 1.0 + one, 1.0, 1.0 + one, 1.0 + four, 1.0 + five, 1.0 + five])
    assert payers == same([0.0, one, 0.0, one, three, four, five])
    assert two < three


def test_a_token_that_is_told_twice_in_one_payment_counts_once() -> None:
    log = [remittance(0, sharer(each, phone="1", device="1", pickup="1"), each) for each in (B, C)]
    assert linked(log)[0] == same([1.0, 1.0 + counted(1)[0]])


MANY = unlike([f"M{at}" for at in range(900)], 64, 40)
"""Accounts whose bits differ; twenty of them are estimated as 23.98, 19 and the one that is paid as 23.54."""


def test_a_counter_that_more_than_24_payees_share_joins_nobody_any_more() -> None:
    log = [remittance(0, sharer(each, pickup="counter")) for each in (*MANY[:22], MANY[0])]
    found = linked(log)[0]
    assert found[:20] == same([1.0 + each for each in counted(*range(20))])
    assert found[20:] == [1.0, 1.0, 1.0]
    assert linked(log)[1][20:] == [0.0, 0.0, 0.0]


def test_a_common_counter_leaves_its_payees_phones_to_themselves() -> None:
    """The counter is common before the phones are met, so they are joined by what they share alone."""
    counter = [remittance(0, sharer(each, pickup="counter")) for each in MANY[:22]]
    phones = [remittance(0, sharer(each, pickup="counter", phone="1")) for each in MANY[30:32]]
    assert linked([*counter, *phones])[0][-2:] == same([1.0, 1.0 + counted(1)[0]])


def test_groups_that_would_be_more_than_24_together_are_left_apart() -> None:
    """Twelve by device, twelve others by phone: who tells both joins the device's group."""
    log = [
        *(remittance(0, sharer(each, device="1")) for each in MANY[:12]),
        *(remittance(0, sharer(each, phone="2")) for each in MANY[12:24]),
        remittance(0, sharer(MANY[30], device="1", phone="2")),
        remittance(0, sharer(MANY[31], device="1")),
        remittance(0, sharer(MANY[31], phone="2")),
    ]
    twelve, thirteen = counted(12, 13)
    assert linked(log)[0][24:] == same([1.0 + twelve, 1.0 + thirteen, 1.0 + thirteen])


@pytest.mark.parametrize(("days", "expected"), [(360, 2.0), (361, 1.0)])
def test_a_group_is_forgotten_after_360_whole_days_of_the_partitions_time(days: int, expected: float) -> None:
    """Whoever makes the time pass: the group was used on day 0, at its beginning, and is asked on that day's end."""
    midnight_ms = START_MS - START_MS % DAY_MS
    log = [
        remittance(0, sharer(B, phone="1"), event_time_ms=midnight_ms),
        domestic(0, payer=Party("other", country="SE"), event_time_ms=midnight_ms + (days + 1) * DAY_MS - 1),
        remittance(0, sharer(C, phone="1"), event_time_ms=midnight_ms),
    ]
    assert linked(log)[0][-1] == pytest.approx(expected, abs=0.01)


def test_a_group_is_forgotten_whole_even_if_one_of_its_tokens_is_met_again() -> None:
    log = [
        remittance(0, sharer(B, phone="1", device="2")),
        remittance(362, sharer(C, phone="1")),
        remittance(362, sharer(D, device="2")),
        remittance(362, sharer(D, phone="1")),
    ]
    assert linked(log)[0] == same([1.0, 1.0, 1.0, 1.0 + counted(1)[0]])


def test_a_group_lives_as_long_as_any_of_its_tokens_is_used() -> None:
    log = [
        remittance(0, sharer(B, phone="1", device="2")),
        remittance(300, sharer(B, phone="1")),
        remittance(600, sharer(C, device="2")),
    ]
    assert linked(log)[0][-1] == same(1.0 + counted(1)[0])


def test_a_repeated_payment_shares_nothing_again() -> None:
    first = payment_with_id(remittance(0, sharer(B, phone="1"), PAYERS[0]), "first")
    again = payment_with_id(remittance(400, sharer(B, phone="1"), PAYERS[0]), "first")
    asked = payment_with_id(remittance(400, sharer(C, phone="1"), PAYERS[1]), "second")
    assert last([first, again, asked], "payee_linked_payees") == 1.0  # the repeat made time pass, and no more


# --- over two hops ---------------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize(("category", "expected"), [(None, 0.0), ("4829", 0.0), ("5411", 1.0), ("5967", 1.0)])
def test_a_merchant_is_told_by_its_category(category: str | None, expected: float) -> None:
    assert last([remittance(0, merchant_category=category)], "is_to_merchant") == expected

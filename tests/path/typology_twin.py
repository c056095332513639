"""The naive twins of the features that typologies ask for: as ``twin.py``, from the registry's words alone.

Readings that hold for all of them: only payments that went on are earlier ones, whatever their status; an amount is
known when its currency has a rate, whatever became of the payment, for its amount says what was meant; times between
payments are between their effective times; "within" and "at most" include the bound.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import wraps
from itertools import pairwise
from statistics import median
from typing import TypeVar
from weakref import WeakKeyDictionary

from services.contract.identity import digest64
from services.contract.types import Payment
from services.scorer.path.references import digest_of, is_handle, kind_of
from tests.path.views import (
    DAY_MS,
    HOUR_MS,
    NAN,
    Past,
    Twin,
    View,
    amount_of,
    cross_border_flag,
    decayed,
    flag,
    is_refused_status,
    night_flag,
    reference_is_absent,
    roundness_of,
    small_flag,
)

MONTH_MS = 2_629_746_000  # 30.436875 d
PERIODS_MS = (MONTH_MS, MONTH_MS // 2, 7 * DAY_MS)
PAYEES_REMEMBERED = 16
PRICES_REMEMBERED = 8
COUNTRIES_REMEMBERED = 8
TEXTS_REMEMBERED = 8
RISKY_PAYERS_REMEMBERED = 8
GAPS = 10
CORRIDOR_REMITTANCES_MIN = 30

Value = TypeVar("Value")
Key = TypeVar("Key", bound=Hashable)


def once(function: Callable[[View], Value]) -> Callable[[View], Value]:
    """The same function. A view never changes, so what it says of it is worked out only once."""
    known: WeakKeyDictionary[View, Value] = WeakKeyDictionary()

    @wraps(function)
    def remembering(view: View) -> Value:
        if view not in known:
            known[view] = function(view)
        return known[view]

    return remembering


def if_border_is_told(twin: Twin) -> Twin:
    return lambda view: NAN if math.isnan(cross_border_flag(view.payment)) else twin(view)


# --- remittances ----------------------------------------------------------------------------------------------------


def remittance_flag(payment: Payment) -> float:
    """Reading: missing when the border is not told, even of a payment that has a merchant category."""
    crosses = cross_border_flag(payment)
    return NAN if math.isnan(crosses) else flag(crosses == 1.0 and payment.merchant_category is None)


def is_remittance(payment: Payment) -> bool:
    return remittance_flag(payment) == 1.0


@once
def remittances(view: View) -> list[Past]:
    return [each for each in view.past if is_remittance(each.payment)]


def count(view: View, some: Iterable[Past], half_life: str) -> float:
    return decayed([(1.0, each.effective_ms) for each in some], view.effective_ms, half_life)


def mean(view: View, some: Iterable[Past], value_of: Twin) -> float:
    """Decayed mean (180 d) over those whose value is known; NaN while there is none."""
    valued = [(value_of(each.view), each.effective_ms) for each in some]
    known = [(value, at_ms) for value, at_ms in valued if not math.isnan(value)]
    if not known:
        return NAN
    return decayed(known, view.effective_ms, "180d") / decayed(
        [(1.0, at) for _, at in known], view.effective_ms, "180d"
    )


def remittance_mean(value_of: Twin) -> Twin:
    """A share or mean over remittances: 0 while there is none whose value is known."""

    def twin(view: View) -> float:
        found = mean(view, remittances(view), value_of)
        return 0.0 if math.isnan(found) else found

    return twin


def remembered(keys: Sequence[Key], capacity: int) -> dict[Key, list[int]]:
    """The ``capacity`` keys used last, least recently used first, each with where it was used since it was last
    remembered: a key that was forgotten and comes back starts afresh."""
    memory: dict[Key, list[int]] = {}
    for at, key in enumerate(keys):
        uses = memory.pop(key, [])
        if len(memory) == capacity:
            del memory[next(iter(memory))]
        memory[key] = [*uses, at]
    return memory


def bits_of(text: str, kinds: int) -> int:
    return digest64(text) % kinds


# --- this payment ---------------------------------------------------------------------------------------------------


def payee_is_minor(view: View) -> float:
    minor = view.payment.payee.minor
    return NAN if minor is None else flag(minor)


def is_unrelated(view: View) -> float:
    relationship = view.payment.relationship
    return NAN if relationship is None else flag(relationship == "none")


def corridor_of(payment: Payment) -> tuple[str | None, str | None, str | None]:
    """Reading: a payment whose rail is not told is on a rail of its own."""
    return payment.payer.country, payment.payee.country, payment.rail


@once
def corridor(view: View) -> list[View]:
    """The corridor's earlier remittances with a known amount; none until there are 30.

    Readings: corridors are shared by all tenants and never start afresh; the share of round ones is over the same
    remittances as the mean; any payment through the corridor is held against it, one to a merchant too.
    """
    found = [
        each
        for each in view.partition
        if corridor_of(each.payment) == corridor_of(view.payment)
        and is_remittance(each.payment)
        and not math.isnan(amount_of(each.payment, each.parameters))
    ]
    return found if len(found) >= CORRIDOR_REMITTANCES_MIN else []


def corridor_mean(view: View, value_of: Twin) -> float:
    """Decayed mean (30 d) by the partition's event time. Only proportions matter: measured at the latest of them."""
    found = corridor(view)
    latest_ms = found[-1].watermark_ms
    weight = decayed([(1.0, each.watermark_ms) for each in found], latest_ms, "30d")
    return decayed([(value_of(each), each.watermark_ms) for each in found], latest_ms, "30d") / weight


def log_amount(view: View) -> float:
    return math.log1p(amount_of(view.payment, view.parameters))


@once
def amount_against_corridor(view: View) -> float:
    if not corridor(view):
        return NAN
    centre = corridor_mean(view, log_amount)
    variance = corridor_mean(view, lambda each: (log_amount(each) - centre) ** 2)
    return (log_amount(view) - centre) / max(math.sqrt(variance), 0.1)


def is_round(view: View) -> float:
    """Reading: an amount in the payee's currency that is not told is not round."""
    received = view.payment.received_amount_minor
    return flag(max(roundness_of(view.payment.amount_minor), roundness_of(received or 0)) >= 0.5)


@once
def round_against_corridor(view: View) -> float:
    """Reading: known even when this payment's amount has no rate, for digits need none."""
    return is_round(view) - corridor_mean(view, is_round) if corridor(view) else NAN


# --- the payer's remittances ----------------------------------------------------------------------------------------


def gaps_days(view: View) -> list[float]:
    """Gaps between the latest 11 remittances, oldest first."""
    latest = remittances(view)[-GAPS - 1 :]
    return [(later.effective_ms - earlier.effective_ms) / DAY_MS for earlier, later in pairwise(latest)]


def gap_median(view: View) -> float:
    """Reading: the median of an even number of gaps is midway between the two in the middle."""
    gaps = gaps_days(view)
    return min(median(gaps), 365.0) if len(gaps) >= 3 else 365.0


def gap_trend(view: View) -> float:
    """Reading: when only the five before are 0, the ratio is the most it can be."""
    gaps = gaps_days(view)
    before, newest = sum(gaps[:5]), sum(gaps[5:])
    if len(gaps) < GAPS or (before == 0.0 and newest == 0.0):
        return 1.0
    return 100.0 if before == 0.0 else min(max(newest / before, 0.01), 100.0)


def amount_slope(view: View) -> float:
    """Reading: numbered among those with a known amount, from 1."""
    known = [log_amount(each.view) for each in remittances(view)]
    known = [each for each in known if not math.isnan(each)]
    if len(known) < 4:
        return 0.0
    numbers = [math.log(number) for number in range(1, len(known) + 1)]
    number_mean, amount_mean = math.fsum(numbers) / len(known), math.fsum(known) / len(known)
    pairs = zip(numbers, known, strict=True)
    covariance = math.fsum((number - number_mean) * (amount - amount_mean) for number, amount in pairs)
    return covariance / math.fsum((number - number_mean) ** 2 for number in numbers)


def price_point_payees(view: View) -> float:
    """Reading: a price is what was sent, in minor units, and its currency, whether that has a rate or not."""
    paid = remittances(view)
    prices = [(each.payment.amount_minor, each.payment.currency) for each in paid]
    payees = [bits_of(each.payment.payee.account, 64) for each in paid]
    uses_of = remembered(prices, PRICES_REMEMBERED)
    return float(max((len({payees[at] for at in uses}) for uses in uses_of.values()), default=0))


def is_night(view: View) -> float:
    return night_flag(view.payment)


def night_excess(view: View) -> float:
    """Readings: the other payments are those known not to be remittances; missing unless at least one hour is known of
    remittances and one of the others."""
    others = [each for each in view.past if remittance_flag(each.payment) == 0.0]
    return mean(view, remittances(view), is_night) - mean(view, others, is_night)


@once
def payees(view: View) -> dict[str, list[Past]]:
    """The 16 payees of remittances paid last, each with its remittances since it was last remembered."""
    paid = remittances(view)
    accounts = [each.payment.payee.account for each in paid]
    return {account: [paid[at] for at in uses] for account, uses in remembered(accounts, PAYEES_REMEMBERED).items()}


def is_new_payee(view: View) -> bool:
    return view.payment.payee.account not in payees(view)


def is_in_session(view: View) -> bool:
    """Within 3 h after another remittance to the same payee, while that one is remembered."""
    before = payees(view).get(view.payment.payee.account)
    return before is not None and view.effective_ms - before[-1].effective_ms <= 3 * HOUR_MS


def sessions(view: View) -> float:
    return count(view, [each for each in remittances(view) if is_in_session(each.view)], "180d")


def rhythm(view: View) -> float:
    paid = remittances(view)
    return max(resultant_length(view, period_ms) for period_ms in PERIODS_MS) if len(paid) >= 4 else 1.0


def resultant_length(view: View, period_ms: int) -> float:
    """Reading: a period begins at the epoch, which makes no difference to the length."""
    phases = [(2 * math.pi * (each.effective_ms % period_ms) / period_ms, each) for each in remittances(view)]
    cosines = decayed([(math.cos(phase), each.effective_ms) for phase, each in phases], view.effective_ms, "180d")
    sines = decayed([(math.sin(phase), each.effective_ms) for phase, each in phases], view.effective_ms, "180d")
    return math.hypot(cosines, sines) / count(view, remittances(view), "180d")


def new_payees(view: View) -> float:
    return count(view, [each for each in remittances(view) if is_new_payee(each.view)], "180d")


def top_payee_share(view: View) -> float:
    numbers = [len(paid) for paid in payees(view).values()]
    return max(numbers) / sum(numbers) if numbers else 1.0


def dropped_payees(view: View) -> float:
    """Reading: at most 5 since it was last remembered."""
    dropped = [
        paid
        for paid in payees(view).values()
        if len(paid) <= 5 and view.effective_ms - paid[-1].effective_ms > 45 * DAY_MS
    ]
    return float(len(dropped))


def relation_life(view: View) -> float:
    """Reading: it is the mean that is at most 365."""
    lives = [(paid[-1].effective_ms - paid[0].effective_ms) / DAY_MS for paid in payees(view).values()]
    return min(math.fsum(lives) / len(lives), 365.0) if len(lives) >= 3 else 365.0


def rails(view: View) -> float:
    """Reading: a rail that is not told is one of the kinds."""
    recent = [each for each in remittances(view) if view.effective_ms - each.effective_ms <= 90 * DAY_MS]
    return float(len({bits_of(each.payment.rail or "", 8) for each in recent}))


def excuse_kinds(view: View) -> float:
    excused = [each.payment for each in remittances(view) if kind_of(each.payment.reference) >= 0]
    kinds = {kind_of(payment.reference) for payment in excused}
    return float(min(len(kinds), len({bits_of(payment.payee.account, 64) for payment in excused})))


remit_small_share = remittance_mean(lambda view: small_flag(view.payment, view.parameters))
remit_night_share = remittance_mean(is_night)


def signs(view: View) -> float:
    return signs_within(view, 0.0)[0]


def signs_within(view: View, tolerance: float) -> tuple[float, float]:
    """The fewest and the most signs when a bound may be missed by ``tolerance``.

    Four of five is 0.8 or a bit beside it, by the order in which decayed numbers are added.
    """
    at_least = (
        new_payees(view) - 2.5,
        remit_small_share(view) - 0.8,
        remit_night_share(view) - 0.4,
        dropped_payees(view) - 2.0,
        price_point_payees(view) - 2.0,
    )
    below = gap_median(view) - 20.0
    fewest = sum(each >= tolerance for each in at_least) + (below < -tolerance)
    most = sum(each >= -tolerance for each in at_least) + (below < tolerance)
    return float(fewest), float(most)


# --- what else the payer does ---------------------------------------------------------------------------------------


def is_retry(view: View) -> bool:
    """Reading: after the latest refusal only, by its effective time."""
    if is_refused_status(view.payment.status) or not view.refusals:
        return False
    latest = view.refusals[-1]
    return view.effective_ms - latest.effective_ms <= DAY_MS and target_of(view.payment) != target_of(latest.payment)


def target_of(payment: Payment) -> tuple[str, str | None, int, str]:
    return payment.payee.account, payment.rail, payment.amount_minor, payment.currency


def retries(view: View) -> float:
    return count(view, [each for each in view.past if is_retry(each.view)], "7d")


def adult_merchants(view: View) -> float:
    return count(view, [each for each in view.past if each.payment.merchant_category in ("5967", "7273")], "180d")


def is_travel_after_remittances(view: View) -> bool:
    category = view.payment.merchant_category
    if category is None or not re.fullmatch("3[0-9]{3}|4511|4722|7011", category):
        return False
    before = remittances(view)
    return len(before) >= 5 and view.effective_ms - before[-1].effective_ms <= 90 * DAY_MS


def travel(view: View) -> float:
    return count(view, [each for each in view.past if is_travel_after_remittances(each.view)], "180d")


# --- the payee's remittances ----------------------------------------------------------------------------------------


def small_new_payers(view: View) -> float:
    """Reading: new among the 12 payers of any payment. A remittance whose amount is unknown is not small."""
    found = [
        each for each in remittances(view) if each.partner_was_new and small_flag(each.payment, view.parameters) == 1.0
    ]
    return count(view, found, "180d")


def country_entropy(view: View) -> float:
    """Reading: a country that was forgotten and is met again starts afresh."""
    received = remittances(view)
    countries = [each.payment.payer.country for each in received]
    uses_of = remembered(countries, COUNTRIES_REMEMBERED)
    counts = [count(view, [received[at] for at in uses], "180d") for uses in uses_of.values()]
    return -math.fsum(each / math.fsum(counts) * math.log(each / math.fsum(counts)) for each in counts)


def collides(view: View) -> bool:
    """The text is remembered, and another payer used it last."""
    text = digest_of(view.payment.reference)
    with_text = [each for each in remittances(view) if digest_of(each.payment.reference) != 0]
    uses = remembered([digest_of(each.payment.reference) for each in with_text], TEXTS_REMEMBERED).get(text)
    return uses is not None and with_text[uses[-1]].payment.payer.account != view.payment.payer.account


def text_collisions(view: View) -> float:
    return count(view, [each for each in remittances(view) if collides(each.view)], "180d")


def risky_payers(view: View) -> float:
    risky = [each for each in remittances(view) if each.view.signs >= 3.0]
    latest = {
        payer: risky[uses[-1]].effective_ms
        for payer, uses in remembered([each.payment.payer.account for each in risky], RISKY_PAYERS_REMEMBERED).items()
    }
    others = [at_ms for payer, at_ms in latest.items() if payer != view.payment.payer.account]
    return float(sum(view.effective_ms - at_ms <= 360 * DAY_MS for at_ms in others))


# --- the table ------------------------------------------------------------------------------------------------------

_REMITTANCES: dict[str, Twin] = {
    "remit_payments_30d": lambda view: count(view, remittances(view), "30d"),
    "remit_payments_180d": lambda view: count(view, remittances(view), "180d"),
    "remit_gap_median": gap_median,
    "remit_gap_trend": gap_trend,
    "remit_small_share_180d": remit_small_share,
    "remit_amount_against_corridor_180d": remittance_mean(amount_against_corridor),
    "remit_round_share_180d": remittance_mean(is_round),
    "remit_round_excess_180d": remittance_mean(round_against_corridor),
    "remit_amount_slope": amount_slope,
    "remit_price_point_payees": price_point_payees,
    "remit_night_share_180d": remit_night_share,
    "remit_night_excess_180d": night_excess,
    "remit_sessions_180d": sessions,
    "remit_rhythm": rhythm,
    "remit_new_payees_180d": new_payees,
    "remit_top_payee_share": top_payee_share,
    "remit_dropped_payees": dropped_payees,
    "remit_relation_life": relation_life,
    "remit_rails_90d": rails,
    "remit_excuse_kinds": excuse_kinds,
    "remit_absent_share_180d": remittance_mean(lambda view: reference_is_absent(view.payment)),
    "remit_signs": signs,
}

TYPOLOGY_PAYER_TWINS: dict[str, Twin] = {
    "is_remittance": lambda view: remittance_flag(view.payment),
    "reference_is_handle": lambda view: flag(is_handle(view.payment.reference)),
    "reference_is_excuse": lambda view: flag(kind_of(view.payment.reference) >= 0),
    "payee_is_minor": payee_is_minor,
    "is_unrelated": is_unrelated,
    "amount_against_corridor": if_border_is_told(amount_against_corridor),
    "round_against_corridor": if_border_is_told(round_against_corridor),
    **{name: if_border_is_told(twin) for name, twin in _REMITTANCES.items()},
    "payer_retries_7d": retries,
    "payer_adult_merchants_180d": adult_merchants,
    "payer_travel_180d": travel,
}
"""On the payer's view of a payment."""

_RECEIVED: dict[str, Twin] = {
    "payee_remit_180d": lambda view: count(view, remittances(view), "180d"),
    "payee_small_new_payers_180d": small_new_payers,
    "payee_small_remit_share_180d": remit_small_share,
    "payee_country_entropy_180d": country_entropy,
    "payee_text_collisions_180d": text_collisions,
    "payee_risky_payers_360d": risky_payers,
}

TYPOLOGY_PAYEE_TWINS: dict[str, Twin] = {
    **{name: if_border_is_told(twin) for name, twin in _RECEIVED.items()},
    "payee_is_confirmed": lambda view: flag(view.is_confirmed),
}
"""On the payee's view of a payment."""

TYPOLOGY_EXACT = {
    "is_remittance", "reference_is_handle", "reference_is_excuse", "payee_is_minor", "is_unrelated",
    "remit_price_point_payees", "remit_dropped_payees", "remit_rails_90d", "remit_excuse_kinds",
    "payee_risky_payers_360d", "payee_is_confirmed",
}  # fmt: skip
"""Flags and counts: compared without any tolerance. Of ``remit_signs`` see ``signs_within``."""

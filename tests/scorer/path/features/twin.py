"""The naive twin of every feature: plain Python over the whole list of an account's earlier payments.

Written from the registry's words alone (``services.scorer.path.features.registry``), never from the kernels. Nothing is
carried from payment to payment but the list itself: each feature is computed from scratch. How words that leave a
choice are read is said where they are read.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise

from services.contract.identity import digest64
from services.contract.payment import Payment, Role
from tests.scorer.path.features.twin_arithmetic import (
    DAY_MS,
    HALF_LIVES_MS,
    HOUR_MS,
    NAN,
    account_age,
    amount_of,
    cross_border_flag,
    decayed,
    flag,
    is_refused_status,
    money_of,
    near_threshold_flag,
    partner_of,
    received_of,
    roundness_of,
    small_flag,
)
from tests.scorer.path.features.twin_views import (
    Past,
    Twin,
    View,
    absent_flag,
    is_new_partner,
    local_hour,
    night_flag,
    seen,
)


def share(view: View, flag: Callable[[Payment], float]) -> float:
    """Decayed flags (30 d) over the decayed count of the payments whose flag is known."""
    return share_as_seen(view, lambda each: flag(each.payment))


def share_as_seen(view: View, flag: Callable[[Past], float]) -> float:
    """The same of flags that depend on what came before each payment."""
    if not view.has_past:
        return 0.0
    known = [(flag(each), each.effective_ms) for each in view.past if not math.isnan(flag(each))]
    if not known:
        return NAN
    whole = decayed([(1.0, at_ms) for _, at_ms in known], view.effective_ms, "30d")
    return decayed(known, view.effective_ms, "30d") / whole


def money_in_past(view: View) -> list[tuple[float, int]]:
    """Reading: a sum of money is over the payments whose money is known."""
    moved = [(money_of(each.payment, view.parameters), each.effective_ms) for each in view.past]
    return [(money, at_ms) for money, at_ms in moved if not math.isnan(money)]


def amount(view: View) -> float:
    return amount_of(view.payment, view.parameters)


def amount_roundness(view: View) -> float:
    return roundness_of(view.payment.amount_minor)


def received_roundness(view: View) -> float:
    received = received_of(view.payment)
    return NAN if received is None else roundness_of(received)


def local_time_is_implied(view: View) -> float:
    return NAN if math.isnan(local_hour(view)) else flag(view.payment.utc_offset_minutes is None)


def no_amount_told(view: View) -> bool:
    amounts = [amount_of(each.payment, view.parameters) for each in view.past]
    return bool(amounts) and all(map(math.isnan, amounts))


def unless_no_amount_told(twin: Twin) -> Twin:
    return lambda view: NAN if no_amount_told(view) else twin(view)


def outcomes_are_told(view: View) -> bool:
    """Whether of some payment it is told whether it was refused; where there is none, nothing is missing."""
    statuses = [each.payment.status for each in view.past]
    return view.status_was_told_later or set(statuses) != {"attempted"}


def payments_count(half_life: str) -> Callable[[View], float]:
    return lambda view: decayed([(1.0, each.effective_ms) for each in view.past], view.effective_ms, half_life)


def value(half_life: str) -> Callable[[View], float]:
    return lambda view: decayed(money_in_past(view), view.effective_ms, half_life)


def small_share(view: View) -> float:
    return share(view, lambda payment: small_flag(payment, view.parameters))


def cross_border_share(view: View) -> float:
    return share(view, cross_border_flag)


def round_share(view: View) -> float:
    return share(view, lambda payment: flag(roundness_of(payment.amount_minor) >= 0.5))


def gap(view: View) -> float:
    return (view.effective_ms - view.past[-1].effective_ms) / HOUR_MS if view.has_past else 0.0


def gaps_in_past(view: View) -> list[tuple[Fraction, int]]:
    """Gaps between earlier payments, ms, oldest first, each with its weight: the newest 1/8, the first the rest."""
    times = [each.effective_ms for each in view.past]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    weights = [Fraction(1, 8) * Fraction(7, 8) ** (len(gaps) - 1 - at) for at in range(len(gaps))]
    if gaps:
        weights[0] = Fraction(7, 8) ** (len(gaps) - 1)
    return list(zip(weights, gaps, strict=True))


def gap_mean_ms(view: View) -> Fraction:
    return sum((weight * each for weight, each in gaps_in_past(view)), Fraction(0))


def gap_mean(view: View) -> float:
    return float(gap_mean_ms(view)) / HOUR_MS


def gap_variation(view: View) -> float:
    mean = gap_mean_ms(view)
    if mean == 0 or len(gaps_in_past(view)) < 2:
        return NAN
    variance = sum((weight * (each - mean) ** 2 for weight, each in gaps_in_past(view)), Fraction(0))
    return math.sqrt(variance) / float(mean)


def age(view: View) -> float:
    return (view.effective_ms - view.past[0].effective_ms) / DAY_MS if view.has_past else 0.0


def payments_total(view: View) -> float:
    return float(len(view.past))


def partners_in_blocks(view: View) -> set[str]:
    """The exact set of counterparties in this 30-day block and the one before."""
    block = view.effective_ms // (30 * DAY_MS)
    in_blocks = [each for each in view.past if each.effective_ms // (30 * DAY_MS) in (block, block - 1)]
    return {partner_of(each.payment, view.role).account for each in in_blocks}


def hyperloglog(accounts: set[str]) -> float:
    """Flajolet et al. 2007 with 64 registers and linear counting, on the 64-bit digests of ``accounts``."""
    ranks = [0] * 64
    for account in accounts:
        digest = digest64(account)
        bits = f"{digest >> 6:058b}"
        rank = len(bits) - len(bits.rstrip("0")) + 1
        ranks[digest % 64] = max(ranks[digest % 64], rank)
    estimate = 0.709 * 64 * 64 / math.fsum(2.0**-rank for rank in ranks)
    if estimate <= 2.5 * 64 and 0 in ranks:
        return 64 * math.log(64 / ranks.count(0))
    return estimate


def distinct_partners(view: View) -> float:
    return hyperloglog(partners_in_blocks(view))


def new_partners(half_life: str) -> Callable[[View], float]:
    return lambda view: decayed(
        [(1.0, each.effective_ms) for each in view.past if each.partner_was_new], view.effective_ms, half_life
    )


def countries_in_past(view: View) -> set[str]:
    told = (partner_of(each.payment, view.role).country for each in view.past)
    return {country for country in told if country is not None}


def corridors(view: View) -> float:
    countries = countries_in_past(view)
    return NAN if view.has_past and not countries else float(len(countries))


def amount_deviation(view: View) -> float:
    eur = amount_of(view.payment, view.parameters)
    if math.isnan(eur) or no_amount_told(view):
        return NAN
    known = [(math.log1p(money), at_ms) for money, at_ms in money_in_past(view)]
    if len(known) < 3:
        return 0.0
    latest_ms = known[-1][1]  # only proportions matter: measured at the latest of them, nothing underflows
    weight = decayed([(1.0, at_ms) for _, at_ms in known], latest_ms, "30d")
    mean = decayed(known, latest_ms, "30d") / weight
    variance = decayed([((log - mean) ** 2, at_ms) for log, at_ms in known], latest_ms, "30d") / weight
    return (math.log1p(eur) - mean) / max(math.sqrt(variance), 0.1)


def night_share(view: View) -> float:
    return share_as_seen(view, lambda each: night_flag(seen(each)))


def corridor_is_new(view: View) -> float:
    country, countries = view.payment.payee.country, countries_in_past(view)
    if country is None or (view.has_past and not countries):
        return NAN
    return flag(country not in countries)


def amount_over_last(view: View) -> float:
    """Reading: the previous amount is the latest that is known, refused payments included; missing when none is."""
    eur = amount_of(view.payment, view.parameters)
    if not view.has_past:
        return NAN if math.isnan(eur) else 1.0
    amounts = [amount_of(each.payment, view.parameters) for each in view.past]
    known = [each for each in amounts if not math.isnan(each)]
    return eur / max(known[-1], 0.01) if known else NAN


def near_threshold(view: View) -> float:
    near = [(near_threshold_flag(each.payment, view.parameters), each.effective_ms) for each in view.past]
    return decayed([(each, at_ms) for each, at_ms in near if not math.isnan(each)], view.effective_ms, "7d")


def refused(view: View) -> float:
    if not outcomes_are_told(view):
        return NAN
    at_once = [each.effective_ms for each in view.past if is_refused_status(each.payment.status)]
    return decayed([(1.0, at_ms) for at_ms in (*at_once, *view.later_refusals_ms)], view.effective_ms, "1d")


def pair_history(view: View) -> list[Past]:
    """Earlier payments of the pair, while remembered: those since the payee last was new to the payer."""
    if is_new_partner(view):
        return []
    of_pair = [each for each in view.past if partner_of(each.payment, view.role).account == view.partner.account]
    starts = [at for at, each in enumerate(of_pair) if each.partner_was_new]
    return of_pair[starts[-1] :]


def pair_payments(view: View) -> float:
    return float(len(pair_history(view)))


def pair_age(view: View) -> float:
    history = pair_history(view)
    return (view.effective_ms - history[0].effective_ms) / DAY_MS if history else 0.0


def pair_gap(view: View) -> float:
    history = pair_history(view)
    return (view.effective_ms - history[-1].effective_ms) / DAY_MS if history else 0.0


def passed_on_share(view: View) -> float:
    """Reading: outflows have an effective time of their own, and those ahead of the account count in full."""
    received = decayed(money_in_past(view), view.effective_ms, "1d")
    if received == 0.0:
        return 0.0
    times = [each.event_time_ms for each in view.outflows]
    effective = [max(times[: at + 1]) for at in range(len(times))]
    now_ms = max([view.effective_ms, *times])
    paid_out = [(each.amount, at_ms) for each, at_ms in zip(view.outflows, effective, strict=True)]
    return min(decayed(paid_out, now_ms, "1d") / received, 10.0)


def _activity(who: Role, other: Role) -> dict[str, Twin]:
    return {
        **{f"{who}_payments_{half_life}": payments_count(half_life) for half_life in HALF_LIVES_MS},
        **{f"{who}_value_{half_life}": unless_no_amount_told(value(half_life)) for half_life in HALF_LIVES_MS},
        f"{who}_small_share_30d": small_share,
        f"{who}_cross_border_share_30d": cross_border_share,
        f"{who}_round_share_30d": round_share,
        f"{who}_gap": gap,
        f"{who}_gap_mean": gap_mean,
        f"{who}_gap_variation": gap_variation,
        f"{who}_age": age,
        f"{who}_payments_total": payments_total,
        f"{who}_{other}s_60d": distinct_partners,
        f"{who}_new_{other}s_1d": new_partners("1d"),
        f"{who}_new_{other}s_7d": new_partners("7d"),
        f"{who}_corridors": corridors,
        f"{who}_amount_deviation": amount_deviation,
    }


PAYER_TWINS: dict[str, Twin] = {
    "amount": amount,
    "amount_roundness": amount_roundness,
    "received_roundness": received_roundness,
    "amount_is_small": lambda view: small_flag(view.payment, view.parameters),
    "amount_is_near_threshold": lambda view: near_threshold_flag(view.payment, view.parameters),
    "is_cross_border": lambda view: cross_border_flag(view.payment),
    "local_hour_sin": lambda view: math.sin(2 * math.pi * local_hour(view) / 24),
    "local_hour_cos": lambda view: math.cos(2 * math.pi * local_hour(view) / 24),
    "local_is_night": night_flag,
    "local_time_is_implied": local_time_is_implied,
    "payer_account_age": lambda view: account_age(view.payment.payer, view.payment.event_time_ms),
    "is_refused": lambda view: flag(is_refused_status(view.payment.status)),
    "reference_is_absent": absent_flag,
    **_activity("payer", "payee"),
    "payer_night_share_30d": night_share,
    "corridor_is_new": corridor_is_new,
    "payer_amount_over_last": amount_over_last,
    "payer_near_threshold_7d": unless_no_amount_told(near_threshold),
    "payer_refused_1d": refused,
    "pair_is_new": lambda view: flag(is_new_partner(view)),
    "pair_payments": pair_payments,
    "pair_age": pair_age,
    "pair_gap": pair_gap,
}
"""On the payer's view of a payment."""
PAYEE_TWINS: dict[str, Twin] = {
    **_activity("payee", "payer"),
    "payee_passed_on_share_1d": unless_no_amount_told(passed_on_share),
    "payee_account_age": lambda view: account_age(view.payment.payee, view.payment.event_time_ms),
}
"""On the payee's view of a payment."""
EXACT = {
    "amount_roundness", "received_roundness", "amount_is_small", "amount_is_near_threshold", "is_cross_border",
    "local_is_night", "local_time_is_implied", "is_refused", "reference_is_absent", "corridor_is_new", "pair_is_new",
    "pair_payments", "payer_payments_total", "payee_payments_total", "payer_corridors", "payee_corridors",
}  # fmt: skip
"""Flags and counts: compared without any tolerance."""

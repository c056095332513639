"""The naive twins of the payer's earlier remittances."""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

from services.contract.identity import digest64
from services.scorer.path.features.references import kind_of
from tests.scorer.path.features.twin_arithmetic import (
    DAY_MS,
    HOUR_MS,
    NAN,
    amount_of,
    cross_border_flag,
    decayed,
    is_remittance_flag,
    is_round_flag,
    small_flag,
)
from tests.scorer.path.features.twin_views import Past, Twin, View, absent_flag, night_flag, seen

MONTH_MS = 30.436875 * DAY_MS


def corridor_mean(view: View, values: Sequence[float]) -> float:
    """Decayed (30 d) by the partition's event time."""
    weights = [2.0 ** (-(view.watermark_ms - each.watermark_ms) / (30 * DAY_MS)) for each in view.corridor]
    return math.fsum(w * v for w, v in zip(weights, values, strict=True)) / math.fsum(weights)


def has_baseline(view: View) -> bool:
    return is_remittance_flag(view.payment) == 1.0 and len(view.corridor) >= 30


def amount_against_corridor(view: View) -> float:
    """Reading: missing for a payment that is no remittance, which has no corridor."""
    eur = amount_of(view.payment, view.parameters)
    if not has_baseline(view) or math.isnan(eur):
        return NAN
    logs = [each.log_amount for each in view.corridor]
    mean = corridor_mean(view, logs)
    variance = corridor_mean(view, [(each - mean) ** 2 for each in logs])
    return (math.log1p(eur) - mean) / max(math.sqrt(variance), 0.1)


def round_against_corridor(view: View) -> float:
    """Reading: of the remittances of the corridor with a known amount, those whose roundness is known, too."""
    known = replace(view, corridor=tuple(each for each in view.corridor if not math.isnan(each.is_round)))
    if not has_baseline(known):
        return NAN
    return is_round_flag(view.payment) - corridor_mean(known, [each.is_round for each in known.corridor])


def remittances(view: View) -> list[Past]:
    return [each for each in view.past if is_remittance_flag(each.payment) == 1.0]


def over_borders(twin: Twin) -> Twin:
    """Missing when it is not told whether this payment crosses a border, or whether any earlier one did."""

    def over(view: View) -> float:
        before = [cross_border_flag(each.payment) for each in view.past]
        is_blind = math.isnan(cross_border_flag(view.payment)) or (before and all(map(math.isnan, before)))
        return NAN if is_blind else twin(view)

    return over


def count(half_life: str) -> Twin:
    if half_life == "30d":
        return lambda view: decayed([(1.0, each.effective_ms) for each in remittances(view)], view.effective_ms, "30d")
    return lambda view: long_sum(view, lambda each: 1.0)


def long_sum(view: View, value: Callable[[Past], float]) -> float:
    """Decayed sum (180 d) over remittances whose value is known."""
    values = [(value(each), each.effective_ms) for each in remittances(view)]
    return decayed([(v, at_ms) for v, at_ms in values if not math.isnan(v)], view.effective_ms, "180d")


def mean(view: View, value: Callable[[Past], float], of: Iterable[Past] | None = None) -> float:
    """Decayed (180 d) mean over those whose value is known; 0 while there is none at all."""
    chosen = remittances(view) if of is None else list(of)
    known = [(value(each), each.effective_ms) for each in chosen if not math.isnan(value(each))]
    if not known:
        return NAN if chosen else 0.0
    latest_ms = known[-1][1]  # only proportions matter
    return decayed(known, latest_ms, "180d") / decayed([(1.0, at_ms) for _, at_ms in known], latest_ms, "180d")


def gaps(view: View) -> list[float]:
    """Days between the latest 11 remittances, oldest first."""
    times = [each.effective_ms for each in remittances(view)][-11:]
    return [(later - earlier) / DAY_MS for earlier, later in pairwise(times)]


def gap_median(view: View) -> float:
    found = sorted(gaps(view))
    if len(found) < 3:
        return 365.0
    middle = len(found) // 2
    return min(365.0, found[middle] if len(found) % 2 else (found[middle - 1] + found[middle]) / 2)


def gap_trend(view: View) -> float:
    found = gaps(view)
    if len(found) < 10:
        return 1.0
    old, new = math.fsum(found[:5]), math.fsum(found[5:])
    if old == 0.0:
        return 1.0 if new == 0.0 else 100.0
    return min(max(new / old, 0.01), 100.0)


def amount_slope(view: View) -> float:
    known = [amount_of(each.payment, view.parameters) for each in remittances(view)]
    y = [math.log1p(each) for each in known if not math.isnan(each)]
    if len(y) < 4:
        return 0.0 if len(y) == len(known) else NAN
    x = [math.log(number) for number in range(1, len(y) + 1)]
    x_mean, y_mean = math.fsum(x) / len(x), math.fsum(y) / len(y)
    across = math.fsum((a - x_mean) * (b - y_mean) for a, b in zip(x, y, strict=True))
    return across / math.fsum((a - x_mean) ** 2 for a in x)


def bits(account: str) -> int:
    return digest64(account) % 64


def price_point_payees(view: View) -> float:
    """Reading: the 8 prices most recently paid; a price's payees are those since it was last remembered."""
    payees: dict[tuple[int, str], set[int]] = {}
    for each in remittances(view):
        price = (each.payment.amount_minor, each.payment.currency)
        of_price = payees.pop(price, set()) | {bits(each.payment.payee.account)}
        payees[price] = of_price
        if len(payees) > 8:
            del payees[next(iter(payees))]
    return float(max(map(len, payees.values()), default=0))


def night_excess(view: View) -> float:
    """Reading: other payments are those known not to be remittances."""
    others = [each for each in view.past if is_remittance_flag(each.payment) == 0.0]
    known = [[each for each in some if not math.isnan(night_flag(seen(each)))] for some in (remittances(view), others)]
    if not all(known):
        return NAN
    by_night = [mean(view, lambda each: night_flag(seen(each)), some) for some in known]
    return by_night[0] - by_night[1]


def remembered(view: View, upto: int | None = None) -> dict[str, list[int]]:
    """The 16 payees of remittances paid last, with the effective times of their remittances since remembered."""
    times: dict[str, list[int]] = {}
    for each in remittances(view)[:upto]:
        account = each.payment.payee.account
        of_payee = times.pop(account, [])
        times[account] = [*of_payee, each.effective_ms]
        if len(times) > 16:
            del times[next(iter(times))]
    return times


def sessions(view: View) -> float:
    found = []
    for at, each in enumerate(remittances(view)):
        earlier = remembered(view, at).get(each.payment.payee.account)
        if earlier and each.effective_ms - earlier[-1] <= 3 * HOUR_MS:
            found.append((1.0, each.effective_ms))
    return decayed(found, view.effective_ms, "180d")


def new_payees(view: View) -> float:
    found = [
        (1.0, each.effective_ms)
        for at, each in enumerate(remittances(view))
        if each.payment.payee.account not in remembered(view, at)
    ]
    return decayed(found, view.effective_ms, "180d")


def rhythm(view: View) -> float:
    times = [each.effective_ms for each in remittances(view)]
    if len(times) < 4:
        return 1.0
    weights = [2.0 ** (-(times[-1] - at_ms) / (180 * DAY_MS)) for at_ms in times]
    lengths: list[float] = []
    for period_ms in (MONTH_MS, MONTH_MS / 2, 7.0 * DAY_MS):
        turns = [cmath.exp(2j * math.pi * (at_ms % period_ms) / period_ms) for at_ms in times]
        total = sum((w * turn for w, turn in zip(weights, turns, strict=True)), 0j)
        lengths.append(abs(total) / math.fsum(weights))
    return min(max(lengths), 1.0)


def top_payee_share(view: View) -> float:
    counts = [len(times) for times in remembered(view).values()]
    return max(counts) / sum(counts) if counts else NAN


def dropped_payees(view: View) -> float:
    return float(
        sum(len(times) <= 5 and view.effective_ms - times[-1] > 45 * DAY_MS for times in remembered(view).values())
    )


def relation_life(view: View) -> float:
    lives = [(times[-1] - times[0]) / DAY_MS for times in remembered(view).values()]
    return min(math.fsum(lives) / len(lives), 365.0) if len(lives) >= 3 else NAN


def rails(view: View) -> float:
    """Reading: rails are told apart by ``digest64 % 8``."""
    told = [(each.payment.rail, each.effective_ms) for each in remittances(view) if each.payment.rail is not None]
    if not told and remittances(view):
        return NAN
    latest = {digest64(rail) % 8: at_ms for rail, at_ms in told}
    return float(sum(view.effective_ms - at_ms <= 90 * DAY_MS for at_ms in latest.values()))


def excuse_kinds(view: View) -> float:
    if remittances(view) and all(math.isnan(absent_flag(seen(each))) for each in remittances(view)):
        return NAN
    given = [(kind_of(each.payment.reference or ""), each.payment.payee.account) for each in remittances(view)]
    return float(min(len({k for k, _ in given if k >= 0}), len({bits(payee) for k, payee in given if k >= 0})))


def signs(view: View) -> float:
    small = mean(view, lambda each: small_flag(each.payment, view.parameters))
    night = mean(view, lambda each: night_flag(seen(each)))
    return float(
        (new_payees(view) >= 2.5) + (small >= 0.8) + (night >= 0.4) + (dropped_payees(view) >= 2)
        + (gap_median(view) < 20) + (price_point_payees(view) >= 2)
    )  # fmt: skip


REMITTANCES: dict[str, Twin] = {
    "remit_payments_30d": count("30d"),
    "remit_payments_180d": count("180d"),
    "remit_gap_median": gap_median,
    "remit_gap_trend": gap_trend,
    "remit_small_share_180d": lambda view: mean(view, lambda each: small_flag(each.payment, view.parameters)),
    "remit_amount_against_corridor_180d": lambda view: mean(view, lambda each: amount_against_corridor(seen(each))),
    "remit_round_share_180d": lambda view: mean(view, lambda each: is_round_flag(each.payment)),
    "remit_round_excess_180d": lambda view: mean(view, lambda each: round_against_corridor(seen(each))),
    "remit_amount_slope": amount_slope,
    "remit_price_point_payees": price_point_payees,
    "remit_night_share_180d": lambda view: mean(view, lambda each: night_flag(seen(each))),
    "remit_night_excess_180d": night_excess,
    "remit_sessions_180d": sessions,
    "remit_rhythm": rhythm,
    "remit_new_payees_180d": new_payees,
    "remit_top_payee_share": top_payee_share,
    "remit_dropped_payees": dropped_payees,
    "remit_relation_life": relation_life,
    "remit_rails_90d": rails,
    "remit_excuse_kinds": excuse_kinds,
    "remit_absent_share_180d": lambda view: mean(view, lambda each: absent_flag(seen(each))),
    "remit_signs": signs,
}

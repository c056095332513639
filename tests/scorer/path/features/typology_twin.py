"""The naive twins of the features that typologies need, written from the registry's words like those in ``twin.py``.

How words that leave a choice are read is said where they are read. Throughout: payments of any status count; payees are
told apart by 6 bits as ``digest64 % 64``; what is missing for a payment whose borders are not told is missing here too.
"""

from __future__ import annotations

import cmath
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from services.contract.identity import digest64
from services.contract.types import Payment
from services.scorer.path.features.references import digest_of, is_handle, kind_of
from tests.scorer.path.features.twin import (
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
    is_remittance_flag,
    is_round_flag,
    night_flag,
    small_flag,
    tokens_of,
)

CONFIRMED_ACCOUNTS = frozenset({"A1"})
LEXICON = ("moon_river7", "Hospital, PLEASE")
"""Terms of the lexicon of the logs' deployer."""
MONTH_MS = 30.436875 * DAY_MS


def in_lexicon(view: View) -> float:
    """A space between words, and one at each end: then a term is a piece of the text."""

    def spaced(text: str) -> str:
        return " " + " ".join("".join(c if c.isalnum() or c == "_" else " " for c in text.lower()).split()) + " "

    return flag(any(spaced(term) in spaced(view.payment.reference or "") for term in LEXICON))


# --- this payment ---------------------------------------------------------------------------------------------------


def told(value: bool | None) -> float:
    return NAN if value is None else flag(value)


def unrelated(relationship: str | None) -> bool | None:
    return None if relationship is None else relationship == "none"


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
    if not has_baseline(view):
        return NAN
    return is_round_flag(view.payment) - corridor_mean(view, [each.is_round for each in view.corridor])


# --- the payer's earlier remittances ---------------------------------------------------------------------------------


def remittances(view: View) -> list[Past]:
    return [each for each in view.past if is_remittance_flag(each.payment) == 1.0]


def over_borders(twin: Twin) -> Twin:
    """Missing when it is not told whether this payment crosses a border."""
    return lambda view: NAN if math.isnan(cross_border_flag(view.payment)) else twin(view)


def count(half_life: str) -> Twin:
    if half_life == "30d":
        return lambda view: decayed([(1.0, each.effective_ms) for each in remittances(view)], view.effective_ms, "30d")
    return lambda view: long_sum(view, lambda each: 1.0)


def long_sum(view: View, value: Callable[[Past], float]) -> float:
    """Decayed sum (180 d) over remittances whose value is known."""
    values = [(value(each), each.effective_ms) for each in remittances(view)]
    return decayed([(v, at_ms) for v, at_ms in values if not math.isnan(v)], view.effective_ms, "180d")


def mean(view: View, value: Callable[[Past], float], of: Iterable[Past] | None = None) -> float:
    """Decayed (180 d) mean over those whose value is known; 0 while there is none."""
    chosen = remittances(view) if of is None else list(of)
    known = [(value(each), each.effective_ms) for each in chosen if not math.isnan(value(each))]
    if not known:
        return 0.0
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
        return 0.0
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
    known = [
        [each for each in some if not math.isnan(night_flag(each.payment))] for some in (remittances(view), others)
    ]
    if not all(known):
        return NAN
    by_night = [mean(view, lambda each: night_flag(each.payment), some) for some in known]
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
    return max(counts) / sum(counts) if counts else 1.0


def dropped_payees(view: View) -> float:
    return float(
        sum(len(times) <= 5 and view.effective_ms - times[-1] > 45 * DAY_MS for times in remembered(view).values())
    )


def relation_life(view: View) -> float:
    lives = [(times[-1] - times[0]) / DAY_MS for times in remembered(view).values()]
    return min(math.fsum(lives) / len(lives), 365.0) if len(lives) >= 3 else 365.0


def rails(view: View) -> float:
    """Reading: rails are told apart by ``digest64 % 8``, none being the empty text."""
    latest = {digest64(each.payment.rail or "") % 8: each.effective_ms for each in remittances(view)}
    return float(sum(view.effective_ms - at_ms <= 90 * DAY_MS for at_ms in latest.values()))


def excuse_kinds(view: View) -> float:
    given = [(kind_of(each.payment.reference or ""), each.payment.payee.account) for each in remittances(view)]
    return float(min(len({k for k, _ in given if k >= 0}), len({bits(payee) for k, payee in given if k >= 0})))


def absent(each: Past) -> float:
    return flag(each.payment.reference is None or each.payment.reference.strip() == "")


def signs(view: View) -> float:
    small = mean(view, lambda each: small_flag(each.payment, view.parameters))
    night = mean(view, lambda each: night_flag(each.payment))
    return float(
        (new_payees(view) >= 2.5) + (small >= 0.8) + (night >= 0.4) + (dropped_payees(view) >= 2)
        + (gap_median(view) < 20) + (price_point_payees(view) >= 2)
    )  # fmt: skip


# --- what else the payer does ----------------------------------------------------------------------------------------


def retries(view: View) -> float:
    """Reading: the refused payment is the latest refused one, at once or by a change of status that came before."""
    found = []
    for at, each in enumerate(view.past):
        if is_refused_status(each.payment.status):
            continue
        at_once = [(k, 1, past.payment, past.effective_ms) for k, past in enumerate(view.past[:at])
                   if is_refused_status(past.payment.status)]  # fmt: skip
        later = [(k - 1, 2 + n, record, at_ms) for n, (record, at_ms, k) in enumerate(view.later_refused) if k <= at]
        before = max([*at_once, *later], key=lambda entry: entry[:2], default=None)
        if before is None:
            continue
        record, at_ms = before[2], before[3]
        differs = (record.payee.account, record.rail or "", record.amount_minor, record.currency) != (
            each.payment.payee.account, each.payment.rail or "", each.payment.amount_minor, each.payment.currency,
        )  # fmt: skip
        if differs and each.effective_ms - at_ms <= DAY_MS:
            found.append((1.0, each.effective_ms))
    return decayed(found, view.effective_ms, "7d")


def of_merchants(wanted: Callable[[str], bool]) -> Callable[[Payment], bool]:
    return lambda payment: payment.merchant_category is not None and wanted(payment.merchant_category)


def adult_merchants(view: View) -> float:
    chosen = of_merchants(lambda category: category in ("5967", "7273"))
    found = [(1.0, each.effective_ms) for each in view.past if chosen(each.payment)]
    return decayed(found, view.effective_ms, "180d")


def travel(view: View) -> float:
    """Reading: at least five remittances before it, the latest at most 90 days before."""
    chosen = of_merchants(
        lambda category: category in ("4511", "4722", "7011") or re.fullmatch("3[0-9]{3}", category) is not None
    )
    found = []
    for at, each in enumerate(view.past):
        before = [past for past in view.past[:at] if is_remittance_flag(past.payment) == 1.0]
        if chosen(each.payment) and len(before) >= 5 and each.effective_ms - before[-1].effective_ms <= 90 * DAY_MS:
            found.append((1.0, each.effective_ms))
    return decayed(found, view.effective_ms, "180d")


def device_is_new(view: View) -> float:
    """Reading: devices are told by payments of any status."""
    if view.payment.device is None:
        return NAN
    latest_first = [each.payment.device for each in reversed(view.past) if each.payment.device is not None]
    return flag(bool(latest_first) and view.payment.device not in list(dict.fromkeys(latest_first))[:4])


# --- shared tokens ---------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class Group:
    """Tokens that are joined, and by whom and until when they were used."""

    tokens: set[tuple[str, str, str]]
    used_ms: int
    payees: set[int] = field(default_factory=set)
    payers: set[int] = field(default_factory=set)
    is_common: bool = False


def estimate(members: set[int]) -> float:
    """Linear counting over 64 bits; 64 members found count as 63."""
    return 64 * math.log(64 / (64 - min(len(members), 63)))


def payees_with(members: set[int], this: int) -> float:
    return 1.0 + estimate(members - {this})


def joined_by(payment: Payment, groups: Sequence[Group]) -> list[Group]:
    """The groups that a remittance would join into one, in its order, without those that are left apart."""
    this = bits(payment.payee.account)
    joined: list[Group] = []
    for token in tokens_of(payment):
        for group in groups:
            if token not in group.tokens or group in joined or group.is_common:
                continue
            if payees_with(group.payees, this) > 24:
                continue
            if payees_with(set[int]().union(*(each.payees for each in joined), group.payees), this) <= 24:
                joined.append(group)
    return joined


def groups_before(view: View) -> list[Group]:
    """The groups as the view's payment finds them, from all earlier remittances of the partition."""
    groups: list[Group] = []
    for told in view.sharing:
        groups = [each for each in groups if not is_idle(each, told.watermark_ms)]
        tokens, this = tokens_of(told.payment), bits(told.payment.payee.account)
        met = set[tuple[str, str, str]]().union(*(each.tokens for each in groups))
        groups += [Group({token}, told.watermark_ms) for token in tokens if token not in met]
        joined = joined_by(told.payment, groups)
        for group in [each for each in groups if each.tokens & set(tokens)]:
            group.used_ms = told.watermark_ms
            group.is_common = group.is_common or payees_with(group.payees, this) > 24
            group.payees.add(this)
            group.payers.add(bits(told.payment.payer.account))
        if joined:
            whole = Group(set(), told.watermark_ms)
            for group in joined:
                whole.tokens |= group.tokens
                whole.payees |= group.payees
                whole.payers |= group.payers
            groups = [each for each in groups if each not in joined] + [whole]
    return [each for each in groups if not is_idle(each, view.watermark_ms)]


def is_idle(group: Group, now_ms: int) -> bool:
    return now_ms // DAY_MS - group.used_ms // DAY_MS > 360


def sharing(value: Callable[[View, list[Group]], float]) -> Twin:
    """Missing for what is no remittance, or tells no token."""

    def twin(view: View) -> float:
        if is_remittance_flag(view.payment) != 1.0 or not tokens_of(view.payment):
            return NAN
        return value(view, joined_by(view.payment, groups_before(view)))

    return twin


def linked_payees(view: View, joined: list[Group]) -> float:
    return payees_with(set[int]().union(*(each.payees for each in joined)), bits(view.payment.payee.account))


def linked_payers(view: View, joined: list[Group]) -> float:
    return estimate(set[int]().union(*(each.payers for each in joined)))


# --- the payee's earlier remittances ---------------------------------------------------------------------------------


def small_new_payers(view: View) -> float:
    return long_sum(view, lambda each: flag(small_flag(each.payment, view.parameters) == 1.0 and each.partner_was_new))


def country_entropy(view: View) -> float:
    """Reading: a country that was forgotten, as the least recently met of more than 8, starts anew."""
    met: dict[str, list[int]] = {}
    for each in remittances(view):
        country = str(each.payment.payer.country)
        times = met.pop(country, [])
        met[country] = [*times, each.effective_ms]
        if len(met) > 8:
            del met[next(iter(met))]
    if not met:
        return 0.0
    latest_ms = max(times[-1] for times in met.values())
    counts = [decayed([(1.0, at_ms) for at_ms in times], latest_ms, "180d") for times in met.values()]
    shares = [each / math.fsum(counts) for each in counts]
    return max(0.0, -math.fsum(each * math.log(each) for each in shares if each > 0.0))


def text_collisions(view: View) -> float:
    """Reading: the 8 texts used last, each with the payer who used it last."""
    used: dict[int, str] = {}
    found = []
    for each in remittances(view):
        text = digest_of(each.payment.reference or "")
        if not text:
            continue
        payer = each.payment.payer.account
        if used.pop(text, payer) != payer:
            found.append((1.0, each.effective_ms))
        used[text] = payer
        if len(used) > 8:
            del used[next(iter(used))]
    return decayed(found, view.effective_ms, "180d")


def risky_payers(view: View) -> float:
    latest: dict[str, int] = {}
    for each in remittances(view):
        if each.view is not None and each.view.signs >= 3.0:
            latest.pop(each.payment.payer.account, None)
            latest[each.payment.payer.account] = each.effective_ms
            if len(latest) > 8:
                del latest[next(iter(latest))]
    others = [at_ms for payer, at_ms in latest.items() if payer != view.payment.payer.account]
    return float(sum(view.effective_ms - at_ms <= 360 * DAY_MS for at_ms in others))


def mark(account: str) -> int:
    """What tells an account from others where 16 bits do."""
    return digest64(account) % 65_535


def recent_payees(view: View) -> tuple[str, ...]:
    """The 8 payees of remittances that the payer paid last, besides this one."""
    latest_first = [each.payment.payee.account for each in reversed(remittances(view))]
    return tuple(each for each in dict.fromkeys(latest_first) if each != view.payment.payee.account)[:8]


def shared_payees(view: View) -> float:
    """Reading: the other risky payers are those that ``payee_risky_payers_360d`` counts."""
    latest: dict[str, Past] = {}
    for each in remittances(view):
        if each.view is not None and each.view.signs >= 3.0:
            latest.pop(each.payment.payer.account, None)
            latest[each.payment.payer.account] = each
            if len(latest) > 8:
                del latest[next(iter(latest))]
    mine = set(map(mark, view.recent_payees))
    return float(
        max(
            (
                1 + len(mine & set(map(mark, seen(each).recent_payees)))
                for payer, each in latest.items()
                if payer != view.payment.payer.account and view.effective_ms - each.effective_ms <= 360 * DAY_MS
            ),
            default=0,
        )
    )


# --- the tables -----------------------------------------------------------------------------------------------------

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
    "remit_night_share_180d": lambda view: mean(view, lambda each: night_flag(each.payment)),
    "remit_night_excess_180d": night_excess,
    "remit_sessions_180d": sessions,
    "remit_rhythm": rhythm,
    "remit_new_payees_180d": new_payees,
    "remit_top_payee_share": top_payee_share,
    "remit_dropped_payees": dropped_payees,
    "remit_relation_life": relation_life,
    "remit_rails_90d": rails,
    "remit_excuse_kinds": excuse_kinds,
    "remit_absent_share_180d": lambda view: mean(view, absent),
    "remit_signs": signs,
}


def seen(each: Past) -> View:
    assert each.view is not None, "payments taken from a log have their view"
    return each.view


PAYER_TYPOLOGY: dict[str, Twin] = {
    "is_remittance": lambda view: is_remittance_flag(view.payment),
    "reference_is_handle": lambda view: flag(is_handle(view.payment.reference or "")),
    "reference_is_excuse": lambda view: flag(kind_of(view.payment.reference or "") >= 0),
    "payee_is_minor": lambda view: told(view.payment.payee.minor),
    "is_unrelated": lambda view: (
        NAN if view.payment.relationship is None else flag(view.payment.relationship == "none")
    ),
    "amount_against_corridor": amount_against_corridor,
    "round_against_corridor": round_against_corridor,
    "is_to_merchant": lambda view: flag(view.payment.merchant_category not in (None, "4829")),
    **{name: over_borders(twin) for name, twin in REMITTANCES.items()},
    "payer_retries_7d": retries,
    "payer_adult_merchants_180d": adult_merchants,
    "payer_travel_180d": travel,
    "device_is_new": device_is_new,
    "payee_linked_payees": sharing(linked_payees),
    "payee_linked_payers": sharing(linked_payers),
}

PAYEE_TYPOLOGY: dict[str, Twin] = {
    "payee_remit_180d": over_borders(count("180d")),
    "payee_small_new_payers_180d": over_borders(small_new_payers),
    "payee_small_remit_share_180d": over_borders(REMITTANCES["remit_small_share_180d"]),
    "payee_country_entropy_180d": over_borders(country_entropy),
    "payee_text_collisions_180d": over_borders(text_collisions),
    "payee_risky_payers_360d": over_borders(risky_payers),
    "payee_shared_payees_360d": over_borders(shared_payees),
    "payee_is_confirmed": lambda view: flag(view.payment.payee.account in CONFIRMED_ACCOUNTS),
    "reference_in_lexicon": in_lexicon,
}

TYPOLOGY_EXACT = {
    "is_remittance", "is_to_merchant", "reference_is_handle", "reference_is_excuse", "payee_is_minor", "is_unrelated",
    "remit_price_point_payees", "remit_dropped_payees", "remit_rails_90d", "remit_excuse_kinds",
    "payee_risky_payers_360d", "payee_shared_payees_360d", "payee_is_confirmed", "device_is_new",
    "reference_in_lexicon",
}  # fmt: skip

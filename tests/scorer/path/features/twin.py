"""The naive twin of every feature: plain Python over the whole list of an account's earlier payments.

Written from the registry's words alone (``services.scorer.path.features.registry``), never from the kernels. Nothing is
carried from payment to payment but the list itself: each feature is computed from scratch. How words that leave a
choice are read is said where they are read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import pairwise
from typing import Literal

from services.contract.codes import CURRENCY_EXPONENT
from services.contract.identity import digest64
from services.contract.types import Party, Payment, PaymentLabel, Role
from services.scorer.path.features.parameters import Parameters

HOUR_MS = 3_600_000
DAY_MS = 86_400_000
HALF_LIVES_MS = {"1h": HOUR_MS, "1d": DAY_MS, "7d": 7 * DAY_MS, "30d": 30 * DAY_MS}
LONG_MS = 180 * DAY_MS
PARTNERS_REMEMBERED = 12
PAYMENT_IDS_REMEMBERED = 32
LABELS_REMEMBERED = 8
NAN = math.nan

Verdict = Literal["forward", "duplicate", "status_update"]


@dataclass(frozen=True)
class Outflow:
    """A note at the payee hop: an account that may be a payee here has paid ``amount`` EUR out."""

    tenant: str
    account: str
    event_time_ms: int
    amount: float


@dataclass(frozen=True)
class PastLabel:
    """A label that the account has read."""

    label: PaymentLabel
    effective_ms: int


@dataclass(frozen=True)
class Past:
    """An earlier payment of the account."""

    payment: Payment
    effective_ms: int
    partner_was_new: bool
    view: View | None = None
    """How the payment looked when it came."""


@dataclass(frozen=True)
class Baseline:
    """An earlier remittance, as its corridor remembers it."""

    watermark_ms: int
    log_amount: float
    is_round: float


@dataclass(frozen=True)
class Told:
    """A remittance that told tokens of its payee, and the partition's event time when it came."""

    payment: Payment
    watermark_ms: int


@dataclass(frozen=True)
class View:
    """A payment as it arrives at one of its two accounts, and everything that account has behind it."""

    role: Role
    payment: Payment
    effective_ms: int
    past: tuple[Past, ...]
    later_refusals_ms: tuple[int, ...]
    """Effective times of changes of status to rejected or returned."""
    outflows: tuple[Outflow, ...]
    parameters: Parameters
    later_refused: tuple[tuple[Payment, int, int], ...] = ()
    """The changes of status to refused: the record, its effective time, how many payments had come before it."""
    watermark_ms: int = 0
    corridor: tuple[Baseline, ...] = ()
    """Earlier remittances of the payment's corridor in the partition, whose amount is known."""
    signs: float = NAN
    """At the payee: what the payer hop said of ``remit_signs``."""
    recent_payees: tuple[str, ...] = ()
    """At the payee: the payees of remittances that the payer paid last."""
    labels: tuple[PastLabel, ...] = ()
    over_cleared: float = NAN
    """At the payee: what the payer hop said of ``payer_amount_over_cleared``."""
    sharing: tuple[Told, ...] = ()
    """At the payer: earlier remittances of the partition that told tokens of their payee."""

    @property
    def partner(self) -> Party:
        return partner_of(self.payment, self.role)

    @property
    def has_past(self) -> bool:
        return len(self.past) > 0


# --- from a log to views --------------------------------------------------------------------------------------------


@dataclass
class Life:
    """What one account has seen since it last started afresh."""

    past: list[Past] = field(default_factory=list)
    statuses: dict[str, list[str]] = field(default_factory=dict)
    """Statuses in which each of the latest payment ids came, oldest id first."""
    later_refusals_ms: list[int] = field(default_factory=list)
    later_refused: list[tuple[Payment, int, int]] = field(default_factory=list)
    outflows: list[Outflow] = field(default_factory=list)
    labels: list[PastLabel] = field(default_factory=list)

    def is_over(self, watermark_ms: int, idle_ms: int) -> bool:
        return bool(self.past) and watermark_ms - self.past[-1].effective_ms > idle_ms

    def view(self, role: Role, payment: Payment, parameters: Parameters) -> View:
        effective_ms = max([payment.event_time_ms, *(each.effective_ms for each in self.past)])
        return View(
            role, payment, effective_ms, tuple(self.past), tuple(self.later_refusals_ms), tuple(self.outflows),
            parameters, tuple(self.later_refused), labels=tuple(self.labels),
        )  # fmt: skip

    def take(self, view: View) -> None:
        self.past.append(Past(view.payment, view.effective_ms, is_new_partner(view), view))

    def read(self, label: PaymentLabel) -> None:
        """No label is later than the account's latest payment, nor earlier than the label before it."""
        at_ms = min(label.event_time_ms, self.past[-1].effective_ms)
        self.labels.append(PastLabel(label, max([at_ms, *(each.effective_ms for each in self.labels)])))


Lives = dict[tuple[str, str], Life]


def _life_of(lives: Lives, account: tuple[str, str], watermark_ms: int, parameters: Parameters) -> Life:
    life = lives.setdefault(account, Life())
    if life.is_over(watermark_ms, parameters.account_idle_ms):
        life = lives[account] = Life()
    return life


def _labelled_life(lives: Lives, account: tuple[str, str], watermark_ms: int, parameters: Parameters) -> Life | None:
    """The life that reads a label of ``account``: of one without payments, or idle beyond the horizon, nobody's."""
    life = lives.get(account)
    if life is None or not life.past or life.is_over(watermark_ms, parameters.account_idle_ms):
        return None
    return life


def payer_views(log: Sequence[Payment | PaymentLabel], parameters: Parameters) -> tuple[list[View], list[Verdict]]:
    """What the payer hop sees of each payment of one partition, and whether it goes on. Labels move no time."""
    lives: Lives = {}
    views: list[View] = []
    verdicts: list[Verdict] = []
    corridors: dict[Corridor, list[Baseline]] = {}
    sharing: list[Told] = []
    watermark_ms = 0
    for payment in log:
        if isinstance(payment, PaymentLabel):
            reader = _labelled_life(lives, (payment.tenant, payment.payer), watermark_ms, parameters)
            latest = reader.labels[-LABELS_REMEMBERED:] if reader else []
            if reader and payment.payment_id not in [each.label.payment_id for each in latest]:
                reader.read(payment)
            continue
        watermark_ms = max(watermark_ms, payment.event_time_ms)
        life = _life_of(lives, (payment.tenant, payment.payer.account), watermark_ms, parameters)
        met = corridors.setdefault(corridor_of(payment), [])
        view = replace(
            life.view("payer", payment, parameters),
            watermark_ms=watermark_ms,
            corridor=tuple(met),
            sharing=tuple(sharing),
        )
        verdict = _recognise(life, payment)
        if verdict == "forward":
            life.take(view)
            eur = amount_of(payment, parameters)
            if is_remittance_flag(payment) == 1.0 and not math.isnan(eur):
                met.append(Baseline(watermark_ms, math.log1p(eur), is_round_flag(payment)))
            if is_remittance_flag(payment) == 1.0 and tokens_of(payment):
                sharing.append(Told(payment, watermark_ms))
        views.append(view)
        verdicts.append(verdict)
    return views, verdicts


def _recognise(life: Life, payment: Payment) -> Verdict:
    """A repeat of an id in a status that it came in before changes nothing, whatever came between (design, section 5).

    Readings: the 32 ids first seen latest are remembered, and a repeat does not make its id younger; a payment that was
    rejected and then returned is one refused payment.
    """
    known = life.statuses.setdefault(payment.payment_id, [])
    if payment.status in known:
        return "duplicate"
    refused_before = any(map(is_refused_status, known))
    known.append(payment.status)
    if len(known) > 1:
        if is_refused_status(payment.status) and not refused_before:
            life.later_refusals_ms.append(life.past[-1].effective_ms)
            life.later_refused.append((payment, life.past[-1].effective_ms, len(life.past)))
        return "status_update"
    if len(life.statuses) > PAYMENT_IDS_REMEMBERED:
        del life.statuses[next(iter(life.statuses))]
    return "forward"


def payee_views(
    log: Sequence[Payment | Outflow | PaymentLabel],
    parameters: Parameters,
    signs: Sequence[float] = (),
    recent_payees: Sequence[tuple[str, ...]] = (),
    over_cleared: Sequence[float] = (),
) -> list[View | None]:
    """What the payee hop sees of each record of one partition; ``None`` for outflows and labels. ``signs``,
    ``recent_payees`` and ``over_cleared`` are of its payments, in order."""
    lives: Lives = {}
    carried, recent, over = iter(signs), iter(recent_payees), iter(over_cleared)
    views: list[View | None] = []
    watermark_ms = 0
    for record in log:
        if isinstance(record, PaymentLabel):
            reader = _labelled_life(lives, (record.tenant, record.payee), watermark_ms, parameters)
            if reader:
                reader.read(record)
            views.append(None)
            continue
        watermark_ms = max(watermark_ms, record.event_time_ms)
        account = record.account if isinstance(record, Outflow) else record.payee.account
        life = _life_of(lives, (record.tenant, account), watermark_ms, parameters)
        if isinstance(record, Outflow):
            if life.past:  # "after first receiving"
                life.outflows.append(record)
            views.append(None)
            continue
        view = replace(
            life.view("payee", record, parameters),
            signs=next(carried, NAN),
            recent_payees=next(recent, ()),
            over_cleared=next(over, NAN),
        )
        life.take(view)
        views.append(view)
    return views


Corridor = tuple[str | None, str | None, str | None]


def corridor_of(payment: Payment) -> Corridor:
    payer = payment.payer.country if payment.payer.country else payment.currency
    payee = payment.payee.country if payment.payee.country else payment.received_currency
    return payer, payee, payment.rail


def tokens_of(payment: Payment) -> list[tuple[str, str, str]]:
    """What a payment tells of its payee, in the order in which it is joined; told apart by tenant and kind."""
    payee = payment.payee
    told = (("device", payee.device), ("phone", payee.phone), ("pickup", payee.pickup))
    return [(payment.tenant, kind, token) for kind, token in told if token is not None]


# --- the shared mathematics -----------------------------------------------------------------------------------------


def decayed(values: Iterable[tuple[float, int]], now_ms: int, half_life: str) -> float:
    """The decayed sum of ``(value, effective time)``."""
    half_life_ms = LONG_MS if half_life == "180d" else HALF_LIVES_MS[half_life]
    return math.fsum(value * 2.0 ** (-(now_ms - at_ms) / half_life_ms) for value, at_ms in values)


def share(view: View, flag: Callable[[Payment], float]) -> float:
    """Decayed flags (30 d) over the decayed count of the payments whose flag is known."""
    if not view.has_past:
        return 0.0
    known = [(flag(each.payment), each.effective_ms) for each in view.past if not math.isnan(flag(each.payment))]
    if not known:
        return NAN
    whole = decayed([(1.0, at_ms) for _, at_ms in known], view.effective_ms, "30d")
    return decayed(known, view.effective_ms, "30d") / whole


def is_refused_status(status: str) -> bool:
    return status in ("rejected", "returned")


def amount_of(payment: Payment, parameters: Parameters) -> float:
    """EUR, whatever became of the payment; NaN when its currency has no rate."""
    rate = dict(parameters.rates).get(payment.currency)
    return NAN if rate is None else payment.amount_minor / 10 ** CURRENCY_EXPONENT[payment.currency] / rate


def money_of(payment: Payment, parameters: Parameters) -> float:
    """EUR that moved: NaN when unknown, and when the payment was refused, whose money does not count.

    Reading: by the status that the payment had when it came; a later change of status moves no money back.
    """
    return NAN if is_refused_status(payment.status) else amount_of(payment, parameters)


def money_in_past(view: View) -> list[tuple[float, int]]:
    """Reading: a sum of money is over the payments whose money is known."""
    moved = [(money_of(each.payment, view.parameters), each.effective_ms) for each in view.past]
    return [(money, at_ms) for money, at_ms in moved if not math.isnan(money)]


def roundness_of(amount_minor: int) -> float:
    significant = str(amount_minor).strip("0")
    return 1.0 / len(significant) if significant else 0.0


def flag(condition: bool) -> float:
    return 1.0 if condition else 0.0


def partner_of(payment: Payment, role: Role) -> Party:
    return payment.payee if role == "payer" else payment.payer


def recent_partners(view: View) -> list[str]:
    """The 12 counterparties most recently dealt with, latest first."""
    latest_first = [partner_of(each.payment, view.role).account for each in reversed(view.past)]
    return list(dict.fromkeys(latest_first))[:PARTNERS_REMEMBERED]


def is_new_partner(view: View) -> bool:
    return view.partner.account not in recent_partners(view)


# --- payment --------------------------------------------------------------------------------------------------------


def amount(view: View) -> float:
    return amount_of(view.payment, view.parameters)


def amount_roundness(view: View) -> float:
    return roundness_of(view.payment.amount_minor)


def received_roundness(view: View) -> float:
    received = view.payment.received_amount_minor
    return NAN if received is None else roundness_of(received)


def small_flag(payment: Payment, parameters: Parameters) -> float:
    eur = amount_of(payment, parameters)
    return NAN if math.isnan(eur) else flag(parameters.small_from <= eur <= parameters.small_to)


def near_threshold_flag(payment: Payment, parameters: Parameters) -> float:
    eur = amount_of(payment, parameters)
    return NAN if math.isnan(eur) else flag(parameters.near_threshold_from <= eur < parameters.near_threshold_to)


def cross_border_flag(payment: Payment) -> float:
    countries = (payment.payer.country, payment.payee.country)
    if None not in countries:
        return flag(countries[0] != countries[1])
    return 1.0 if payment.received_currency not in (None, payment.currency) else NAN


def local_hour(payment: Payment) -> float:
    if payment.utc_offset_minutes is None:
        return NAN
    return (payment.event_time_ms + payment.utc_offset_minutes * 60_000) % DAY_MS / HOUR_MS


def is_remittance_flag(payment: Payment) -> float:
    crosses = cross_border_flag(payment)
    return NAN if math.isnan(crosses) else flag(crosses == 1.0 and payment.merchant_category in (None, "4829"))


def is_round_flag(payment: Payment) -> float:
    received = payment.received_amount_minor
    return flag(roundness_of(payment.amount_minor) >= 0.5 or (received is not None and roundness_of(received) >= 0.5))


def night_flag(payment: Payment) -> float:
    hour = local_hour(payment)
    return NAN if math.isnan(hour) else flag(not 5.0 <= hour < 22.0)


def account_age(party: Party, event_time_ms: int) -> float:
    return NAN if party.opened_ms is None else max(0.0, (event_time_ms - party.opened_ms) / DAY_MS)


def reference_is_absent(view: View) -> float:
    return flag(view.payment.reference is None or view.payment.reference.strip() == "")


# --- activity of an account, payer or payee -------------------------------------------------------------------------


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
    if mean == 0:
        return 0.0
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
    return float(len(countries_in_past(view)))


def amount_deviation(view: View) -> float:
    eur = amount_of(view.payment, view.parameters)
    if math.isnan(eur):
        return NAN
    known = [(math.log1p(money), at_ms) for money, at_ms in money_in_past(view)]
    if len(known) < 3:
        return 0.0
    latest_ms = known[-1][1]  # only proportions matter: measured at the latest of them, nothing underflows
    weight = decayed([(1.0, at_ms) for _, at_ms in known], latest_ms, "30d")
    mean = decayed(known, latest_ms, "30d") / weight
    variance = decayed([((log - mean) ** 2, at_ms) for log, at_ms in known], latest_ms, "30d") / weight
    return (math.log1p(eur) - mean) / max(math.sqrt(variance), 0.1)


# --- payer only -----------------------------------------------------------------------------------------------------


def night_share(view: View) -> float:
    return share(view, night_flag)


def corridor_is_new(view: View) -> float:
    country = view.payment.payee.country
    return NAN if country is None else flag(country not in countries_in_past(view))


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
    at_once = [each.effective_ms for each in view.past if is_refused_status(each.payment.status)]
    return decayed([(1.0, at_ms) for at_ms in (*at_once, *view.later_refusals_ms)], view.effective_ms, "1d")


# --- pair -----------------------------------------------------------------------------------------------------------


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


# --- payee only -----------------------------------------------------------------------------------------------------


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


# --- the table ------------------------------------------------------------------------------------------------------

Twin = Callable[[View], float]


def _activity(who: Role, other: Role) -> dict[str, Twin]:
    return {
        **{f"{who}_payments_{half_life}": payments_count(half_life) for half_life in HALF_LIVES_MS},
        **{f"{who}_value_{half_life}": value(half_life) for half_life in HALF_LIVES_MS},
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
    "local_hour_sin": lambda view: math.sin(2 * math.pi * local_hour(view.payment) / 24),
    "local_hour_cos": lambda view: math.cos(2 * math.pi * local_hour(view.payment) / 24),
    "local_is_night": lambda view: night_flag(view.payment),
    "payer_account_age": lambda view: account_age(view.payment.payer, view.payment.event_time_ms),
    "is_refused": lambda view: flag(is_refused_status(view.payment.status)),
    "reference_is_absent": reference_is_absent,
    **_activity("payer", "payee"),
    "payer_night_share_30d": night_share,
    "corridor_is_new": corridor_is_new,
    "payer_amount_over_last": amount_over_last,
    "payer_near_threshold_7d": near_threshold,
    "payer_refused_1d": refused,
    "pair_is_new": lambda view: flag(is_new_partner(view)),
    "pair_payments": pair_payments,
    "pair_age": pair_age,
    "pair_gap": pair_gap,
}
"""On the payer's view of a payment."""

PAYEE_TWINS: dict[str, Twin] = {
    **_activity("payee", "payer"),
    "payee_passed_on_share_1d": passed_on_share,
    "payee_account_age": lambda view: account_age(view.payment.payee, view.payment.event_time_ms),
}
"""On the payee's view of a payment."""

EXACT = {
    "amount_roundness", "received_roundness", "amount_is_small", "amount_is_near_threshold", "is_cross_border",
    "local_is_night", "is_refused", "reference_is_absent", "corridor_is_new", "pair_is_new", "pair_payments",
    "payer_payments_total", "payee_payments_total", "payer_corridors", "payee_corridors",
}  # fmt: skip
"""Flags and counts: compared without any tolerance."""

"""What each hop sees of a log, and the mathematics that the features share, in plain Python: what the twins stand on.

Written from the registry's words alone (``services.scorer.path.features``), never from the kernels. Nothing is carried
from payment to payment but the list itself. How words that leave a choice are read is said where they are read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from services.contract.codes import CURRENCY_EXPONENT
from services.contract.types import Party, Payment, Role
from services.scorer.path.ruleset import Parameters

HOUR_MS = 3_600_000
DAY_MS = 86_400_000
HALF_LIVES_MS = {"1h": HOUR_MS, "1d": DAY_MS, "7d": 7 * DAY_MS, "30d": 30 * DAY_MS}
"""Of every account's activity."""
_EVERY_HALF_LIFE_MS = {**HALF_LIVES_MS, "180d": 180 * DAY_MS}
PARTNERS_REMEMBERED = 12
PAYMENT_IDS_REMEMBERED = 32
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
class Past:
    """An earlier payment of the account."""

    payment: Payment
    effective_ms: int
    partner_was_new: bool
    view: View
    """As the payment arrived: what a feature says of a payment, it says of it then."""


@dataclass(frozen=True)
class Refusal:
    """A payment, when the account had it refused for the first time: at once, or by a later change of its status.

    Reading: of a change of status, ``payment`` is the record that said so.
    """

    payment: Payment
    effective_ms: int


@dataclass(frozen=True, eq=False)
class View:
    """A payment as it arrives at one of its two accounts, and everything that account has behind it."""

    role: Role
    payment: Payment
    effective_ms: int
    watermark_ms: int
    """The partition's event time, this payment included."""
    past: tuple[Past, ...]
    later_refusals_ms: tuple[int, ...]
    """Effective times of changes of status to rejected or returned."""
    refusals: tuple[Refusal, ...]
    outflows: tuple[Outflow, ...]
    partition: tuple[View, ...]
    """At the payer hop: the partition's earlier payments that went on, whoever made them."""
    signs: float
    """At the payee hop: ``remit_signs`` of the payer, which the payer hop has sent along."""
    is_confirmed: bool
    """At the payee hop: the payee stands in the deployer's list."""
    parameters: Parameters

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
    refusals: list[Refusal] = field(default_factory=list)
    outflows: list[Outflow] = field(default_factory=list)

    def is_over(self, watermark_ms: int, idle_ms: int) -> bool:
        return bool(self.past) and watermark_ms - self.past[-1].effective_ms > idle_ms

    def view(
        self, role: Role, payment: Payment, watermark_ms: int, parameters: Parameters,
        partition: Sequence[View] = (), signs: float = NAN, is_confirmed: bool = False,
    ) -> View:  # fmt: skip
        effective_ms = max([payment.event_time_ms, *(each.effective_ms for each in self.past)])
        return View(
            role, payment, effective_ms, watermark_ms, tuple(self.past), tuple(self.later_refusals_ms),
            tuple(self.refusals), tuple(self.outflows), tuple(partition), signs, is_confirmed, parameters,
        )  # fmt: skip

    def take(self, view: View) -> None:
        self.past.append(Past(view.payment, view.effective_ms, is_new_partner(view), view))
        if is_refused_status(view.payment.status):
            self.refusals.append(Refusal(view.payment, view.effective_ms))


Lives = dict[tuple[str, str], Life]
Twin = Callable[[View], float]


def _life_of(lives: Lives, account: tuple[str, str], watermark_ms: int, parameters: Parameters) -> Life:
    life = lives.setdefault(account, Life())
    if life.is_over(watermark_ms, parameters.account_idle_ms):
        life = lives[account] = Life()
    return life


def payer_views(log: Sequence[Payment], parameters: Parameters) -> tuple[list[View], list[Verdict]]:
    """What the payer hop sees of each payment of one partition, and whether it goes on."""
    lives: Lives = {}
    views: list[View] = []
    verdicts: list[Verdict] = []
    for at, payment in enumerate(log):
        watermark_ms = max(earlier.event_time_ms for earlier in log[: at + 1])
        life = _life_of(lives, (payment.tenant, payment.payer.account), watermark_ms, parameters)
        went_on = [view for view, verdict in zip(views, verdicts, strict=True) if verdict == "forward"]
        view = life.view("payer", payment, watermark_ms, parameters, went_on)
        verdict = _recognise(life, payment)
        if verdict == "forward":
            life.take(view)
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
            life.refusals.append(Refusal(payment, life.past[-1].effective_ms))
        return "status_update"
    if len(life.statuses) > PAYMENT_IDS_REMEMBERED:
        del life.statuses[next(iter(life.statuses))]
    return "forward"


def payee_views(
    log: Sequence[Payment | Outflow],
    parameters: Parameters,
    signs: Sequence[float],
    confirmed: Collection[str] = (),
) -> list[View | None]:
    """What the payee hop sees of each record of one partition; ``None`` for outflows.

    ``signs`` has ``remit_signs`` of each payment of the log, in order, as the payer hop sent it along. ``confirmed``
    are accounts. Reading: an account is confirmed under every tenant.
    """
    lives: Lives = {}
    of_payments = iter(signs)
    views: list[View | None] = []
    for at, record in enumerate(log):
        watermark_ms = max(earlier.event_time_ms for earlier in log[: at + 1])
        account = record.account if isinstance(record, Outflow) else record.payee.account
        life = _life_of(lives, (record.tenant, account), watermark_ms, parameters)
        if isinstance(record, Outflow):
            if life.past:  # "after first receiving"
                life.outflows.append(record)
            views.append(None)
            continue
        is_confirmed = record.payee.account in confirmed
        view = life.view("payee", record, watermark_ms, parameters, (), next(of_payments), is_confirmed)
        life.take(view)
        views.append(view)
    return views


# --- the shared mathematics -----------------------------------------------------------------------------------------


def decayed(values: Iterable[tuple[float, int]], now_ms: int, half_life: str) -> float:
    """The decayed sum of ``(value, effective time)``."""
    return math.fsum(value * 2.0 ** (-(now_ms - at_ms) / _EVERY_HALF_LIFE_MS[half_life]) for value, at_ms in values)


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


def reference_is_absent(payment: Payment) -> float:
    return flag(payment.reference is None or payment.reference.strip() == "")


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


def small_flag(payment: Payment, parameters: Parameters) -> float:
    eur = amount_of(payment, parameters)
    return NAN if math.isnan(eur) else flag(parameters.small_from <= eur <= parameters.small_to)


def near_threshold_flag(payment: Payment, parameters: Parameters) -> float:
    eur = amount_of(payment, parameters)
    return NAN if math.isnan(eur) else flag(parameters.near_threshold_from <= eur < parameters.near_threshold_to)


def cross_border_flag(payment: Payment) -> float:
    countries = (payment.payer.country, payment.payee.country)
    return NAN if None in countries else flag(countries[0] != countries[1])


def local_hour(payment: Payment) -> float:
    if payment.utc_offset_minutes is None:
        return NAN
    return (payment.event_time_ms + payment.utc_offset_minutes * 60_000) % DAY_MS / HOUR_MS


def night_flag(payment: Payment) -> float:
    hour = local_hour(payment)
    return NAN if math.isnan(hour) else flag(not 5.0 <= hour < 22.0)

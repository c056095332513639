"""What a twin sees of a log at each payment: the list of the account's earlier payments, and the partition's."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from msgspec.structs import replace as replace_struct

from services.contract.label import PaymentLabel
from services.contract.local import OFFSET_MINUTES
from services.contract.payment import Party, Payment, Role
from services.scorer.path.features.parameters import Parameters
from tests.scorer.path.features.clock_twin import ClockTwin
from tests.scorer.path.features.twin_arithmetic import (
    DAY_MS,
    HOUR_MS,
    NAN,
    amount_of,
    flag,
    is_refused_status,
    is_remittance_flag,
    is_round_flag,
    partner_of,
)

PARTNERS_REMEMBERED = 12
LABELS_REMEMBERED = 8
Verdict = Literal["forward", "duplicate", "status_update", "conflict"]


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
    status_was_told_later: bool = False
    """Whether the status of an earlier payment was changed."""
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


@dataclass
class Life:
    """What one account has seen since it last started afresh."""

    past: list[Past] = field(default_factory=list)
    later_refusals_ms: list[int] = field(default_factory=list)
    later_refused: list[tuple[Payment, int, int]] = field(default_factory=list)
    status_was_told_later: bool = False
    outflows: list[Outflow] = field(default_factory=list)
    labels: list[PastLabel] = field(default_factory=list)

    def is_over(self, watermark_ms: int, idle_ms: int) -> bool:
        return bool(self.past) and watermark_ms - self.past[-1].effective_ms > idle_ms

    def view(self, role: Role, payment: Payment, parameters: Parameters) -> View:
        effective_ms = max([payment.event_time_ms, *(each.effective_ms for each in self.past)])
        return View(
            role, payment, effective_ms, tuple(self.past), tuple(self.later_refusals_ms), tuple(self.outflows),
            parameters, self.status_was_told_later, tuple(self.later_refused), labels=tuple(self.labels),
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
    seen: Seen = {}
    clock, watermark_ms = ClockTwin(), 0
    for payment in log:
        if isinstance(payment, PaymentLabel):
            reader = _labelled_life(lives, (payment.tenant, payment.payer), watermark_ms, parameters)
            latest = reader.labels[-LABELS_REMEMBERED:] if reader else []
            if reader and payment.payment_id not in [each.label.payment_id for each in latest]:
                reader.read(payment)
            continue
        watermark_ms = clock.take(payment.event_time_ms, payment.payer.account)
        verdict, first_refused = _recognise(seen, payment)
        account = payment.tenant, payment.payer.account
        life = Life()
        if verdict == "forward" or (verdict == "status_update" and account in lives):
            life = _life_of(lives, account, watermark_ms, parameters)
        met = corridors.setdefault(corridor_of(payment), [])
        view = replace(
            life.view("payer", payment, parameters),
            watermark_ms=watermark_ms,
            corridor=tuple(met),
            sharing=tuple(sharing),
        )
        if verdict == "status_update" and life.past:
            life.status_was_told_later = True
        if first_refused and life.past:
            life.later_refusals_ms.append(life.past[-1].effective_ms)
            life.later_refused.append((payment, life.past[-1].effective_ms, len(life.past)))
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


Seen = dict[tuple[str, str, str], tuple[Payment, set[str]]]
"""By tenant, payer and id: the first payment, and the statuses that it came in."""


def _recognise(seen: Seen, payment: Payment) -> tuple[Verdict, bool]:
    """What a payment is that may have come before, and whether it is told for the first time that it was refused: a
    payment that was rejected and then returned is one refused payment."""
    name = payment.tenant, payment.payer.account, payment.payment_id
    if name not in seen:
        seen[name] = payment, {payment.status}
        return "forward", False
    first, statuses = seen[name]
    if replace_struct(payment, status=first.status) != first:
        return "conflict", False
    if payment.status in statuses:
        return "duplicate", False
    refused_before = any(map(is_refused_status, statuses))
    statuses.add(payment.status)
    return "status_update", is_refused_status(payment.status) and not refused_before


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
    clock, watermark_ms = ClockTwin(), 0
    for record in log:
        if isinstance(record, PaymentLabel):
            reader = _labelled_life(lives, (record.tenant, record.payee), watermark_ms, parameters)
            if reader:
                reader.read(record)
            views.append(None)
            continue
        payer = None if isinstance(record, Outflow) else record.payer.account
        watermark_ms = clock.take(record.event_time_ms, payer)
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


def seen(each: Past) -> View:
    assert each.view is not None, "payments taken from a log have their view"
    return each.view


def offset_told_before(view: View) -> int | None:
    """The one that the payer told last."""
    told = [each.payment.utc_offset_minutes for each in view.past]
    return next((each for each in reversed(told) if each is not None), None)


def local_hour(view: View) -> float:
    """By the offset of the payment, else of the payer's last payment that tells one, else of the payer's country."""
    offset = view.payment.utc_offset_minutes
    if offset is None:
        offset = offset_told_before(view)
    if offset is None:
        offset = OFFSET_MINUTES.get(view.payment.payer.country or "")
    return NAN if offset is None else (view.payment.event_time_ms + offset * 60_000) % DAY_MS / HOUR_MS


def night_flag(view: View) -> float:
    hour = local_hour(view)
    return NAN if math.isnan(hour) else flag(not 5.0 <= hour < 22.0)


def absent_flag(view: View) -> float:
    """Whether there is no reference; not known of a payer that has told none, not even an empty one."""
    reference = view.payment.reference
    if reference is None:
        return flag(True) if any(each.payment.reference is not None for each in view.past) else NAN
    return flag(reference.strip() == "")


def recent_partners(view: View) -> list[str]:
    """The 12 counterparties most recently dealt with, latest first."""
    latest_first = [partner_of(each.payment, view.role).account for each in reversed(view.past)]
    return list(dict.fromkeys(latest_first))[:PARTNERS_REMEMBERED]


def is_new_partner(view: View) -> bool:
    return view.partner.account not in recent_partners(view)


Twin = Callable[[View], float]

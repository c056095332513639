"""What twins reckon with: decay and shares of numbers, and what a single payment tells."""

from __future__ import annotations

import math
from collections.abc import Iterable

from services.contract.codes import CURRENCY_EXPONENT
from services.contract.local import CURRENCY
from services.contract.payment import Party, Payment, Role
from services.scorer.path.features.parameters import Parameters

HOUR_MS = 3_600_000
DAY_MS = 86_400_000
HALF_LIVES_MS = {"1h": HOUR_MS, "1d": DAY_MS, "7d": 7 * DAY_MS, "30d": 30 * DAY_MS}
LONG_MS = 180 * DAY_MS
NAN = math.nan


def decayed(values: Iterable[tuple[float, int]], now_ms: int, half_life: str) -> float:
    """The decayed sum of ``(value, effective time)``."""
    half_life_ms = LONG_MS if half_life == "180d" else HALF_LIVES_MS[half_life]
    return math.fsum(value * 2.0 ** (-(now_ms - at_ms) / half_life_ms) for value, at_ms in values)


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


def roundness_of(amount_minor: int) -> float:
    significant = str(amount_minor).strip("0")
    return 1.0 / len(significant) if significant else 0.0


def flag(condition: bool) -> float:
    return 1.0 if condition else 0.0


def partner_of(payment: Payment, role: Role) -> Party:
    return payment.payee if role == "payer" else payment.payer


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


def to_merchant_flag(payment: Payment) -> float:
    """Not known of a payment by card that tells no category."""
    if payment.merchant_category is None and payment.rail == "card":
        return NAN
    return flag(payment.merchant_category not in (None, "4829"))


def is_remittance_flag(payment: Payment) -> float:
    crosses = cross_border_flag(payment)
    if crosses == 1.0 and math.isnan(to_merchant_flag(payment)):
        return NAN
    return NAN if math.isnan(crosses) else flag(crosses == 1.0 and payment.merchant_category in (None, "4829"))


def received_of(payment: Payment) -> int | None:
    """Minor units received: as told, or as paid where the payee's country has the currency that is paid in."""
    if payment.received_amount_minor is None and CURRENCY.get(payment.payee.country or "") == payment.currency:
        return payment.amount_minor
    return payment.received_amount_minor


def is_round_flag(payment: Payment) -> float:
    """Known only where both amounts are."""
    received = received_of(payment)
    if received is None:
        return NAN
    return flag(max(roundness_of(payment.amount_minor), roundness_of(received)) >= 0.5)


def account_age(party: Party, event_time_ms: int) -> float:
    return NAN if party.opened_ms is None else max(0.0, (event_time_ms - party.opened_ms) / DAY_MS)

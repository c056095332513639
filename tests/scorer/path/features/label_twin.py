"""The naive twins of what labels say, written from the registry's words like those in ``twin.py``.

They keep every label that was read; nothing is carried from payment to payment but the lists.
"""

from __future__ import annotations

import math

from tests.scorer.path.features.twin_arithmetic import DAY_MS, amount_of
from tests.scorer.path.features.twin_views import Past, PastLabel, Twin, View


def left(elapsed_ms: int, days: float) -> float:
    return float(2.0 ** (-elapsed_ms / DAY_MS / days))


def share(labels: list[PastLabel], days: float) -> float:
    """As of the latest of the labels: all of them decay alike."""
    if not labels:
        return 0.0
    weights = [left(labels[-1].effective_ms - each.effective_ms, days) for each in labels]
    confirmed = math.fsum(w for w, each in zip(weights, labels, strict=True) if each.label.confirmed)
    return confirmed / math.fsum(weights)


def capped_days(elapsed_ms: int) -> float:
    return min(elapsed_ms / DAY_MS, 365.0)


# --- the payer ------------------------------------------------------------------------------------------------------


def confirmed_gap(view: View) -> float:
    confirmed = [each.effective_ms for each in view.labels if each.label.confirmed]
    return capped_days(view.effective_ms - confirmed[-1]) if confirmed else 365.0


def habit(view: View) -> tuple[float, float] | None:
    """Mean and standard deviation of the amounts that were cleared, with a half-life of 90 d; None until there are
    three."""
    known = [
        (each.effective_ms, each.label.amount_eur)
        for each in view.labels
        if not each.label.confirmed and each.label.amount_eur is not None
    ]
    if len(known) < 3:
        return None
    weights = [left(known[-1][0] - at_ms, 90.0) for at_ms, _ in known]
    whole = math.fsum(weights)
    mean = math.fsum(w * amount for w, (_, amount) in zip(weights, known, strict=True)) / whole
    variance = math.fsum(w * (amount - mean) ** 2 for w, (_, amount) in zip(weights, known, strict=True)) / whole
    return mean, math.sqrt(variance)


def cleared_amount(view: View) -> float:
    found = habit(view)
    return found[0] if found else 0.0


def amount_over_cleared(view: View) -> float:
    eur, found = amount_of(view.payment, view.parameters), habit(view)
    if math.isnan(eur):
        return math.nan
    return eur / max(found[0], 0.01) if found else 1.0


def amount_from_cleared(view: View) -> float:
    eur, found = amount_of(view.payment, view.parameters), habit(view)
    if math.isnan(eur):
        return math.nan
    return (eur - found[0]) / max(found[1], 0.1 * found[0] + 0.01) if found else 0.0


def excess(ratio: float) -> float:
    return math.log(ratio / 2.0) if ratio > 2.0 else 0.0


def past_view(each: Past) -> View:
    assert each.view is not None, "payments taken from a log have their view"
    return each.view


def payer_excess(days: float) -> Twin:
    return lambda view: math.fsum(
        excess(amount_over_cleared(past_view(each))) * left(view.effective_ms - each.effective_ms, days)
        for each in view.past
    )


# --- the payee ------------------------------------------------------------------------------------------------------


def payee_excess(days: float) -> Twin:
    return lambda view: math.fsum(
        excess(past_view(each).over_cleared) * left(view.effective_ms - each.effective_ms, days) for each in view.past
    )


def usual(view: View) -> list[PastLabel]:
    """Reading: a payment of which the amount over cleared is missing is no usual one."""
    known = [each for each in view.labels if each.label.amount_over_cleared is not None]
    return [each for each in known if (each.label.amount_over_cleared or 0.0) < 2.5]


def usual_share(view: View) -> float:
    """As of the latest label of any payment; the proportion is the same as of the latest usual one."""
    return share(usual(view), 7.0)


def usual_matured(view: View) -> float:
    return math.fsum(left(view.effective_ms - each.effective_ms, 30.0) for each in usual(view))


def cleared_before_run(view: View) -> list[PastLabel]:
    return [each for each in usual(view) if not each.label.confirmed]


def run_of(view: View) -> list[PastLabel]:
    found: list[PastLabel] = []
    for each in reversed(usual(view)):
        if not each.label.confirmed:
            break
        found.insert(0, each)
    return found


def run_age(view: View) -> float:
    run = run_of(view)
    return (view.effective_ms - run[0].effective_ms) / DAY_MS if run else 0.0


def run_gap(view: View) -> float:
    run, cleared = run_of(view), cleared_before_run(view)
    if not run:
        return 0.0
    return capped_days(run[0].effective_ms - cleared[-1].effective_ms) if cleared else 365.0


def cleared_gap(view: View) -> float:
    cleared = cleared_before_run(view)
    return capped_days(view.effective_ms - cleared[-1].effective_ms) if cleared else 0.0


# --- the tables -----------------------------------------------------------------------------------------------------

PAYER_LABEL_TWINS: dict[str, Twin] = {
    "payer_confirmed_share_30d": lambda view: share(list(view.labels), 30.0),
    "payer_confirmed_gap": confirmed_gap,
    "payer_cleared_amount": cleared_amount,
    "payer_amount_over_cleared": amount_over_cleared,
    "payer_amount_from_cleared": amount_from_cleared,
    **{f"payer_excess_{days}d": payer_excess(days) for days in (1, 7, 30)},
}
PAYEE_LABEL_TWINS: dict[str, Twin] = {
    "payee_confirmed_share_1d": lambda view: share(list(view.labels), 1.0),
    "payee_confirmed_share_7d": lambda view: share(list(view.labels), 7.0),
    "payee_confirmed_share_30d": lambda view: share(list(view.labels), 30.0),
    "payee_usual_confirmed_share_7d": usual_share,
    "payee_usual_matured_30d": usual_matured,
    "payee_confirmed_run": lambda view: float(len(run_of(view))),
    "payee_confirmed_run_age": run_age,
    "payee_confirmed_run_gap": run_gap,
    "payee_cleared_gap": cleared_gap,
    "payee_excess_1d": payee_excess(1),
    "payee_excess_7d": payee_excess(7),
}

"""What labels say of a payer and of a payee."""

from __future__ import annotations

from typing import Literal

from services.scorer.path.features.definitions.feature import Feature

_LABELS = "share of confirmed among matured payments: labels as features"
_OWN = "amount against the payer's cleared payments: confirmed ones must not pass for habit"
_EXCESS = "too large for the payer, several times over: seen before any label"
_COMPROMISE = "a payee that is used for fraud: confirmed one after another, since when (common point of compromise)"


def _of(
    side: Literal["payer", "payee"], name: str, unit: str, meaning: str, source: str,
    scale: Literal["linear", "log"] = "linear",
) -> Feature:  # fmt: skip
    return Feature(name, unit, meaning, side, scale, source=source)


PAYER_CONFIRMED: tuple[Feature, ...] = (
    _of("payer", "payer_confirmed_share_30d", "share",
        "Share of matured payments that was confirmed; 0 while none is", _LABELS),
    _of("payer", "payer_confirmed_gap", "days",
        "Time since the latest payment that was confirmed, at most 365; 365 while none is", _LABELS, "log"),
    _of("payer", "payer_cleared_amount", "EUR",
        "Mean amount of cleared payments (half-life 90 d); 0 until there are three with a known amount", _OWN, "log"),
    _of("payer", "payer_amount_over_cleared", "ratio",
        "Amount over payer_cleared_amount, the latter at least 0.01 EUR; 1 until there are three", _OWN, "log"),
    _of("payer", "payer_amount_from_cleared", "standard deviations",
        "Amount less payer_cleared_amount, over the standard deviation (half-life 90 d), the latter at least a tenth "
        "of the mean plus 0.01 EUR; 0 until there are three", _OWN),
    *(
        _of("payer", f"payer_excess_{h}", "1", "Decayed sum of the excess of earlier payments", _EXCESS, "log")
        for h in ("1d", "7d", "30d")
    ),
)  # fmt: skip
PAYEE_CONFIRMED: tuple[Feature, ...] = (
    *(
        _of("payee", f"payee_confirmed_share_{h}", "share",
            "Share of matured payments that was confirmed; 0 while none is", _LABELS)
        for h in ("1d", "7d", "30d")
    ),
    _of("payee", "payee_usual_confirmed_share_7d", "share", "The same of usual matured payments", _LABELS),
    _of("payee", "payee_usual_matured_30d", "payments", "Decayed count of usual matured payments", _LABELS, "log"),
    _of("payee", "payee_confirmed_run", "payments",
        "How many usual matured payments were confirmed since the latest that was cleared", _COMPROMISE, "log"),
    _of("payee", "payee_confirmed_run_age", "days",
        "Time since the first payment of that run; 0 while there is none", _COMPROMISE, "log"),
    _of("payee", "payee_confirmed_run_gap", "days",
        "Time from the cleared payment before that run to its first, at most 365; 365 where nothing was cleared "
        "before, 0 while there is no run", _COMPROMISE, "log"),
    _of("payee", "payee_cleared_gap", "days",
        "Time since the latest usual payment that was cleared, at most 365; 0 while none is", _COMPROMISE, "log"),
    *(
        _of("payee", f"payee_excess_{h}", "1", "Decayed sum of the excess of payments received", _EXCESS, "log")
        for h in ("1d", "7d")
    ),
)  # fmt: skip

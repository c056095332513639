"""The registry of features: what each number of a decision's vector means.

The order here is the canonical order of every feature vector, weight vector and contribution vector. Features are
taken *before* their payment changes any state. The payment, payer and pair features are computed at the payer hop,
the payee features at the payee hop.

Mathematics shared by all of them:

- **Effective time** of a payment is the latest event time that its account has seen so far, its own included: a late
  payment counts as of the account's present, so no sum ever grows backwards.
- **Decayed sum** with half-life ``h`` at effective time ``T``: the sum over the account's earlier payments ``i`` of
  ``v_i * 2**(-(T - T_i) / h)``. ``_1h``, ``_1d``, ``_7d``, ``_30d`` in a name are such half-lives.
- **Share**: a decayed sum of flags over the decayed count of the payments whose flag is known; ``0`` while the
  account has no earlier payment, missing (NaN) while it has some and none is known.
- **Money** is in the reference currency (EUR at the ruleset's rates); missing when the currency has no rate. Payments
  that were rejected or returned count, but their money does not.
- A repeated payment, or a later change of its status, moves the partition's event time and nothing else of an account,
  but for ``payer_refused_1d``: a payment counts there once, when it is first refused. Money follows the first status.
- An account that has been idle, by the partition's event time, beyond the retention horizon starts afresh.

Missing is NaN, ``null`` in JSON. It never means zero: the model leaves a missing feature out, a rule says ``error``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import orjson

from services.contract.identity import hash_of
from services.contract.types import Side
from services.scorer.path.ruleset import Parameters

DEFINITION_VERSION = 2
"""Raised whenever the mathematics of any feature changes, so that no model scores what it was not trained on."""

HALF_LIFE_MS = (3_600_000, 86_400_000, 7 * 86_400_000, 30 * 86_400_000)
HALF_LIFE_NAMES = ("1h", "1d", "7d", "30d")


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature.

    ``scale`` says how a model reads it: ``log`` features are heavy-tailed and enter as ``log(1 + x)``.
    ``needs`` names the optional fields without which it is missing. ``source`` is where the idea comes from.
    """

    name: str
    unit: str
    meaning: str
    side: Side
    scale: Literal["linear", "log"] = "linear"
    needs: tuple[str, ...] = ()
    source: str = "velocity and value profile, common practice in payment monitoring"

    @property
    def window(self) -> str:
        """Over what time the feature looks back."""
        suffix = self.name.rpartition("_")[2]
        if suffix in HALF_LIFE_NAMES:
            return f"half-life {suffix}"
        if suffix == "60d":
            return "30 to 60 d"
        return "this payment" if self.side == "payment" else "while remembered"


_HANDBOOK = "Fraud Detection Handbook, chapter 3.3 (RFM features)"
_FATF_ROUND = "FATF: amounts even in the sender's or the receiver's currency (indicator A2)"
_FAN = "AUSTRAC: one payer to many, or one payee from many, unrelated parties (indicators R2, B1)"
_NIGHT = "ECPAT-SE, FATF: late evening and night in the payer's local time (indicator T3)"
_ROTATION = "rotation of payees (indicator R3)"
_CORRIDOR = "an established customer opens a new corridor (indicator R4)"
_DORMANT = "FATF: dormant account suddenly active"
_RETRY = "retry after refusal (indicator N6)"
_BELOW = "structuring under a reporting threshold, FATF"


def _payment() -> list[Feature]:
    return [
        Feature("amount", "EUR", "Amount of this payment", "payment", "log", source=_HANDBOOK),
        Feature(
            "amount_roundness", "share", "1 / significant decimal digits of the amount: 500 is 1, 250 is 1/2, 251 is 1/3; "
            "0 for an amount of zero", "payment", source=_FATF_ROUND,
        ),
        Feature(
            "received_roundness", "share", "The same of the amount in the payee's currency", "payment",
            needs=("received_amount_minor",), source=_FATF_ROUND,
        ),
        Feature(
            "amount_is_small", "flag", "1 when the amount is in the ruleset's small band, bounds included", "payment",
            source="AUSTRAC, FATF: individual payments are small (indicator A1)",
        ),
        Feature(
            "amount_is_near_threshold", "flag", "1 when the amount is at or above near_threshold_from and below "
            "near_threshold_to", "payment", source=_BELOW,
        ),
        Feature(
            "is_cross_border", "flag", "1 when payer and payee are in different countries", "payment",
            needs=("payer.country", "payee.country"),
        ),
        Feature("local_hour_sin", "1", "sin(2 pi h / 24), h the payer's local hour with its fraction", "payment",
                needs=("utc_offset_minutes",), source=_NIGHT),
        Feature("local_hour_cos", "1", "cos(2 pi h / 24)", "payment", needs=("utc_offset_minutes",), source=_NIGHT),
        Feature("local_is_night", "flag", "1 from 22:00 to before 05:00 in the payer's local time", "payment",
                needs=("utc_offset_minutes",), source=_NIGHT),
        Feature("payer_account_age", "days", "Event time less the payer account's opening; 0 when opened later", "payment",
                "log", needs=("payer.opened_ms",)),
        Feature("is_refused", "flag", "1 when the payment was rejected or returned", "payment", source=_RETRY),
        Feature("reference_is_absent", "flag", "1 when there is no reference text or only white space", "payment",
                source="AUSTRAC: little or no description (indicator X3)"),
    ]  # fmt: skip


def _activity(who: Literal["payer", "payee"], other: str) -> list[Feature]:
    """The features that payer and payee have in common, from the account's own earlier payments."""
    side: Side = who
    verb = "made" if who == "payer" else "received"
    return [
        *(
            Feature(f"{who}_payments_{h}", "payments", f"Decayed count of payments {verb}", side, "log", source=_HANDBOOK)
            for h in HALF_LIFE_NAMES
        ),
        *(
            Feature(f"{who}_value_{h}", "EUR", f"Decayed sum of money {verb}", side, "log", source=_HANDBOOK)
            for h in HALF_LIFE_NAMES
        ),
        Feature(f"{who}_small_share_30d", "share", "Share whose amount was small", side),
        Feature(
            f"{who}_cross_border_share_30d", "share", "Share that crossed a border", side,
            needs=("payer.country", "payee.country"),
        ),
        Feature(f"{who}_round_share_30d", "share", "Share whose amount_roundness was at least 1/2", side, source=_FATF_ROUND),
        Feature(f"{who}_gap", "hours", f"Effective time since the account last {verb} a payment; 0 for its first", side, "log",
                source=_DORMANT),
        Feature(f"{who}_gap_mean", "hours", "Exponentially weighted mean of the gaps between earlier payments (weight 1/8 for "
                "the newest, started at the first gap); 0 before there are two", side, "log"),
        Feature(f"{who}_gap_variation", "1", "Exponentially weighted standard deviation of the same gaps over their mean; "
                "0 when the mean is 0", side),
        Feature(f"{who}_age", "days", "Effective time since the account's first payment here", side, "log"),
        Feature(f"{who}_payments_total", "payments", f"Payments {verb} since first seen", side, "log"),
        Feature(f"{who}_{other}s_60d", f"{other}s", f"Distinct {other}s in this 30-day block of event time and the one before "
                "(HyperLogLog, 64 registers)", side, "log", source=_FAN),
        Feature(f"{who}_new_{other}s_1d", "payments", f"Decayed count of payments with a {other} not among the 12 most recent",
                side, "log", source=_ROTATION),
        Feature(f"{who}_new_{other}s_7d", "payments", f"Decayed count of payments with a {other} not among the 12 most recent",
                side, "log", source=_ROTATION),
        Feature(f"{who}_corridors", "countries", f"Distinct countries of its {other}s so far, where told", side, "log",
                source=_CORRIDOR if who == "payer" else _FAN),
        Feature(f"{who}_amount_deviation", "standard deviations", "log(1 + amount) less its decayed mean (30 d) over its decayed "
                "standard deviation, the latter at least 0.1; 0 until three payments with money known", side,
                source=_HANDBOOK),
    ]  # fmt: skip


def _payer_only() -> list[Feature]:
    return [
        Feature("payer_night_share_30d", "share", "Share made at night, local time", "payer",
                needs=("utc_offset_minutes",), source=_NIGHT),
        Feature("corridor_is_new", "flag", "1 when the payer has not yet paid into the payee's country", "payer",
                needs=("payee.country",), source=_CORRIDOR),
        Feature("payer_amount_over_last", "ratio", "Amount over the payer's latest known amount, the latter at least 0.01 EUR; "
                "1 for its first payment, missing when none of the earlier amounts is known", "payer", "log", source="card testing: a small payment, then a large one"),
        Feature("payer_near_threshold_7d", "payments", "Decayed count of payments near the threshold", "payer", source=_BELOW),
        Feature("payer_refused_1d", "payments", "Decayed count of payments rejected or returned; a later change of status "
                "counts as of the payer's latest payment", "payer", source=_RETRY),
    ]  # fmt: skip


def _pair() -> list[Feature]:
    return [
        Feature("pair_is_new", "flag", "1 when the payee is not among the payer's 12 most recently paid", "pair", source=_ROTATION),
        Feature("pair_payments", "payments", "Earlier payments of the pair, while remembered", "pair", "log"),
        Feature("pair_age", "days", "Effective time since the pair's first payment; 0 for a new pair", "pair", "log"),
        Feature("pair_gap", "days", "Effective time since the pair's last payment; 0 for a new pair", "pair", "log"),
    ]  # fmt: skip


def _payee_only() -> list[Feature]:
    return [
        Feature("payee_passed_on_share_1d", "share", "Decayed sum of money the payee paid out after first receiving, over that "
                "received, at most 10; 0 while nothing was received", "payee",
                source="FATF, mule accounts: rapid movement in and out"),
        Feature("payee_account_age", "days", "Event time less the payee account's opening; 0 when opened later", "payee", "log",
                needs=("payee.opened_ms",)),
    ]  # fmt: skip


PAYER_HOP: tuple[Feature, ...] = (*_payment(), *_activity("payer", "payee"), *_payer_only(), *_pair())
PAYEE_HOP: tuple[Feature, ...] = (*_activity("payee", "payer"), *_payee_only())
FEATURES: tuple[Feature, ...] = PAYER_HOP + PAYEE_HOP
NAMES: tuple[str, ...] = tuple(feature.name for feature in FEATURES)
INDEX: dict[str, int] = {name: position for position, name in enumerate(NAMES)}


def feature_schema_hash(parameters: Parameters) -> str:
    """SHA-256 over everything that decides a feature's value: definitions, order, parameters."""
    definition = {
        "version": DEFINITION_VERSION,
        "features": [[feature.name, feature.unit, feature.scale] for feature in FEATURES],
        "parameters": parameters.as_dict(),
    }
    return hash_of(orjson.dumps(definition, option=orjson.OPT_SORT_KEYS))

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
- **Remittance**: a payment that crosses a border and has no merchant category, or that of money transfer (4829), which
  says that a card funded it. What is said of an account's remittances is over its earlier ones, whatever this payment
  is; it is missing when it is not told whether *this* payment crosses a border. ``_180d`` is a further half-life, for
  remittances only. A share or mean over remittances is a decayed sum over the decayed count of those whose value is
  known, and ``0`` while there is none.
- **Corridor**: payer's country, payee's country and rail, with the currency paid or received in place of a country that
  is not told. A corridor's baseline is over its earlier payments in this
  partition (an estimate, therefore, where there are several), decayed with a half-life of 30 d by the partition's event
  time; what is held against it is missing until it has seen 30 remittances with a known amount.
- **Shared tokens**: the phones, devices and pick-up points that remittances tell of their payees, each of its kind and
  tenant. A remittance joins the tokens that it tells, and with them all that they are joined with, into one group, in the
  order device, phone, pick-up point; one is left apart where the group would then have more than 24 payees. A group that
  would have more than 24 with this payee alone is *common* (a cash agency's counter): its tokens join nobody any more, and
  count as never met. A group that no remittance used for more than 360 whole days (UTC) of the partition's event time is
  forgotten, and while a partition has a million tokens further ones are not met. Groups are of one partition (an estimate,
  therefore, where there are several); members of a group, but for this payee, are estimated from 64 bits (linear counting).
- **Labels**: what was learned of a payment, confirmed or cleared, is read where its record stands in the logs of payer
  and payee. A payment is *matured* for an account once its first label was read, and counts from its own effective time
  among matured payments, or from the account's latest payment if that is earlier. Shares and sums over matured payments
  decay by that time. A label is not read where the account has no payment, or has been idle beyond the horizon; a payer
  reads none again of its 8 payments labelled last. *Amount over cleared* of a payment is ``payer_amount_over_cleared`` as
  it was served; its *excess* is ``log(amount over cleared / 2)``, at least 0; it is *usual* below 2.5, and where that is
  missing.
- Where a pattern needs a history that the account does not have yet, the feature stands at its most innocent value, which
  its meaning gives.
- An account that has been idle, by the partition's event time, beyond the retention horizon starts afresh.

Missing is NaN, ``null`` in JSON. It never means zero: the model leaves a missing feature out, a rule says ``error``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import orjson

from services.contract.identity import hash_of
from services.contract.types import Side
from services.scorer.path.features.parameters import Parameters

DEFINITION_VERSION = 7
"""Raised whenever the mathematics of any feature changes, so that no model scores what it was not trained on."""

HALF_LIFE_MS = (3_600_000, 86_400_000, 7 * 86_400_000, 30 * 86_400_000)
HALF_LIFE_NAMES = ("1h", "1d", "7d", "30d")
RECENT_PAYEES = 8
"""Payees of remittances whose marks travel with a payment from the payer hop to the payee hop."""


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
        if suffix == "180d":
            return "half-life 180d"
        if suffix in ("60d", "90d", "360d"):
            return {"60d": "30 to 60 d", "90d": "90 d", "360d": "360 d"}[suffix]
        return "this payment" if self.side == "payment" else "while remembered"


_BORDER = ("payer.country and payee.country, or received_currency",)
_HANDBOOK = "Fraud Detection Handbook, chapter 3.3 (RFM features)"
_FATF_ROUND = "FATF: amounts even in the sender's or the receiver's currency (indicator A2)"
_FAN = "AUSTRAC: one payer to many, or one payee from many, unrelated parties (indicators R2, B1)"
_NIGHT = "ECPAT-SE, FATF: late evening and night in the payer's local time (indicator T3)"
_ROTATION = "rotation of payees (indicator R3)"
_CORRIDOR = "an established customer opens a new corridor (indicator R4)"
_DORMANT = "FATF: dormant account suddenly active"
_RETRY = "retry after refusal (indicator N6)"
_BELOW = "structuring under a reporting threshold, FATF"

_SMALL = "AUSTRAC, FATF: small against what is usual in the corridor (indicator A1)"
_GAPS = "AIC 2020 and 2021: payments become more frequent, gaps below 20 days (indicators T1, T2)"
_PRICES = "the same few prices over different payees (indicator A3, ours)"
_RAILS = "AUSTRAC: several remitters into one corridor (indicator C3)"
_FAN_IN = "AUSTRAC: small payments from several unrelated payers (indicators B1, B6)"
_SHARED = "AMLC: family operations share phone, device or pick-up point (indicator B4)"
_OVERLAP = "AUSTRAC: one payer leads to a network of payees and payers (indicator N2)"


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
            "is_cross_border", "flag", "1 when payer and payee are in different countries; where one is not told, 1 when the "
            "money is received in another currency than it is paid in, else missing", "payment", needs=_BORDER,
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
            needs=_BORDER,
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


def _typology_payment() -> list[Feature]:
    """What typologies ask of this payment."""
    return [
        Feature("is_remittance", "flag", "1 when the payment is a remittance", "payment", needs=_BORDER,
                source="AMLC: remittances carry most of such payments (indicator C2)"),
        Feature("reference_is_handle", "flag", "1 when the reference holds a social handle: a word that begins with @, or one of "
                "at least 4 letters with a digit or an underscore in it that is not a number", "payment",
                source="FATF, AMLTRIX IND03070: a handle or nickname in the reference (indicator X2)"),
        Feature("reference_is_excuse", "flag", "1 when a word of the reference stands in the list of benign reasons "
                "(``references.py``)", "payment", source="AUSTRAC, FATF: benign reasons (indicator X1)"),
        Feature("payee_is_minor", "flag", "1 when the payee's institution says that the account is a minor's", "payment",
                needs=("payee.minor",), source="AMLTRIX IND03071 (indicator B5)"),
        Feature("is_unrelated", "flag", "1 when the declared relationship is none, 0 when it is another", "payment",
                needs=("relationship",), source="AUSTRAC v Westpac: no apparent tie (indicator R1)"),
        Feature("amount_against_corridor", "standard deviations", "log(1 + amount) less the corridor's mean, over its standard "
                "deviation, the latter at least 0.1; missing for a payment that is no remittance", "payment", needs=_BORDER,
                source=_SMALL),
        Feature("round_against_corridor", "difference", "1 when amount_roundness or received_roundness is at least 1/2, else 0, less "
                "the corridor's share of such; missing for a payment that is no remittance", "payment", needs=_BORDER,
                source=_FATF_ROUND),
        Feature("is_to_merchant", "flag", "1 when the payment tells a merchant category other than money transfer (4829), so a "
                "merchant is paid, else 0", "payment",
                source="a shop has many payers that are new to it; Tocsin's assumption"),
    ]  # fmt: skip


def _remittances() -> list[Feature]:
    """The payer's earlier remittances."""

    def of(name: str, unit: str, meaning: str, source: str, scale: Literal["linear", "log"] = "linear") -> Feature:
        return Feature(name, unit, meaning, "payer", scale, _BORDER, source)

    return [
        of("remit_payments_30d", "payments", "Decayed count of remittances", _GAPS, "log"),
        of("remit_payments_180d", "payments", "Decayed count of remittances", _GAPS, "log"),
        of("remit_gap_median", "days", "Median of the gaps between the latest 11 remittances, at most 365; 365 until there are "
           "three gaps", _GAPS, "log"),
        of("remit_gap_trend", "ratio", "Mean of the five newest gaps over the mean of the five before, at least 0.01 and at most "
           "100; 1 until there are ten gaps, or when both are 0", _GAPS, "log"),
        of("remit_small_share_180d", "share", "Share that was small", _SMALL),
        of("remit_amount_against_corridor_180d", "standard deviations", "Mean of amount_against_corridor", _SMALL),
        of("remit_round_share_180d", "share", "Share that was round in either currency", _FATF_ROUND),
        of("remit_round_excess_180d", "difference", "Mean of round_against_corridor", _FATF_ROUND),
        of("remit_amount_slope", "1", "Least-squares slope of log(1 + amount) on the log of the remittance's number, over those "
           "with a known amount; 0 until there are four of these", "AIC 2020: amounts rise (indicator A4)"),
        of("remit_price_point_payees", "payees", "The most payees that one price was paid to, among the 8 prices (amount and "
           "currency) used last; payees are told apart by 6 bits of their digest; 0 while there is none", _PRICES),
        of("remit_night_share_180d", "share", "Share made at night, local time", _NIGHT),
        of("remit_night_excess_180d", "difference", "The same less the share of the payer's other payments that was made at night "
           "(same half-life); missing unless both are known, of a payment each at least", _NIGHT),
        of("remit_sessions_180d", "payments", "Decayed count of remittances that came within 3 h after another to the same "
           "payee, while remembered", "deposit, then balance (indicator T5)", "log"),
        of("remit_rhythm", "1", "Largest resultant length of the remittances' phases in a month of 30.436875 d, half of it, "
           "and a week (decayed, 180 d); 1 until there are four", "family support follows payday (indicator T6)"),
        of("remit_new_payees_180d", "payments", "Decayed count of remittances to a payee not among the 16 most recent payees of "
           "remittances", _FAN, "log"),
        of("remit_top_payee_share", "share", "Share of the remembered payees' remittances that went to the one with the most; 1 "
           "while there is none", _FAN),
        of("remit_dropped_payees", "payees", "Remembered payees of remittances with at most 5 of them and none for more than 45 "
           "days", _ROTATION, "log"),
        of("remit_relation_life", "days", "Mean over the remembered payees of the time from first to latest remittance; 365 until "
           "three are remembered, and at most", _ROTATION, "log"),
        of("remit_rails_90d", "rails", "Distinct rails of remittances in the last 90 days, of 8 kinds told apart", _RAILS),
        of("remit_excuse_kinds", "kinds", "Kinds of benign reason that references gave, at most as many as there were payees "
           "(told apart by 6 bits) who were given one", "AUSTRAC, FATF: benign reasons that vary (indicator X1)"),
        of("remit_absent_share_180d", "share", "Share without reference text", "AUSTRAC: little or no description (indicator X3)"),
        of("remit_signs", "signs", "How many of six hold: remit_new_payees_180d >= 2.5, remit_small_share_180d >= 0.8, "
           "remit_night_share_180d >= 0.4, remit_dropped_payees >= 2, remit_gap_median < 20, remit_price_point_payees >= 2",
           _OVERLAP),
    ]  # fmt: skip


def _payer_context() -> list[Feature]:
    """What else the payer does."""
    return [
        Feature("payer_retries_7d", "payments", "Decayed count of payments, not refused, within 24 h after one that was refused, "
                "to another payee, on another rail, or of another amount", "payer", "log", source=_RETRY),
        Feature("payer_adult_merchants_180d", "payments", "Decayed count of payments to merchants of category 5967 or 7273", "payer",
                "log", source="ECPAT-SE: webcam and adult platforms near the transfers (indicator C4)"),
        Feature("payer_travel_180d", "payments", "Decayed count of payments to merchants of travel (categories 3000 to 3999, 4511, "
                "4722, 7011) within 90 days after a remittance that was at least the fifth", "payer", "log",
                source="AUSTRAC, FINTRAC 2025: travel after a run of payments (indicator N3)"),
        Feature("device_is_new", "flag", "1 when the payer's device is not among the 4 that it used last and some device of it "
                "is known already, 0 otherwise; missing when the payment tells no device", "payer", needs=("device",),
                source="account takeover: a change of device before a payment to somebody new"),
    ]  # fmt: skip


def _shared_tokens() -> list[Feature]:
    """Who else is paid under the payee's phone, device or pick-up point. Computed at the payer hop."""
    needs = (*_BORDER, "payee.device or payee.phone or payee.pickup")
    return [
        Feature("payee_linked_payees", "payees", "Payees of the groups of the tokens that this remittance tells, this one included, "
                "as it would join them; 1 where none was met before; missing for a payment that is no remittance", "payee", "log",
                needs, _SHARED),
        Feature("payee_linked_payers", "payers", "Payers of the earlier remittances that used these groups; 0 where none was met "
                "before; missing for a payment that is no remittance", "payee", "log", needs, _SHARED),
    ]  # fmt: skip


def _payee_remittances() -> list[Feature]:
    """The payee's earlier remittances, in which it received."""

    def of(name: str, unit: str, meaning: str, source: str, scale: Literal["linear", "log"] = "linear") -> Feature:
        return Feature(name, unit, meaning, "payee", scale, _BORDER, source)

    return [
        of("payee_remit_180d", "payments", "Decayed count of remittances received", _FAN_IN, "log"),
        of("payee_small_new_payers_180d", "payments", "Decayed count of small remittances from a payer not among the 12 most "
           "recent payers", _FAN_IN, "log"),
        of("payee_small_remit_share_180d", "share", "Share of remittances received that was small", _FAN_IN),
        of("payee_country_entropy_180d", "nats", "Entropy of the payers' countries over remittances, among the 8 countries met "
           "last; 0 while there is none", "AMLC 2023: payers of several countries (indicator B2)"),
        of("payee_text_collisions_180d", "payments", "Decayed count of remittances whose reference, lower-cased and stripped to "
           "letters and digits, another payer had used among the 8 references used last; at least 6 such characters",
           "identical text of different payers (indicator X5)", "log"),
        of("payee_risky_payers_360d", "payers", "Other payers whose remit_signs were at least 3, among the 8 such that paid last, "
           "in the last 360 days", _OVERLAP, "log"),
        of("payee_shared_payees_360d", "payees", "The most payees, this one included, that the payer has in common with one of "
           "those other payers: among the 8 others of remittances that each paid last, the other payer's as of its latest such "
           "payment here, told apart by 16 bits; 0 while there is no such other payer", _OVERLAP, "log"),
        Feature("payee_is_confirmed", "flag", "1 when the payee stands in the deployer's list of confirmed payees", "payee",
                source="AUSTRAC: a payee confirmed by an authority (indicator N1)"),
        Feature("reference_in_lexicon", "flag", "1 when a term of the deployer's private lexicon stands in the reference: one to "
                "three neighbouring words, without case and accents; missing while there is no lexicon", "payment",
                source="Egmont Group: lists of terms, shared among authorities (indicator X4)"),
    ]  # fmt: skip


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

PAYER_HOP: tuple[Feature, ...] = (
    *_payment(), *_activity("payer", "payee"), *_payer_only(), *_pair(),
    *_typology_payment(), *_remittances(), *_payer_context(), *_shared_tokens(), *PAYER_CONFIRMED,
)  # fmt: skip
PAYEE_HOP: tuple[Feature, ...] = (
    *_activity("payee", "payer"), *_payee_only(), *_payee_remittances(), *PAYEE_CONFIRMED,
)  # fmt: skip
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

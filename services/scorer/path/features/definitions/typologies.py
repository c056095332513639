"""What typologies ask: remittances, what else their payer does, who shares a token, and the payee's side."""

from __future__ import annotations

from typing import Literal

from services.scorer.path.features.definitions.feature import (
    BORDER,
    FAN,
    FATF_ROUND,
    NIGHT,
    RETRY,
    ROTATION,
    TEXT,
    Feature,
)

_SMALL = "AUSTRAC, FATF: small against what is usual in the corridor (indicator A1)"
_GAPS = "AIC 2020 and 2021: payments become more frequent, gaps below 20 days (indicators T1, T2)"
_PRICES = "the same few prices over different payees (indicator A3, ours)"
_RAILS = "AUSTRAC: several remitters into one corridor (indicator C3)"
_FAN_IN = "AUSTRAC: small payments from several unrelated payers (indicators B1, B6)"
_SHARED = "AMLC: family operations share phone, device or pick-up point (indicator B4)"
_OVERLAP = "AUSTRAC: one payer leads to a network of payees and payers (indicator N2)"


def payment() -> list[Feature]:
    """What typologies ask of this payment."""
    return [
        Feature("is_remittance", "flag", "1 when the payment is a remittance", "payment",
                needs=(*BORDER, "merchant_category, on the rail card"),
                source="AMLC: remittances carry most of such payments (indicator C2)"),
        Feature("reference_is_handle", "flag", "1 when the reference holds a social handle: a word that begins with @, or one of "
                "at least 4 letters with a digit or an underscore in it that is not a number", "payment", needs=TEXT,
                source="FATF, AMLTRIX IND03070: a handle or nickname in the reference (indicator X2)"),
        Feature("reference_is_excuse", "flag", "1 when a word of the reference stands in the list of benign reasons "
                "(``references.py``)", "payment", needs=TEXT, source="AUSTRAC, FATF: benign reasons (indicator X1)"),
        Feature("payee_is_minor", "flag", "1 when the payee's institution says that the account is a minor's", "payment",
                needs=("payee.minor",), source="AMLTRIX IND03071 (indicator B5)"),
        Feature("is_unrelated", "flag", "1 when the declared relationship is none, 0 when it is another", "payment",
                needs=("relationship",), source="AUSTRAC v Westpac: no apparent tie (indicator R1)"),
        Feature("amount_against_corridor", "standard deviations", "log(1 + amount) less the corridor's mean, over its standard "
                "deviation, the latter at least 0.1; missing for a payment that is no remittance", "payment", needs=BORDER,
                source=_SMALL),
        Feature("round_against_corridor", "difference", "1 when amount_roundness or received_roundness is at least 1/2, else 0, less "
                "the corridor's share of such; missing for a payment that is no remittance, and without either", "payment",
                needs=(*BORDER, "received_amount_minor or payee.country"), source=FATF_ROUND),
        Feature("is_to_merchant", "flag", "1 when the payment tells a merchant category other than money transfer (4829), so a "
                "merchant is paid, else 0", "payment", needs=("merchant_category, on the rail card",),
                source="a shop has many payers that are new to it; Tocsin's assumption"),
    ]  # fmt: skip


def remittances() -> list[Feature]:
    """The payer's earlier remittances."""

    def of(name: str, unit: str, meaning: str, source: str, scale: Literal["linear", "log"] = "linear") -> Feature:
        return Feature(name, unit, meaning, "payer", scale, BORDER, source)

    return [
        of("remit_payments_30d", "payments", "Decayed count of remittances", _GAPS, "log"),
        of("remit_payments_180d", "payments", "Decayed count of remittances", _GAPS, "log"),
        of("remit_gap_median", "days", "Median of the gaps between the latest 11 remittances, at most 365; 365 until there are "
           "three gaps", _GAPS, "log"),
        of("remit_gap_trend", "ratio", "Mean of the five newest gaps over the mean of the five before, at least 0.01 and at most "
           "100; 1 until there are ten gaps, or when both are 0", _GAPS, "log"),
        of("remit_small_share_180d", "share", "Share that was small", _SMALL),
        of("remit_amount_against_corridor_180d", "standard deviations", "Mean of amount_against_corridor", _SMALL),
        of("remit_round_share_180d", "share", "Share that was round in either currency, of those of which both are known", FATF_ROUND),
        of("remit_round_excess_180d", "difference", "Mean of round_against_corridor", FATF_ROUND),
        of("remit_amount_slope", "1", "Least-squares slope of log(1 + amount) on the log of the remittance's number, over those "
           "with a known amount; 0 until there are four of these, missing where there would be were all known", "AIC 2020: amounts rise (indicator A4)"),
        of("remit_price_point_payees", "payees", "The most payees that one price was paid to, among the 8 prices (amount and "
           "currency) used last; payees are told apart by 6 bits of their digest; 0 while there is none", _PRICES),
        of("remit_night_share_180d", "share", "Share made at night, local time", NIGHT),
        of("remit_night_excess_180d", "difference", "The same less the share of the payer's other payments that was made at night "
           "(same half-life); missing unless both are known, of a payment each at least", NIGHT),
        of("remit_sessions_180d", "payments", "Decayed count of remittances that came within 3 h after another to the same "
           "payee, while remembered", "deposit, then balance (indicator T5)", "log"),
        of("remit_rhythm", "1", "Largest resultant length of the remittances' phases in a month of 30.436875 d, half of it, "
           "and a week (decayed, 180 d); 1 until there are four", "family support follows payday (indicator T6)"),
        of("remit_new_payees_180d", "payments", "Decayed count of remittances to a payee not among the 16 most recent payees of "
           "remittances", FAN, "log"),
        of("remit_top_payee_share", "share", "Share of the remembered payees' remittances that went to the one with the most; missing "
           "while there is none", FAN),
        of("remit_dropped_payees", "payees", "Remembered payees of remittances with at most 5 of them and none for more than 45 "
           "days", ROTATION, "log"),
        of("remit_relation_life", "days", "Mean over the remembered payees of the time from first to latest remittance, at most "
           "365; missing until three are remembered", ROTATION, "log"),
        of("remit_rails_90d", "rails", "Distinct rails of remittances in the last 90 days, of 8 kinds told apart; missing while none is told", _RAILS),
        of("remit_excuse_kinds", "kinds", "Kinds of benign reason that references gave, at most as many as there were payees "
           "(told apart by 6 bits) who were given one; missing while no reference is known", "AUSTRAC, FATF: benign reasons that vary (indicator X1)"),
        of("remit_absent_share_180d", "share", "Share without reference text", "AUSTRAC: little or no description (indicator X3)"),
        of("remit_signs", "signs", "How many of six are known to hold: remit_new_payees_180d >= 2.5, remit_small_share_180d >= 0.8, "
           "remit_night_share_180d >= 0.4, remit_dropped_payees >= 2, remit_gap_median < 20, remit_price_point_payees >= 2",
           _OVERLAP),
    ]  # fmt: skip


def payer_context() -> list[Feature]:
    """What else the payer does."""
    return [
        Feature("payer_retries_7d", "payments", "Decayed count of payments, not refused, within 24 h after one that was refused, "
                "to another payee, on another rail (both told), or of another amount; missing while all are only attempted", "payer", "log", source=RETRY),
        Feature("payer_adult_merchants_180d", "payments", "Decayed count of payments to merchants of category 5967 or 7273; missing "
                "while no merchant category is told", "payer",
                "log", source="ECPAT-SE: webcam and adult platforms near the transfers (indicator C4)"),
        Feature("payer_travel_180d", "payments", "Decayed count of payments to merchants of travel (categories 3000 to 3999, 4511, "
                "4722, 7011) within 90 days after a remittance that was at least the fifth; missing while no "
                "merchant category is told", "payer", "log",
                source="AUSTRAC, FINTRAC 2025: travel after a run of payments (indicator N3)"),
        Feature("device_is_new", "flag", "1 when the payer's device is not among the 4 that it used last and some device of it "
                "is known already, 0 for its first payment; missing when the payment tells no device, and while no "
                "earlier one did", "payer", needs=("device",),
                source="account takeover: a change of device before a payment to somebody new"),
    ]  # fmt: skip


def shared_tokens() -> list[Feature]:
    """Who else is paid under the payee's phone, device or pick-up point. Computed at the payer hop."""
    needs = (*BORDER, "payee.device or payee.phone or payee.pickup")
    return [
        Feature("payee_linked_payees", "payees", "Payees of the groups of the tokens that this remittance tells, this one included, "
                "as it would join them; 1 where none was met before; missing for a payment that is no remittance", "payee", "log",
                needs, _SHARED),
        Feature("payee_linked_payers", "payers", "Payers of the earlier remittances that used these groups; 0 where none was met "
                "before; missing for a payment that is no remittance", "payee", "log", needs, _SHARED),
    ]  # fmt: skip


def payee_remittances() -> list[Feature]:
    """The payee's earlier remittances, in which it received."""

    def of(name: str, unit: str, meaning: str, source: str, scale: Literal["linear", "log"] = "linear") -> Feature:
        return Feature(name, unit, meaning, "payee", scale, BORDER, source)

    return [
        of("payee_remit_180d", "payments", "Decayed count of remittances received", _FAN_IN, "log"),
        of("payee_small_new_payers_180d", "payments", "Decayed count of small remittances from a payer not among the 12 most "
           "recent payers; missing while no amount is known", _FAN_IN, "log"),
        of("payee_small_remit_share_180d", "share", "Share of remittances received that was small", _FAN_IN),
        of("payee_country_entropy_180d", "nats", "Entropy of the payers' countries over remittances, among the 8 countries met "
           "last; 0 while there is no remittance, missing while none tells a country", "AMLC 2023: payers of several countries (indicator B2)"),
        of("payee_text_collisions_180d", "payments", "Decayed count of remittances whose reference, lower-cased and stripped to "
           "letters and digits, another payer had used among the 8 references used last; at least 6 such characters; missing "
           "while no remittance told such a text",
           "identical text of different payers (indicator X5)", "log"),
        of("payee_risky_payers_360d", "payers", "Other payers whose remit_signs were at least 3, among the 8 such that paid last, "
           "in the last 360 days", _OVERLAP, "log"),
        of("payee_shared_payees_360d", "payees", "The most payees, this one included, that the payer has in common with one of "
           "those other payers: among the 8 others of remittances that each paid last, the other payer's as of its latest such "
           "payment here, told apart by 16 bits; 0 while there is no such other payer", _OVERLAP, "log"),
        Feature("payee_is_confirmed", "flag", "1 when the payee stands in the deployer's list of confirmed payees; missing "
                "while there is none", "payee",
                source="AUSTRAC: a payee confirmed by an authority (indicator N1)"),
        Feature("reference_in_lexicon", "flag", "1 when a term of the deployer's private lexicon stands in the reference: one to "
                "three neighbouring words, without case and accents; missing while there is no lexicon, "
                "and where no reference is told", "payment",
                source="Egmont Group: lists of terms, shared among authorities (indicator X4)"),
    ]  # fmt: skip

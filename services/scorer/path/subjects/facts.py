"""What is added up per subject: which facts of its payments, and what each number that comes of them means.

``FACTS`` are the features of payments that carry most of what a boosting gains from a payer's or a payee's payments,
learned on training worlds only. None of them knows countries as such.

- **Effective time**, decay and *not told* are as in ``features.registry``: a late payment counts as of its subject's
  present, and what was never told is missing (NaN).
- **Last**: the value that was known last. **Mean**: decayed sum over decayed count of the known values, half-life
  ``HALF_LIFE_MS``. **Maximum**: over all known values, never decayed.
- All of them are *after* the payment at hand, which is part of them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from services.contract.identity import hash_of
from services.contract.units import DAY_MS
from services.scorer.path.features.registry import DEFINITION_VERSION, FEATURES, INDEX

SUBJECTS_VERSION = 1
"""Raised whenever the mathematics of any subject feature changes."""
HALF_LIFE_MS = 180 * DAY_MS
EVIDENCE_MAX = 10.0
"""Bound of the evidence of one payment, log-odds to either side."""
PAYERS = 16
"""Different payers whose evidence a payee remembers, the ones that paid last."""
COUNTERPARTY_BITS = 256
"""Of the set from which counterparties are counted (linear counting): exact but for 2 % up to 20."""

FACTS: tuple[str, ...] = (
    "amount",
    "amount_is_small",
    "local_hour_sin",
    "local_hour_cos",
    "local_is_night",
    "payer_account_age",
    "payer_payments_1h",
    "payer_payments_1d",
    "payer_payments_30d",
    "payer_value_1d",
    "payer_value_7d",
    "payer_value_30d",
    "payer_small_share_30d",
    "payer_gap",
    "payer_gap_mean",
    "payer_gap_variation",
    "payer_age",
    "payer_payments_total",
    "payer_payees_60d",
    "payer_night_share_30d",
    "payer_amount_over_last",
    "pair_is_new",
    "pair_age",
    "pair_gap",
    "reference_is_handle",
    "is_unrelated",
    "amount_against_corridor",
    "round_against_corridor",
    "remit_amount_against_corridor_180d",
    "remit_round_share_180d",
    "remit_round_excess_180d",
    "remit_amount_slope",
    "remit_night_share_180d",
    "remit_sessions_180d",
    "remit_rhythm",
    "remit_new_payees_180d",
    "remit_top_payee_share",
    "remit_dropped_payees",
    "remit_relation_life",
    "remit_rails_90d",
    "remit_excuse_kinds",
    "remit_absent_share_180d",
    "payee_payments_1h",
    "payee_value_30d",
    "payee_gap",
    "payee_age",
    "payee_passed_on_share_1d",
    "payee_small_new_payers_180d",
)


class SubjectFeature(NamedTuple):
    """One number about a subject."""

    name: str
    unit: str
    meaning: str


def _added_up(name: str, unit: str) -> list[SubjectFeature]:
    return [
        SubjectFeature(f"{name}_last", unit, f"{name} of the latest payment that tells it"),
        SubjectFeature(f"{name}_mean", unit, f"decayed mean of {name}, half-life 180 d"),
        SubjectFeature(f"{name}_maximum", unit, f"highest {name} so far"),
    ]


_UNITS = {feature.name: feature.unit for feature in FEATURES}
_OTHERS = (
    ("highest", "log-odds", "highest evidence of other payers at the payee that is paid"),
    ("average", "log-odds", "mean evidence of other payers at the payee that is paid"),
    ("number", "payers", "number of other payers with evidence at the payee that is paid"),
)
COUNTS: tuple[SubjectFeature, ...] = (
    SubjectFeature("subject_payments", "payments", "payments under a pack so far"),
    SubjectFeature("subject_payments_180d", "payments", "the same, decayed with a half-life of 180 d"),
    SubjectFeature("subject_counterparties", "accounts", "different counterparties of them, estimated from 256 bits"),
)
ADDED_UP: tuple[SubjectFeature, ...] = tuple(
    each for name in FACTS for each in _added_up(name, _UNITS[name])
) + tuple(_added_up("model_evidence", "log-odds"))  # fmt: skip
OTHERS_EVIDENCE: tuple[SubjectFeature, ...] = tuple(
    SubjectFeature(
        f"others_{name}_{how}", unit, f"{text}: {how} over a payer's payments, before each; missing of payees"
    )
    for name, unit, text in _OTHERS
    for how in ("mean", "maximum")
)
PAYERS_EVIDENCE: tuple[SubjectFeature, ...] = (
    SubjectFeature("payers_highest", "log-odds", "highest evidence of a payee's remembered payers; missing of payers"),
    SubjectFeature("payers_average", "log-odds", "mean evidence of a payee's remembered payers; missing of payers"),
    SubjectFeature("payers_number", "payers", "a payee's remembered payers with evidence; missing of payers"),
)
SUBJECT_FEATURES: tuple[SubjectFeature, ...] = (*COUNTS, *ADDED_UP, *OTHERS_EVIDENCE, *PAYERS_EVIDENCE)
SUBJECT_NAMES: tuple[str, ...] = tuple(feature.name for feature in SUBJECT_FEATURES)
SUBJECT_INDEX: dict[str, int] = {name: at for at, name in enumerate(SUBJECT_NAMES)}
_COLUMNS = np.array([INDEX[name] for name in FACTS], dtype=np.int64)


def facts_of(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """float64[n, len(FACTS)]: the facts among the features float64[n, len(FEATURES)] of payments."""
    return np.ascontiguousarray(features[:, _COLUMNS])


def subject_schema_hash() -> str:
    """SHA-256 over everything that decides a subject feature's value, but for the ruleset's parameters."""
    definition = {
        "version": [SUBJECTS_VERSION, DEFINITION_VERSION],
        "features": [[feature.name, feature.unit] for feature in SUBJECT_FEATURES],
        "parameters": [HALF_LIFE_MS, EVIDENCE_MAX, PAYERS, COUNTERPARTY_BITS],
    }
    return hash_of(orjson.dumps(definition, option=orjson.OPT_SORT_KEYS))

"""What is added up per subject: which facts of its payments, and what each number that comes of them means.

``FACTS`` are all features of payments but those that know countries as such.

- **Effective time**, decay and *not told* are as in ``features.registry``: a late payment counts as of its subject's
  present, and what was never told is missing (NaN).
- **Last**: the value that was known last. **Mean**: decayed sum over decayed count of the known values, half-life
  ``HALF_LIFE_MS``. **Maximum**: over all known values, never decayed.
- All of them are *after* the payment at hand, which is part of them. Values are taken as float32.
- Each side has numbers of its own: a payer's are added up where its payments' facts come together, a payee's where it
  is paid.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from services.contract.identity import hash_of
from services.contract.units import DAY_MS
from services.scorer.path.features.registry import COUNTRY_FEATURES, DEFINITION_VERSION, FEATURES, INDEX, NAMES

SUBJECTS_VERSION = 2
"""Raised whenever the mathematics of any subject feature changes."""
HALF_LIFE_MS = 180 * DAY_MS
EVIDENCE_MAX = 10.0
"""Bound of the evidence of one payment, log-odds to either side."""
PAYERS = 16
"""Different payers whose word a payee remembers, the ones that gave one last."""
FACT_MAX = 1e30
COUNTERPARTY_BITS = 256
"""Of the set from which counterparties are counted (linear counting): exact but for 2 % up to 20."""

FACTS: tuple[str, ...] = tuple(name for name in NAMES if name not in COUNTRY_FEATURES)


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
    ("highest", "log-odds", "highest word of other payers at the payee that is paid"),
    ("average", "log-odds", "mean word of other payers at the payee that is paid"),
    ("number", "payers", "number of other payers with a word at the payee that is paid"),
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
    SubjectFeature(f"others_{name}_{how}", unit, f"{text}: {how} over the payer's payments, before each")
    for name, unit, text in _OTHERS
    for how in ("mean", "maximum")
)
PAYERS_EVIDENCE: tuple[SubjectFeature, ...] = (
    SubjectFeature("payers_highest", "log-odds", "highest word of the payers that are remembered"),
    SubjectFeature("payers_average", "log-odds", "mean word of the payers that are remembered"),
    SubjectFeature("payers_number", "payers", "remembered payers with a word"),
)
PAYER_SUBJECT_FEATURES: tuple[SubjectFeature, ...] = (*COUNTS, *ADDED_UP, *OTHERS_EVIDENCE)
PAYEE_SUBJECT_FEATURES: tuple[SubjectFeature, ...] = (*COUNTS, *ADDED_UP, *PAYERS_EVIDENCE)
PAYER_SUBJECT_NAMES: tuple[str, ...] = tuple(feature.name for feature in PAYER_SUBJECT_FEATURES)
PAYEE_SUBJECT_NAMES: tuple[str, ...] = tuple(feature.name for feature in PAYEE_SUBJECT_FEATURES)
_COLUMNS = np.array([INDEX[name] for name in FACTS], dtype=np.int64)


def facts_of(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """float64[n, len(FACTS)]: the facts among the features float64[n, len(FEATURES)] of payments. One beyond
    ``FACT_MAX`` counts as that: only who forges what hops hand over can write it, and its sums would be no numbers."""
    facts = np.ascontiguousarray(features[:, _COLUMNS])
    return np.clip(facts, -FACT_MAX, FACT_MAX, out=facts)


def subject_schema_hash() -> str:
    """SHA-256 over everything that decides a subject feature's value, but for the ruleset's parameters."""
    definition = {
        "version": [SUBJECTS_VERSION, DEFINITION_VERSION],
        "features": [
            [[feature.name, feature.unit] for feature in side]
            for side in (PAYER_SUBJECT_FEATURES, PAYEE_SUBJECT_FEATURES)
        ],
        "parameters": [HALF_LIFE_MS, EVIDENCE_MAX, PAYERS, COUNTERPARTY_BITS],
    }
    return hash_of(orjson.dumps(definition, option=orjson.OPT_SORT_KEYS))

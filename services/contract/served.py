"""What each decision was made of: features as served, scores of rules and packs, in columns (``features.v1``).

What machines read of decisions: the learner, challengers, data sets, drift, recomputing. People read ``decisions.v1``.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.contract.codec import Rejection
from services.contract.columns import Column, Columns, Layout, Texts, ids_of
from services.contract.fields import EVENT_TIME_MS_MAX, ID_CHARACTERS_MAX

PASS, REVIEW = 0, 1
NO_HIT, HIT, ERROR = range(3)
"""What a rule came to, as ``rules`` has it."""

SERVED = Layout(
    "served-features.v1",
    (
        Column("decision_id", "uuid", "", "Of the decision, as in `decisions.v1`"),
        Column("tenant", "text", "", "Of the payment, like the next five"),
        Column("payment_id", "text", "", "Unique for its payer"),
        Column("payer", "text", "", "Account"),
        Column("payee", "text", "", "Account"),
        Column("event_time_ms", "i8", "ms", "When it was made"),
        Column("appended_ms", "i8", "ms", "When it was appended to `payments.v1`; -1 where brokers do not say"),
        Column("partition", "i4", "", "Of `payments.v1`, where the payment was read"),
        Column("offset", "i8", "", "The same"),
        Column("outcome", "u1", "", "What was decided", codes=("pass", "review")),
        Column("score", "f8", "log-odds", "The model's bias plus the contributions of all features"),
        Column("probability", "f8", "", "That of the score"),
        Column("rules", "u1", "", "`error`: it could not run", "rule", "rule_ids", ("no_hit", "hit", "error")),
        Column("packs", "f8", "log-odds", "Of each pack: its score of payer, then of payee", "pack", "pack_names"),
        Column("features", "f8", "its own", "As served; NaN where missing", "feature", "feature_names"),
    ),
    {
        "model_version": "Of the model that decided",
        "model_hash": "The same, SHA-256",
        "ruleset_hash": "Of the ruleset: rules, packs, parameters, lists",
        "feature_schema_hash": "Of the features' definitions and parameters",
        "feature_names": "Those of `features`, in order, with a comma between",
        "rule_ids": "Those of `rules`",
        "pack_names": "Those of `packs`, each of which has two numbers",
    },
)


@dataclass(frozen=True, slots=True)
class ServedBy:
    """What the decisions of a batch have in common."""

    model_version: int
    model_hash: str
    ruleset_hash: str
    feature_schema_hash: str
    feature_names: tuple[str, ...]
    rule_ids: tuple[str, ...]
    pack_names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Served:
    """n decisions and what they were made of. Arrays have length n; features are float64[n, k]."""

    by: ServedBy
    decision_id: NDArray[np.uint8]
    """uint8[n, 16]."""
    tenant: Texts
    payment_id: Texts
    payer: Texts
    payee: Texts
    event_time_ms: NDArray[np.int64]
    appended_ms: NDArray[np.int64]
    partition: NDArray[np.int32]
    offset: NDArray[np.int64]
    outcome: NDArray[np.uint8]
    score: NDArray[np.float64]
    probability: NDArray[np.float64]
    rules: NDArray[np.uint8]
    """uint8[n, r]: ``NO_HIT``, ``HIT`` or ``ERROR``."""
    packs: NDArray[np.float64]
    """float64[n, 2 p]."""
    features: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.event_time_ms)

    def part(self, rows: slice) -> Served:
        """Some neighbouring ones."""
        columns = {each.name: getattr(self, each.name) for each in SERVED.columns}
        parts: dict[str, Any] = {
            name: of.part(rows) if isinstance(of, Texts) else of[rows] for name, of in columns.items()
        }
        return Served(self.by, **parts)

    def texts(self, name: str) -> list[str]:
        """The texts of a column."""
        return Columns(len(self), {name: getattr(self, name)}).texts(name)

    def decision_ids(self) -> list[str]:
        """As decisions write them."""
        return ids_of(self.decision_id)


def write_served(served: Served) -> bytes:
    """A record of ``features.v1``."""
    by = served.by
    said = {
        "model_version": str(by.model_version),
        "model_hash": by.model_hash,
        "ruleset_hash": by.ruleset_hash,
        "feature_schema_hash": by.feature_schema_hash,
        "feature_names": ",".join(by.feature_names),
        "rule_ids": ",".join(by.rule_ids),
        "pack_names": ",".join(by.pack_names),
    }
    return SERVED.write(len(served), {each.name: getattr(served, each.name) for each in SERVED.columns}, said)


def read_served(value: bytes | None) -> Served | Rejection:
    """What ``write_served`` made; no input raises.

    >>> read_served(b"")
    Rejection(reason='features_invalid', field='', detail='The record has no value, or is larger than any of ours')
    """
    found = SERVED.read(value, "features_invalid")
    if isinstance(found, Rejection):
        return found
    said, arrays = found.said, found.arrays
    names, rules, packs = (tuple(filter(None, said[each].split(","))) for each in _LISTS)
    version = said["model_version"]
    if not (version.isascii() and version.isdecimal() and len(version) <= _DIGITS_MAX):
        return Rejection("features_invalid", "model_version", "Not a number")
    widths = arrays["features"].shape[1], arrays["rules"].shape[1], arrays["packs"].shape[1]
    if widths != (len(names), len(rules), 2 * len(packs)):
        return Rejection("features_invalid", "features", "Of another number than there are names")
    for name, (low, high) in _BOUNDS.items():
        if not ((arrays[name] >= low) & (arrays[name] <= high)).all():
            return Rejection("features_invalid", name, f"Not from {low} to {high}")
    for name in _IDS:
        if not are_ids(arrays[name]):
            return Rejection("features_invalid", name, "Empty, too long, or with control characters")
    if np.isinf(arrays["features"]).any():
        return Rejection("features_invalid", "features", "Infinite")
    hashes = said["model_hash"], said["ruleset_hash"], said["feature_schema_hash"]
    return Served(ServedBy(int(version), *hashes, names, rules, packs), **arrays)


_LISTS = ("feature_names", "rule_ids", "pack_names")
_DIGITS_MAX = 15
_ID_BYTES_MAX = 4 * ID_CHARACTERS_MAX
_IDS = ("tenant", "payment_id", "payer", "payee")
_REAL_MAX = sys.float_info.max
_BOUNDS = {
    "event_time_ms": (0, EVENT_TIME_MS_MAX),
    "appended_ms": (-1, 2**53),
    "partition": (0, 2**31 - 1),
    "offset": (0, 2**53),
    "outcome": (PASS, REVIEW),
    "score": (-_REAL_MAX, _REAL_MAX),
    "probability": (0, 1),
    "rules": (NO_HIT, ERROR),
}
"""Of numbers that each column is to have; NaN is none."""


def are_ids(texts: Texts) -> bool:
    """Whether each may be an ``Id`` (``services.contract.fields``), as far as its bytes tell."""
    lengths = texts.lengths
    data = np.frombuffer(texts.data, dtype=np.uint8)[texts.ends[0] : texts.ends[-1]]
    is_control = (data < ord(" ")) | (data == ord("\x7f"))
    return bool(((lengths > 0) & (lengths <= _ID_BYTES_MAX)).all()) and not is_control.any()

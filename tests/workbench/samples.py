"""Data sets drawn at random, for the workbench's tests."""

from __future__ import annotations

import numpy as np

from services.scorer.path.features.registry import NAMES
from services.workbench.dataset import NEVER_MS, NOT_SUSPICIOUS, SUSPICIOUS, UNLABELLED, Dataset

SCHEMA = "ab" * 32
DAY_MS = 86_400_000


def sample(seed: int, n: int = 400, labelled: float = 0.7) -> Dataset:
    """``n`` decisions over 60 days. The first two features say how likely a payment is suspicious; labels come 0 to 10
    days later, and some never."""
    draw = np.random.default_rng(seed)
    features = np.abs(draw.normal(size=(n, len(NAMES))))
    features[draw.random(features.shape) < 0.05] = np.nan
    signal = np.nan_to_num(features[:, 0]) + np.nan_to_num(features[:, 1])
    truth = draw.random(n) < 1 / (1 + np.exp(8 - 3 * signal))
    event_ms = np.sort(draw.integers(0, 60 * DAY_MS, n))
    known = draw.random(n) < labelled

    def texts(prefix: str, values: object) -> np.ndarray:
        return np.array([f"{prefix}{each}" for each in np.asarray(values).tolist()], dtype=object)

    return Dataset(
        decision_id=texts(f"d{seed}-", np.arange(n)),
        payment_id=texts(f"p{seed}-", np.arange(n)),
        tenant=texts("default", np.full(n, "")),
        payer=texts("a", draw.integers(0, 400, n)),
        payee=texts("b", draw.integers(0, 400, n)),
        outcome=texts("", np.where(signal > 3, "review", "pass")),
        model_hash=texts("m", np.zeros(n, dtype=np.int64)),
        ruleset_hash=texts("r", np.zeros(n, dtype=np.int64)),
        source=np.where(known, "analyst", "").astype(object),
        event_ms=event_ms,
        score=signal + draw.normal(size=n),
        label=np.where(known, np.where(truth, SUSPICIOUS, NOT_SUSPICIOUS), UNLABELLED).astype(np.int8),
        label_ms=np.where(known, event_ms + draw.integers(0, 10 * DAY_MS, n), NEVER_MS),
        weight=np.where(known, draw.choice([1.0, 20.0], n), 1.0),
        features=features,
        feature_schema_hash=SCHEMA,
        as_of_ms=NEVER_MS,
    )

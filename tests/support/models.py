"""Models with weights drawn at random: what they say is nonsense, and different for each."""

from __future__ import annotations

from typing import Any

import numpy as np

from services.contract.types import ModelAnnouncement
from services.scorer.path.features import FEATURES
from services.scorer.path.model import LogisticModel


def random_model(version: int, schema_hash: str, *, review_probability: float = 0.9) -> LogisticModel:
    """A model drawn from ``version``; a few payments in a hundred reach its operating threshold."""
    draw = np.random.default_rng(version)
    count = len(FEATURES)
    scales = draw.uniform(0.5, 3.0, count)
    scales[draw.integers(count)] = 0.0
    return LogisticModel(
        version, schema_hash, -4.0, draw.normal(0.0, 0.2, count), draw.normal(0.0, 1.0, count), scales,
        review_probability,
    )  # fmt: skip


def announcement_of(model: LogisticModel, **changed: Any) -> ModelAnnouncement:
    """What is announced of ``model``; ``changed`` are fields that are not as they should be."""
    fields: dict[str, Any] = {
        "name": "test",
        "version": model.version,
        "model_hash": model.hash,
        "feature_schema_hash": model.feature_schema_hash,
        "kind": "logistic",
        "bias": model.bias,
        "weights": tuple(model.weights.tolist()),
        "means": tuple(model.means.tolist()),
        "scales": tuple(model.scales.tolist()),
        "review_probability": model.review_probability,
        "examples_offset": 0,
        "trained_event_time_ms": 0,
    }
    return ModelAnnouncement(**fields | changed)

"""Models with weights drawn at random: what they say is nonsense, and different for each."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from services.contract.announcement import ModelAnnouncement
from services.scorer.path.features.registry import FEATURES
from services.scorer.path.scoring.ensemble import announcement_of as announced
from services.scorer.path.scoring.model import LogisticModel


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
    return msgspec.structs.replace(announced("test", model, 0), **changed)

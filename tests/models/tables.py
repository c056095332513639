"""Seeded examples for the models: feature vectors, their labels, and vectors that meet every corner."""

from __future__ import annotations

import random

import numpy as np
from numpy.typing import NDArray

from services.scorer.path.features.registry import FEATURES
from tests.learner.streams import features_of

Row = tuple[float | None, ...]


def examples(seed: int, count: int, share: float = 0.2) -> tuple[list[Row], list[bool]]:
    """Feature vectors and labels."""
    draw = random.Random(seed)
    labels = [draw.random() < share for _ in range(count)]
    return [features_of(draw, label) for label in labels], labels


def as_matrix(rows: list[Row]) -> NDArray[np.float64]:
    """float64[n, k], NaN where missing."""
    return np.array(rows, dtype=np.float64)


def odd(table: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """``table`` with missing, infinite, tiny, huge and zero values strewn in."""
    rng = np.random.default_rng(seed)
    strewn = rng.choice([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-36, -1e-35, 5e-324, 2e6, -3.0, 1e300], table.shape)
    return np.where(rng.random(table.shape) < 0.2, strewn, table)


def rows_of(table: NDArray[np.float64]) -> list[Row]:
    """As examples carry it: ``None`` where missing."""
    assert table.shape[1] == len(FEATURES)
    return [tuple(None if value != value else value for value in row) for row in table.tolist()]

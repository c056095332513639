"""Features that follow from other features of the same payment. To add one, add a function: nothing else knows them.

They stand last in the canonical order. A formula is given the features by name, each float64[n], NaN where missing, and
returns float64[n]. It adds, multiplies, divides, compares and takes square roots, and calls nothing else of NumPy: of
these a payment has the same bits in any batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from services.scorer.path.features.definitions.feature import Feature

Column: TypeAlias = NDArray[np.float64]
Formula: TypeAlias = Callable[[Mapping[str, Column]], Column]

DERIVED: list[tuple[Feature, Formula]] = []
"""In the order in which they stand below."""


def derived(feature: Feature) -> Callable[[Formula], Formula]:
    """Make what follows the formula of ``feature``, and the feature one of the registry."""

    def stands(formula: Formula) -> Formula:
        DERIVED.append((feature, formula))
        return formula

    return stands


def with_derived(measured: Column, names: Sequence[str]) -> Column:
    """float64[n, k + d]: ``measured`` (float64[n, k]) and what is derived of it; ``names`` are those of its columns."""
    if not DERIVED:
        return measured
    columns = dict(zip(names, measured.T, strict=True))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.column_stack([measured, *(formula(columns) for _, formula in DERIVED)])

"""A small model of subjects: linear in what is told, so that its risk can be added up by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.contract.identity import hash_of
from services.contract.payment import Role
from services.scorer.path.subjects.facts import PAYEE_SUBJECT_NAMES, PAYER_SUBJECT_NAMES

NAMES = {"payer": PAYER_SUBJECT_NAMES, "payee": PAYEE_SUBJECT_NAMES}


@dataclass(frozen=True)
class LinearSubjects:
    """Bias, then each feature's value times its weight, in canonical order; nothing of what is missing."""

    weights: Mapping[str, float]
    bias: float = -3.0

    @property
    def hash(self) -> str:
        return hash_of(repr((sorted(self.weights.items()), self.bias)).encode())

    def contributions(self, side: Role, features: NDArray[np.float64]) -> NDArray[np.float64]:
        weights = np.array([self.weights.get(name, 0.0) for name in NAMES[side]])
        added: NDArray[np.float64] = np.nan_to_num(features) * weights
        return added

    def risk(self, side: Role, features: NDArray[np.float64]) -> NDArray[np.float64]:
        risk = np.full(len(features), self.bias)
        for column in self.contributions(side, features).T:
            risk += column
        return risk

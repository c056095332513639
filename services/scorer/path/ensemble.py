"""Boosted trees, with or without an online corrector, as a model that decides; and any announced model by its kind."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import orjson
from numpy.typing import NDArray

from services.contract.identity import hash_of
from services.contract.types import ModelAnnouncement
from services.scorer.path.correction import CorrectedForest, correction_from
from services.scorer.path.forest import Forest, forest_from
from services.scorer.path.model import Model, ModelRefused, logistic_from, require_schema


@dataclass(frozen=True, eq=False)
class EnsembleModel:
    """A boosted ensemble with its operating threshold. Contributions cost several times a score: reviews get them."""

    trees: Forest | CorrectedForest
    review_probability: float
    explains_all: ClassVar[bool] = False

    @property
    def version(self) -> int:
        """As ``Model``."""
        return self.trees.version

    @property
    def feature_schema_hash(self) -> str:
        """As ``Model``."""
        return self.forest.feature_schema_hash

    @property
    def forest(self) -> Forest:
        """The trees without their corrector."""
        return self.trees if isinstance(self.trees, Forest) else self.trees.forest

    @cached_property
    def hash(self) -> str:
        """As ``Model``."""
        parameters = {"kind": "boosting", "trees": self.trees.hash, "review_probability": self.review_probability}
        return hash_of(orjson.dumps(parameters, option=orjson.OPT_SORT_KEYS))

    @property
    def bias(self) -> float:
        """As ``Model``."""
        return self.trees.bias

    def scores(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """As ``Model``."""
        return self.trees.scores(features)

    def contributions(self, features: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """As ``Model``."""
        return self.trees.contributions(features)


def model_from(announcement: ModelAnnouncement, feature_schema_hash: str) -> Model:
    """The model that an announcement carries.

    Raises
    ------
    ModelRefused
        When it was trained on other features, its parameters cannot be, or its hash does not fit them.
    """
    require_schema(announcement, feature_schema_hash)
    if announcement.kind == "onnx":
        raise ModelRefused(
            f"model {announcement.version} of {announcement.name} is of kind onnx, which has no contributions and so "
            "no reasons to show: it can score in shadow only"
        )
    model: Model
    if announcement.kind == "logistic":
        model = logistic_from(announcement, feature_schema_hash)
    else:
        forest = forest_from(announcement.forest, announcement.version, feature_schema_hash)
        trees: Forest | CorrectedForest = forest
        if announcement.correction:
            correction = correction_from(announcement.correction, feature_schema_hash)
            trees = CorrectedForest(announcement.version, forest, correction)
        model = EnsembleModel(trees, announcement.review_probability)
    if model.hash != announcement.model_hash:
        raise ModelRefused(f"model {announcement.version}: parameters do not have the hash they are announced with")
    return model


def announcement_of(
    name: str, model: EnsembleModel, trained_event_time_ms: int, challenger: bool = False
) -> ModelAnnouncement:
    """What is announced of ``model``."""
    trees = model.trees
    return ModelAnnouncement(
        name=name,
        version=model.version,
        model_hash=model.hash,
        feature_schema_hash=model.feature_schema_hash,
        kind="boosting",
        review_probability=model.review_probability,
        examples_offset=0,
        trained_event_time_ms=trained_event_time_ms,
        forest=model.forest.packed,
        correction=trees.correction.packed if isinstance(trees, CorrectedForest) else b"",
        challenger=challenger,
    )

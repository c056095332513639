"""Boosted trees, with or without an online corrector, as a model that decides; and any announced model by its kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import orjson
from numpy.typing import NDArray

from services.contract.announcement import Kind, ModelAnnouncement
from services.contract.identity import hash_of
from services.scorer.path.scoring.correction import CorrectedForest, correction_from
from services.scorer.path.scoring.forest import Forest, forest_from
from services.scorer.path.scoring.halfspace import AnomalyModel, halfspace_from
from services.scorer.path.scoring.model import (
    LogisticModel,
    Model,
    ModelRefused,
    Scoring,
    logistic_from,
    require_schema,
)
from services.scorer.path.scoring.votes import VotingModel, votes_from


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


SHADOW_ONLY = {
    "halfspace": "it says how unusual a payment is, which is no probability that it is suspicious; it scores in shadow",
    "onnx": "it has no contributions, so a review by it would have no reasons to show; it scores in shadow",
}
"""Kinds that nobody decides with, and why."""


def scoring_from(announcement: ModelAnnouncement, feature_schema_hash: str) -> Scoring:
    """What an announcement carries, of any kind but ``onnx``: it can score, in shadow at least.

    Raises
    ------
    ModelRefused
        When it was trained on other features, its parameters cannot be, or its hash does not fit them.
    """
    require_schema(announcement, feature_schema_hash)
    if announcement.kind not in _BY_KIND:
        raise ModelRefused(f"model {announcement.version} is of kind {announcement.kind}: its parameters are elsewhere")
    model = _BY_KIND[announcement.kind](announcement, feature_schema_hash)
    if model.hash != announcement.model_hash:
        raise ModelRefused(f"model {announcement.version}: parameters do not have the hash they are announced with")
    return model


def model_from(announcement: ModelAnnouncement, feature_schema_hash: str) -> Model:
    """The model that an announcement carries, if it is one that can decide.

    Raises
    ------
    ModelRefused
        As ``scoring_from``, and when it is of a kind that scores in shadow only.
    """
    require_schema(announcement, feature_schema_hash)
    if announcement.kind in SHADOW_ONLY:
        raise ModelRefused(
            f"model {announcement.version} is of kind {announcement.kind}: {SHADOW_ONLY[announcement.kind]}"
        )
    model = scoring_from(announcement, feature_schema_hash)
    assert isinstance(model, LogisticModel | EnsembleModel | VotingModel), "the kinds that are left"
    return model


def announcement_of(
    name: str,
    model: LogisticModel | EnsembleModel | VotingModel | AnomalyModel,
    trained_event_time_ms: int,
    examples_offset: int = 0,
    challenger: bool = False,
) -> ModelAnnouncement:
    """What is announced of ``model``; the arguments are fields of the announcement."""
    kind: Kind
    carried: dict[str, Any]
    if isinstance(model, LogisticModel):
        arrays = {"weights": model.weights, "means": model.means, "scales": model.scales}
        kind, carried = "logistic", {name: tuple(array.tolist()) for name, array in arrays.items()}
        carried["bias"] = model.bias
    elif isinstance(model, EnsembleModel):
        trees = model.trees
        kind, carried = "boosting", {"forest": model.forest.packed}
        carried["correction"] = trees.correction.packed if isinstance(trees, CorrectedForest) else b""
    elif isinstance(model, VotingModel):
        kind, carried = "adaptive_forest", {"votes": model.forest.packed}
    else:
        kind, carried = "halfspace", {"halfspace": model.trees.packed}
    return ModelAnnouncement(
        name=name,
        version=model.version,
        model_hash=model.hash,
        feature_schema_hash=model.feature_schema_hash,
        kind=kind,
        review_probability=model.review_probability,
        examples_offset=examples_offset,
        trained_event_time_ms=trained_event_time_ms,
        challenger=challenger,
        **carried,
    )


def _ensemble_from(said: ModelAnnouncement, feature_schema_hash: str) -> EnsembleModel:
    forest = forest_from(said.forest, said.version, feature_schema_hash)
    trees: Forest | CorrectedForest = forest
    if said.correction:
        trees = CorrectedForest(said.version, forest, correction_from(said.correction, feature_schema_hash))
    return EnsembleModel(trees, said.review_probability)


def _voting_from(said: ModelAnnouncement, feature_schema_hash: str) -> VotingModel:
    return VotingModel(votes_from(said.votes, said.version, feature_schema_hash), said.review_probability)


def _anomaly_from(said: ModelAnnouncement, feature_schema_hash: str) -> AnomalyModel:
    return AnomalyModel(halfspace_from(said.halfspace, said.version, feature_schema_hash), said.review_probability)


_BY_KIND: dict[str, Callable[[ModelAnnouncement, str], Scoring]] = {
    "logistic": logistic_from,
    "boosting": _ensemble_from,
    "adaptive_forest": _voting_from,
    "halfspace": _anomaly_from,
}

"""Boosted trees, with or without an online corrector, as a model that decides; and any announced model by its kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.contract.announcement import Kind, ModelAnnouncement
from services.scorer.path.scoring.correction import CorrectedForest, correction_from
from services.scorer.path.scoring.forest import Forest, forest_from
from services.scorer.path.scoring.halfspace import AnomalyModel, halfspace_from
from services.scorer.path.scoring.model import (
    LogisticModel,
    Model,
    ModelRefused,
    Scoring,
    WithThreshold,
    logistic_from,
    require_schema,
)
from services.scorer.path.scoring.votes import VotingModel, votes_from


class EnsembleModel(WithThreshold[Forest | CorrectedForest]):
    """A boosted ensemble with its operating threshold. Contributions cost several times a score: reviews get them."""

    kind: ClassVar[str] = "boosting"
    explains_all: ClassVar[bool] = False

    @property
    def forest(self) -> Forest:
        """The trees without their corrector."""
        return self.trees if isinstance(self.trees, Forest) else self.trees.forest

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

Deciding = LogisticModel | EnsembleModel | VotingModel
Carried = Deciding | AnomalyModel
"""What an announcement can carry whole, and what of it is a ``Model``."""


def scoring_from(announcement: ModelAnnouncement, feature_schema_hash: str) -> Scoring:
    """What an announcement carries, of any kind but ``onnx``: it can score, in shadow at least.

    Raises
    ------
    ModelRefused
        When it was trained on other features, its parameters cannot be, or its hash does not fit them.
    """
    require_schema(announcement, feature_schema_hash)
    if announcement.kind not in FORMS:
        raise ModelRefused(f"model {announcement.version} is of kind {announcement.kind}: its parameters are elsewhere")
    model = FORMS[announcement.kind].read(announcement, feature_schema_hash)
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
    assert isinstance(model, Deciding), "the kinds that are left"
    return model


def announcement_of(
    name: str, model: Carried, trained_event_time_ms: int, examples_offset: int = 0, challenger: bool = False
) -> ModelAnnouncement:
    """What is announced of ``model``; the arguments are fields of the announcement."""
    kind, form = next((kind, form) for kind, form in FORMS.items() if isinstance(model, form.model))
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
        **form.carried(model),
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


def _logistic_fields(model: LogisticModel) -> dict[str, Any]:
    arrays = {"weights": model.weights, "means": model.means, "scales": model.scales}
    return {"bias": model.bias, **{name: tuple(array.tolist()) for name, array in arrays.items()}}


def _ensemble_fields(model: EnsembleModel) -> dict[str, Any]:
    correction = model.trees.correction.packed if isinstance(model.trees, CorrectedForest) else b""
    return {"forest": model.forest.packed, "correction": correction}


class Form(NamedTuple):
    """How a compiled model travels."""

    model: type[Carried]
    carried: Callable[[Any], dict[str, Any]]
    """The fields of its announcement that hold its parameters."""
    read: Callable[[ModelAnnouncement, str], Carried]
    """The model of these fields, for a feature schema; raises ``ModelRefused``."""


FORMS: dict[Kind, Form] = {
    "logistic": Form(LogisticModel, _logistic_fields, logistic_from),
    "boosting": Form(EnsembleModel, _ensemble_fields, _ensemble_from),
    "adaptive_forest": Form(VotingModel, lambda model: {"votes": model.trees.packed}, _voting_from),
    "halfspace": Form(AnomalyModel, lambda model: {"halfspace": model.trees.packed}, _anomaly_from),
}
"""Every form that a scorer reads, by the kind that is announced. A kind of model that compiles to one of them needs no
other (``models.kinds.table``)."""

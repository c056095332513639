"""A model's card (Mitchell et al. 2019): what it is, what it learned from, what it weighs, what it is not good for."""

from __future__ import annotations

from typing import Any

import msgspec

from models.learning.training import Snapshot
from services.contract.announcement import ModelAnnouncement
from services.scorer.path.features.registry import FEATURES, INDEX

LIMITS = (
    "It says how much a payment is like those that people marked as suspicious, not that anybody did wrong.",
    "Payments that nobody looked at are not known to be innocent; what was never labelled it cannot have learned.",
    "No nationality, name origin, religion, age or sex is among its features; countries enter as corridors only.",
    "Trained on synthetic labels it shows that the software works as specified, not that it finds offenders.",
)

BLACK_BOX = "It shows no reasons: nobody can say what made its score. So it scores in shadow, and cannot be promoted."


def card_of(snapshot: Snapshot, feature_schema_hash: str) -> dict[str, Any]:
    """The card of a model, as JSON; ``feature_schema_hash`` is that of the features computed now.

    ``features`` are those that it uses, the most telling first: of a logistic model by the size of their weight
    (log-odds for one scale, a standard deviation, of the feature as read), of a boosted one by the mean size of what
    they added to the score of held-out decisions; of a graph there are none.
    """
    said = snapshot.announcement
    graph = {} if said.onnx is None else {"graph": msgspec.to_builtins(said.onnx)}
    return {
        "name": said.name,
        "version": said.version,
        "kind": said.kind,
        "model_hash": said.model_hash,
        "feature_schema_hash": said.feature_schema_hash,
        "fits_present_features": said.feature_schema_hash == feature_schema_hash,
        "examples_offset": said.examples_offset,
        "trained_event_time_ms": said.trained_event_time_ms,
        "review_probability": said.review_probability,
        **{name: value for name, value in snapshot.about.items() if name != "most_contributing"},
        **graph,
        "features": _weights(said) if said.kind == "logistic" else _contributions(snapshot.about),
        "limits": [*LIMITS, BLACK_BOX] if graph else list(LIMITS),
    }


def _weights(said: ModelAnnouncement) -> list[dict[str, Any]]:
    rows = zip(FEATURES, said.weights, said.means, said.scales, strict=True)
    used = [
        {"feature": feature.name, "weight": weight, "mean": mean, "scale": scale, "meaning": feature.meaning}
        for feature, weight, mean, scale in rows
        if scale
    ]
    return sorted(used, key=lambda each: -abs(each["weight"]))


def _contributions(about: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"feature": name, "mean_contribution": size, "meaning": FEATURES[INDEX[name]].meaning}
        for name, size in about.get("most_contributing", {}).items()
    ]

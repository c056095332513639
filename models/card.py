"""A model's card (Mitchell et al. 2019): what it is, what it learned from, what it weighs, what it is not good for."""

from __future__ import annotations

from typing import Any

from services.contract.types import ModelAnnouncement
from services.scorer.path.features import FEATURES

LIMITS = (
    "It says how much a payment is like those that people marked as suspicious, not that anybody did wrong.",
    "Payments that nobody looked at are not known to be innocent; what was never labelled it cannot have learned.",
    "No nationality, name origin, religion, age or sex is among its features; countries enter as corridors only.",
    "Trained on synthetic labels it shows that the software works as specified, not that it finds offenders.",
)


def card_of(announcement: ModelAnnouncement, feature_schema_hash: str) -> dict[str, Any]:
    """The card of a model, as JSON; ``feature_schema_hash`` is that of the features computed now.

    ``features`` are those that it uses, the heaviest weight first, equal ones in canonical order; a weight is log-odds
    for one scale (standard deviation) of the feature as read.
    """
    rows = zip(FEATURES, announcement.weights, announcement.means, announcement.scales, strict=True)
    used = [
        {
            "feature": feature.name, "weight": weight, "mean": mean, "scale": scale, "unit": feature.unit,
            "read": feature.scale, "meaning": feature.meaning,
        }
        for feature, weight, mean, scale in rows
        if scale
    ]  # fmt: skip
    return {
        "name": announcement.name,
        "version": announcement.version,
        "kind": announcement.kind,
        "model_hash": announcement.model_hash,
        "feature_schema_hash": announcement.feature_schema_hash,
        "fits_present_features": announcement.feature_schema_hash == feature_schema_hash,
        "examples_offset": announcement.examples_offset,
        "trained_event_time_ms": announcement.trained_event_time_ms,
        "review_probability": announcement.review_probability,
        "features_used": len(used),
        "features": sorted(used, key=lambda each: -abs(each["weight"])),
        "limits": list(LIMITS),
    }

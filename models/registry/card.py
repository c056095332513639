"""A model's card (Mitchell et al. 2019): what it is, what it learned from, what it weighs, what it is not good for."""

from __future__ import annotations

from typing import Any

import msgspec

from models.kinds.table import KINDS
from models.learning.training import Snapshot

LIMITS = (
    "It says how much a payment is like those that people marked as suspicious, not that anybody did wrong.",
    "Payments that nobody looked at are not known to be innocent; what was never labelled it cannot have learned.",
    "No nationality, name origin, religion, age or sex is among its features; countries enter as corridors only.",
    "Trained on synthetic labels it shows that the software works as specified, not that it finds offenders.",
)


def card_of(snapshot: Snapshot, feature_schema_hash: str) -> dict[str, Any]:
    """The card of a model, as JSON; ``feature_schema_hash`` is that of the features computed now.

    ``features`` are those that it uses, the most telling first, and ``limits`` what it is not good for: both as its
    kind has them (``models.kinds.table``).
    """
    said = snapshot.announcement
    kind = KINDS[said.kind]
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
        "features": kind.card(said, snapshot.about),
        "limits": [*LIMITS, *kind.limits],
    }

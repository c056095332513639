"""JSON Schemas (2020-12) of every record, generated from the types themselves."""

from __future__ import annotations

from typing import Any

import msgspec

from services.contract import types

RECORDS: dict[str, type[msgspec.Struct]] = {
    "payment.v1": types.Payment,
    "decision.v1": types.Decision,
    "alert.v1": types.Alert,
    "snooze.v1": types.Snooze,
    "label.v1": types.Label,
    "payment-label.v1": types.PaymentLabel,
    "example.v1": types.Example,
    "model-announcement.v1": types.ModelAnnouncement,
    "model-promotion.v1": types.Promotion,
    "shadow-scores.v1": types.ShadowScores,
    "dead-letter.v1": types.DeadLetter,
}


def json_schema(name: str) -> dict[str, Any]:
    """The JSON Schema of the record called ``name`` (a key of ``RECORDS``).

    Raises
    ------
    KeyError
        When there is no such record.
    """
    schema = msgspec.json.schema(RECORDS[name])
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"urn:tocsin:{name}", **schema}


def json_schemas() -> dict[str, dict[str, Any]]:
    """All of them, by name."""
    return {name: json_schema(name) for name in RECORDS}

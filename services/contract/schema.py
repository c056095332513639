"""JSON Schemas (2020-12) of every record, generated from the types themselves."""

from __future__ import annotations

from typing import Any

import msgspec

from services.contract.alert import Alert, Snooze
from services.contract.announcement import ModelAnnouncement, Promotion
from services.contract.dead_letter import DeadLetter
from services.contract.decision import Decision
from services.contract.label import Example, Label, PaymentLabel
from services.contract.payment import Payment

RECORDS: dict[str, type[msgspec.Struct]] = {
    "payment.v1": Payment,
    "decision.v1": Decision,
    "alert.v1": Alert,
    "snooze.v1": Snooze,
    "label.v1": Label,
    "payment-label.v1": PaymentLabel,
    "example.v1": Example,
    "model-announcement.v1": ModelAnnouncement,
    "model-promotion.v1": Promotion,
    "dead-letter.v1": DeadLetter,
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

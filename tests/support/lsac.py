"""A history of which the pack lsac speaks, and payments after it of which it speaks, too."""

from __future__ import annotations

from msgspec import structs

from services.contract.payment import Payment
from services.scorer.rulebook.pack_file import pack_folder
from services.scorer.rulebook.pack_fixtures import read_fixtures

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
PAYER, PAYEE = "payer-1", "payee-8"
"""The payer of the whole history, and the payee of its last payment."""


def history() -> list[Payment]:
    """One of the pack's own fixtures: payees of whom some share a phone."""
    (fixture,) = (each for each in read_fixtures(pack_folder("lsac")) if each.name == "positive-family-operation")
    return list(fixture.payments)


def further(*after_ms: int) -> list[Payment]:
    """Payments like the history's last, so long after it."""
    last = history()[-1]
    return [
        structs.replace(last, payment_id=f"further-{each}", event_time_ms=last.event_time_ms + each)
        for each in after_ms
    ]

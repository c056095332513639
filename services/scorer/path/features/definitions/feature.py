"""What a feature is, and what several features have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from services.contract.units import DAY_MS, HOUR_MS

HALF_LIFE_MS = (HOUR_MS, DAY_MS, 7 * DAY_MS, 30 * DAY_MS)
HALF_LIFE_NAMES = ("1h", "1d", "7d", "30d")
_WINDOWS = {suffix: f"half-life {suffix}" for suffix in (*HALF_LIFE_NAMES, "180d")}
_WINDOWS |= {"60d": "30 to 60 d", "90d": "90 d", "360d": "360 d"}
"""Over what time a feature looks back, by the end of its name."""
RECENT_PAYEES = 8
"""Payees of remittances whose marks travel with a payment from the payer hop to the payee hop."""
Side = Literal["payment", "payer", "payee", "pair"]
"""Of what a feature tells."""


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature.

    ``scale`` says how a model reads it: ``log`` features are heavy-tailed and enter as ``log(1 + x)``.
    ``needs`` names the optional fields without which it is missing. ``source`` is where the idea comes from.
    """

    name: str
    unit: str
    meaning: str
    side: Side
    scale: Literal["linear", "log"] = "linear"
    needs: tuple[str, ...] = ()
    source: str = "velocity and value profile, common practice in payment monitoring"

    @property
    def window(self) -> str:
        """Over what time the feature looks back."""
        other = "this payment" if self.side == "payment" else "while remembered"
        return _WINDOWS.get(self.name.rpartition("_")[2], other)


BORDER = ("payer.country and payee.country, or received_currency",)
"""Without which nobody can tell whether a payment crosses a border."""

CLOCK = ("utc_offset_minutes, now or before, or payer.country",)
"""Without which nobody can tell the payer's local time."""
TEXT = ("reference, now or before",)
"""Without which nobody can tell whether a text was left out or is not told."""

# Where several features come from.
FATF_ROUND = "FATF: amounts even in the sender's or the receiver's currency (indicator A2)"
FAN = "AUSTRAC: one payer to many, or one payee from many, unrelated parties (indicators R2, B1)"
NIGHT = "ECPAT-SE, FATF: late evening and night in the payer's local time (indicator T3)"
ROTATION = "rotation of payees (indicator R3)"
RETRY = "retry after refusal (indicator N6)"

"""How much is measured, and with what: the choices of ``tocsin bench``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ChampionKind = Literal["untrained", "logistic", "boosting"]
QUIX_PYTHON = Path("var/quix/bin/python")
"""The interpreter that has Quix Streams: it wants other versions than Tocsin does."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured.

    ``payments`` are those of each run of a scorer, ``baseline_payments`` of each slow baseline (faster ones take a
    multiple), ``agreement_payments`` of each replay that is compared with another; ``accounts`` are the most that
    growth, memory and restoring are measured with; ``latency_s`` is how long each rate is held; ``quix_python`` is an
    interpreter that has Quix Streams.
    """

    payments: int = 300_000
    baseline_payments: int = 6_000
    champion: ChampionKind = "boosting"
    accounts: int = 1_000_000
    latency_s: float = 20.0
    agreement_payments: int = 20_000
    quix_python: Path = QUIX_PYTHON

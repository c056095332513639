"""A month and a half of made-up card payments, and a deployment that decides them day by day."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import closing
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.learning.training import Snapshot
from models.measures import Floats
from services.contract.codec import encode
from services.contract.label import Label
from services.contract.payment import Party, Payment
from services.contract.units import DAY_MS
from services.ingest.rows import Ready
from services.runtime.settings import Settings, load_settings
from services.workbench.handbook.deployment import Deployment
from services.workbench.handbook.handbook import Cards
from services.workbench.handbook.run import CHOSEN

WEEK_MS = 7 * DAY_MS
START_MS = 1_522_540_800_000
LEADER = "boosting"


def small_cards(seed: int = 0, payments: int = 3_000, customers: int = 20) -> Cards:
    """Payments at 15 terminals, of which a fifth are fraudulent: the large ones more often."""
    rng = np.random.default_rng(seed)
    seconds = np.sort(rng.integers(0, 45 * 86_400, payments))
    amounts = np.round(rng.lognormal(3.0, 1.0, payments), 2)
    truth = rng.random(payments) < np.where(amounts > 30.0, 0.4, 0.05)
    return Cards(rng.integers(0, customers, payments), rng.integers(0, 15, payments), seconds, amounts, truth)


def small_settings() -> Settings:
    """Those of the evaluation, with versions and fits so often that a small stream has some."""
    chosen = {**CHOSEN, "snapshot_examples": 100, "refit_examples": 300, "refit_window_examples": 1_000}
    return load_settings(**chosen, learn_share=0.5)


def rows_of(cards: Cards) -> list[Ready]:
    """Payments with their labels, which come after a week."""
    rows = []
    columns = (cards.seconds, cards.customers, cards.terminals, np.round(100 * cards.amounts).astype(int), cards.truth)
    for at, (second, customer, terminal, cents, true) in enumerate(
        zip(*(each.tolist() for each in columns), strict=True)
    ):
        at_ms, payer = START_MS + 1_000 * second, Party(f"c{customer}")
        value = encode(Payment(f"{at}", at_ms, max(1, cents), "EUR", payer, Party(f"t{terminal}")))
        label = Label(f"l{at}", f"{at}", "suspicious" if true else "not_suspicious", at_ms + WEEK_MS)
        rows.append(Ready(at + 1, payer.account, value, f"{at}", at_ms, label))
    return rows


class Run:
    """What a deployment made of ``cards``: scores as served (float64[n]), what served by day, and all it wrote."""

    def __init__(self, cards: Cards, folder: Path, settings: Settings | None = None) -> None:
        self.settings = settings or small_settings()
        self.by_line: dict[str, list[Floats]] = {}
        self.examples: list[bytes] = []
        self.examples_by_day: list[int] = []
        """How many were learned by the end of each day."""
        with closing(Deployment(self.settings, folder, LEADER)) as deployment:
            asyncio.run(self._walk(deployment, rows_of(cards)))
        self.served = deployment.served
        self.snapshots: dict[str, Sequence[Snapshot]] = {line.name: line.snapshots for line in deployment.lines}

    @property
    def scores(self) -> NDArray[np.float64]:
        """As served."""
        return np.concatenate(self.by_line["served"])

    async def _walk(self, deployment: Deployment, rows: Sequence[Ready]) -> None:
        for _, payments in groupby(rows, lambda row: row.event_time_ms // DAY_MS):
            for name, said in (await deployment.day(list(payments))).items():
                self.by_line.setdefault(name, []).append(said)
            self.examples += deployment.examples
            self.examples_by_day.append(len(self.examples))
        await deployment.learned()

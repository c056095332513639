"""``tocsin evaluate handbook``: the learner that ships, by the handbook's protocol, beside what others published."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from datetime import date, timedelta
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from models.kinds.kind import Share
from models.measures import Floats
from services.contract.units import DAY_MS
from services.ingest.files import MappedFile
from services.ingest.mapping_file import load_mapping
from services.ingest.rows import Ready
from services.runtime.settings import Settings
from services.workbench.handbook.deployment import Deployment, UnfitError
from services.workbench.handbook.handbook import (
    FIGURES,
    FINAL,
    FIRST_DAY,
    TEST_DAYS,
    Cards,
    first_tested_day,
    mean,
    measure,
    read_cards,
    rows_tested,
)

CHOSEN: dict[str, Any] = {"keep_share": 1.0, "challengers": "boosting"}
"""Of a deployment's settings, what the evaluation chooses. Every card payment gets a label, and features are to hear of
all of them, so every decision is kept. Challengers that do not lead are not trained: they change nothing here."""
LEADER = "boosting"
"""The line whose latest version serves. It is chosen before anything is seen, as people would by ``tocsin promote``."""
PUBLISHED: dict[str, tuple[float, float, float | None]] = {
    "book: logistic regression": (0.868, 0.623, 0.297),
    "book: random forest": (0.870, 0.678, 0.299),
    "book: XGBoost": (0.872, 0.687, 0.302),
    "book: LSTM": (0.876, 0.665, 0.297),
    "book: feed-forward network": (0.876, 0.675, None),
}
"""AUC, average precision and card precision@100 of the book's batch models, means over the four splits."""
RIVER: dict[str, tuple[float, float, float | None]] = {
    "River: logistic, book's features": (0.864, 0.600, 0.290),
    "River: adaptive random forest, book's features": (0.837, 0.539, 0.286),
}
"""The same of River 0.26.1's defaults, test-then-train, labels released after exactly seven days; measured by us."""
NOTE = (
    "Features and parameters were chosen on test weeks from 13 June to 7 August; the four published test weeks, "
    "8 August to 4 September, served for no choice. The data are simulated."
)


def evaluate_handbook(path: Path, settings: Settings, share: Share, splits: tuple[date, ...] = FINAL) -> dict[str, Any]:
    """Run the handbook's protocol over ``path``; ``share`` is told how much of it is done.

    Parameters
    ----------
    settings
        A deployment's. What it chooses is evaluated, but for ``CHOSEN``.
    splits
        First days of the training weeks, in order.

    Returns
    -------
    As JSON: ``splits`` and ``mean``, each with ``auc``, ``average_precision`` and ``card_precision_100`` of the scores
    as served; ``lines``, the mean by line of models, whoever served; ``served``, by day the version that did;
    ``chosen``, ``published``, and the ``note``.

    Raises
    ------
    ImportError
        When the leader's extra is not installed.
    UnfitError
        When a row does not become a decided payment.
    """
    cards = read_cards(path)
    scores, served = asyncio.run(_scores(path, cards, settings.model_copy(update=CHOSEN), splits, share))
    tests = [rows_tested(cards, training) for training in splits]
    figures = {name: [measure(cards, rows, said[rows]) for rows in tests] for name, said in scores.items()}
    return {
        "mean": mean(figures["served"]),
        "splits": [
            {"training_week": training.isoformat(), "payments": len(rows), "frauds": int(cards.truth[rows].sum())}
            | each
            for training, rows, each in zip(splits, tests, figures["served"], strict=True)
        ],
        "lines": {name: mean(of) for name, of in figures.items() if name != "served"},
        "served": {(FIRST_DAY + timedelta(days=day)).isoformat(): name for day, name in enumerate(served)},
        "chosen": CHOSEN,
        "published": {name: dict(zip(FIGURES, each, strict=True)) for name, each in (PUBLISHED | RIVER).items()},
        "note": NOTE,
    }


async def _scores(
    path: Path, cards: Cards, settings: Settings, splits: tuple[date, ...], share: Share
) -> tuple[dict[str, Floats], list[str]]:
    """Log-odds float64[n] of the payments up to the last test, as served and by line, NaN elsewhere; and what served,
    by day."""
    days = first_tested_day(splits[-1]) + TEST_DAYS
    scores: dict[str, Floats] = {}
    at = 0
    with (
        TemporaryDirectory(prefix="tocsin-handbook-") as folder,
        MappedFile(path, load_mapping("handbook"), labels=True) as rows,
        closing(Deployment(settings, Path(folder), LEADER)) as deployment,
    ):
        for payments in by_day(rows):
            if len(deployment.served) == days:
                break
            for name, said in (await deployment.day(payments)).items():
                scores.setdefault(name, np.full(len(cards.seconds), np.nan))[at : at + len(said)] = said
            at += len(payments)
            share(len(deployment.served) / days)
        await deployment.learned()
    if len(deployment.served) != days or at != int((cards.days < days).sum()):
        raise UnfitError(f"{path}: {at} payments in {len(deployment.served)} days, which are not those of the protocol")
    return scores, deployment.served


def by_day(rows: MappedFile) -> Iterator[list[Ready]]:
    """The payments of each day of event time.

    Raises
    ------
    UnfitError
        When a row is no payment.
    """

    def day(row: object) -> int:
        if not isinstance(row, Ready):
            raise UnfitError(f"{rows.name}: {row}")
        return row.event_time_ms // DAY_MS

    for _, payments in groupby(rows, day):
        yield [each for each in payments if isinstance(each, Ready)]

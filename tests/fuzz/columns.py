"""Batches of columns, mutated: each is read, or refused."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

from services.contract.columns import Texts
from services.contract.served import SERVED, Served, read_served, write_served
from services.contract.shadow_scores import ShadowScores, read_shadow_scores
from services.workbench.shadow import take_scores
from tests.fuzz import seeds
from tests.fuzz.batches import mutated_batch
from tests.fuzz.checks import check_rejection
from tests.support.served import served_in


class ServedTarget:
    """Records of ``features.v1``."""

    name = "served features"

    def feed(self, count: int, draw: random.Random) -> Counter[str]:
        """``count`` records: what is read has arrays that can be, to their ends."""
        fates: Counter[str] = Counter()
        for _ in range(count):
            found = read_served(mutated_batch(seeds.served(), draw))
            if isinstance(found, Served):
                for column in SERVED.columns:
                    values = getattr(found, column.name)
                    assert len(found.texts(column.name) if isinstance(values, Texts) else values) == len(found)
                write_served(found)
                fates["used"] += 1
            else:
                fates[f"refused: {check_rejection(found)}"] += 1
        return fates


class ShadowScoresTarget:
    """Records of ``shadow-scores.v1``."""

    name = "shadow scores"

    def feed(self, count: int, draw: random.Random) -> Counter[str]:
        """``count`` records, as a comparison takes them."""
        fates: Counter[str] = Counter()
        row_of = {name: row for row, name in enumerate(served_in(seeds.served()[0].value).decision_ids())}
        for _ in range(count):
            found = read_shadow_scores(mutated_batch(seeds.shadow_scores(), draw))
            if isinstance(found, ShadowScores):
                take_scores({}, found, row_of)
                fates["used"] += 1
            else:
                fates[f"refused: {check_rejection(found)}"] += 1
        return fates


def targets() -> list[Any]:
    """Every reader of columns."""
    return [ServedTarget(), ShadowScoresTarget()]

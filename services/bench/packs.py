"""What typology packs cost: the evaluation of all that ship, on one core, over feature vectors like real ones."""

from __future__ import annotations

import time

import numpy as np

from services.runtime.settings import Settings
from services.scorer.path.features.registry import FEATURES
from services.scorer.path.rules.pack import Packs
from services.scorer.rulebook.pack_file import load_packs

ROWS = 2_000
ROUNDS = 50


def packs_us_per_payment(settings: Settings) -> float:
    """CPU microseconds a payment that ``Packs.evaluate`` takes, in batches of ``ROWS``, the best of three."""
    packs = Packs(load_packs(settings))
    rng = np.random.default_rng(1)
    features = np.where(rng.random((ROWS, len(FEATURES))) < 0.1, np.nan, rng.lognormal(0.0, 1.5, (ROWS, len(FEATURES))))
    evidence = np.zeros(ROWS)
    packs.evaluate(features, evidence)
    best = np.inf
    for _ in range(3):
        began = time.process_time()
        for _ in range(ROUNDS):
            packs.evaluate(features, evidence)
        best = min(best, (time.process_time() - began) / (ROUNDS * ROWS))
    return float(best * 1e6)

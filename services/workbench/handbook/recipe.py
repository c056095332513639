"""The champion of the handbook's evaluation: boosted trees refitted weekly on matured labels, corrected online.

Everything here was chosen on tests that end before the first published one (``handbook.EARLIER``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.measures import Floats, Whole
from services.workbench.handbook.handbook import DELAY_DAYS, Cards

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the champion is fitted."""

    burn_in_days: int = 25
    """Days of which no payment is learnt: state is still filling."""
    train_days: int = 120
    """Matured days that a fit learns from, at most."""
    refit_days: int = 7
    negatives: float = 0.1
    """Share of the payments not confirmed that a fit learns from, each weighing its inverse."""
    seeds: int = 1
    """Fits whose log-odds are averaged, each with negatives of its own."""
    rounds: int = 250
    rate: float = 0.02
    """The corrector's; 0 leaves the ensemble as it is."""
    parameters: dict[str, Any] = field(
        default_factory=lambda: {
            "objective": "binary",
            "learning_rate": 0.03,
            "num_leaves": 31,
            "min_data_in_leaf": 100,
            "feature_fraction": 0.5,
            "bagging_fraction": 0.8,
            "bagging_freq": 1,
            "lambda_l2": 5.0,
            "max_bin": 127,
            "num_threads": 1,
            "deterministic": True,
            "force_row_wise": True,
            "verbose": -1,
        }
    )


def training_rows(cards: Cards, day: int, recipe: Recipe, seed: int) -> tuple[Whole, Floats]:
    """Payments, and their weights, that a fit at the start of ``day`` learns from: all of them matured by then."""
    days = cards.days
    last = day - DELAY_DAYS
    drawn = np.random.default_rng([seed, day]).random(len(days)) < recipe.negatives
    inside = (days >= max(last - recipe.train_days, recipe.burn_in_days)) & (days < last)
    rows = np.flatnonzero(inside & (cards.truth | drawn))
    return rows, np.where(cards.truth[rows], 1.0, 1.0 / recipe.negatives)


def ensemble_log_odds(
    cards: Cards, features: NDArray[np.float32], first_day: int, until_day: int, recipe: Recipe, tell: Tell
) -> Floats:
    """Prequential log-odds of the payments from ``first_day`` to before ``until_day``; NaN elsewhere.

    The ensemble is refitted at the start of ``first_day`` and of every ``refit_days``-th day after it.

    Parameters
    ----------
    features
        float32[n, f], as served.
    """
    import lightgbm

    log_odds = np.full(len(cards.seconds), np.nan)
    for day in range(first_day, until_day, recipe.refit_days):
        serves = np.flatnonzero((cards.days >= day) & (cards.days < min(day + recipe.refit_days, until_day)))
        total = np.zeros(len(serves))
        for seed in range(recipe.seeds):
            rows, weights = training_rows(cards, day, recipe, seed)
            data = lightgbm.Dataset(features[rows], cards.truth[rows].astype(np.int8), weight=weights)
            booster = lightgbm.train({**recipe.parameters, "seed": seed + 1}, data, recipe.rounds)
            total += booster.predict(features[serves], raw_score=True, num_threads=1)
        log_odds[serves] = total / recipe.seeds
        tell(f"refitted at the start of day {day}")
    return log_odds


def corrector_inputs(features: NDArray[np.float32], names: list[str]) -> Floats:
    """float64[n, 4], what the corrector sees beside the log-odds, scaled to about 1."""
    column = {name: features[:, at].astype(np.float64) for at, name in enumerate(names)}
    return np.column_stack(
        [
            column["payee_confirmed_share_7d"],
            np.log1p(column["payee_confirmed_run"]),
            np.nan_to_num(column["payer_amount_from_cleared"]) / 3.0,
            np.log1p(column["payer_excess_7d"]),
        ]
    )

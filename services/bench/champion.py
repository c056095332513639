"""The model that everything under measurement decides with: drawn at random, since a fitted one costs the same."""

from __future__ import annotations

import asyncio

import numpy as np

from services import kafka
from services.bench.kernels import random_forest, random_logistic
from services.bench.plan import ChampionKind
from services.kafka.announcing import send_announcement
from services.runtime.settings import Settings
from services.scorer.path.features.registry import FEATURES, feature_schema_hash
from services.scorer.path.scoring.correction import CorrectedForest, Correction
from services.scorer.path.scoring.ensemble import Deciding, EnsembleModel, announcement_of
from services.scorer.path.scoring.model import untrained_model
from services.scorer.rulebook.ruleset_file import load_ruleset

CORRECTED_FEATURES = 12
LOG_ODDS = -6.0
"""Of an ordinary payment: a review is as rare as it should be."""
REVIEW_PROBABILITY = 0.5


def champion_of(kind: ChampionKind, settings: Settings, seed: int = 1) -> Deciding:
    """The champion of ``kind`` for the features of ``settings``: a logistic model, or an ensemble of the default size
    with an online corrector on top."""
    schema, rng = feature_schema_hash(load_ruleset(settings).parameters), np.random.default_rng(seed)
    if kind == "untrained":
        return untrained_model(schema)
    if kind == "logistic":
        return random_logistic(rng, schema)
    forest = random_forest(rng, schema)
    return EnsembleModel(CorrectedForest(1, forest, _random_correction(rng, schema)), REVIEW_PROBABILITY)


def _random_correction(rng: np.random.Generator, schema: str) -> Correction:
    features = np.sort(rng.choice(len(FEATURES), CORRECTED_FEATURES, replace=False)).astype(np.int32)
    weights, means, scales = rng.normal(0.0, 0.1, (3, CORRECTED_FEATURES))
    return Correction(schema, LOG_ODDS, 1.0, features, weights, means, 1.0 + np.abs(scales))


def announce_champion(settings: Settings, kind: ChampionKind) -> None:
    """Announce the champion in ``models.v1``, as a learner does. Of the untrained one nobody need be told."""
    if kind != "untrained":
        asyncio.run(_announce(settings, champion_of(kind, settings), challenger=False))


def announce_challenger(settings: Settings) -> None:
    """Announce another boosted ensemble, to score in shadow."""
    asyncio.run(_announce(settings, champion_of("boosting", settings, seed=2), challenger=True))


async def _announce(settings: Settings, model: Deciding, challenger: bool) -> None:
    async with kafka.opened(kafka.producer(settings)) as producer:
        name = "bench-challenger" if challenger else "bench"
        await send_announcement(producer, settings, announcement_of(name, model, 0, challenger=challenger))

"""The shadow worker: challengers score what was decided, off the payments' path. It shares partitions as scorers do.

It is a lane like the scorer's, of a consumer group of its own: batch after batch, the records and the position in
``features.v1`` in one transaction. It keeps no state, so recovery is to go on at the committed position.
"""

from __future__ import annotations

import logging
import time
from collections import Counter

import faust
import numpy as np
from numpy.typing import NDArray

from models.registry.registry import Registry
from services.contract.announcement import ModelAnnouncement
from services.kafka.start import start
from services.runtime.faust_app import create_app
from services.runtime.metrics import Metrics, ShadowMetrics
from services.runtime.settings import Settings
from services.runtime.together import Together
from services.runtime.worker import run_worker
from services.scorer.path.features.registry import feature_schema_hash
from services.scorer.path.records import HopResult
from services.scorer.rulebook.ruleset_file import load_ruleset
from services.scorer.shell.lane import Lane
from services.scorer.shell.models import AnnouncementFollower
from services.shadow.roster import Challenger, HasScores, Roster
from services.shadow.scoring import NAME, RESULTS, Shadow

logger = logging.getLogger(__name__)


class Measured:
    """A model whose scores are counted: CPU time, and those that are no number. It says what ``model`` says."""

    def __init__(self, model: HasScores, kind: str, metrics: ShadowMetrics) -> None:
        self._model = model
        self._cpu, self._failed = metrics.cpu.labels(kind), metrics.failed.labels(kind)

    def scores(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """As ``HasScores``."""
        began = time.thread_time()
        found = self._model.scores(features)
        self._cpu.inc(time.thread_time() - began)
        self._failed.inc(int(np.isnan(found).sum()))
        return found


class ChallengerFollower(AnnouncementFollower):
    """Keeps ``current`` at the challengers that ``models.v1`` announces. What cannot be used is counted and logged."""

    def __init__(self, settings: Settings, metrics: Metrics, shadow: ShadowMetrics, feature_schema_hash: str) -> None:
        super().__init__(settings, metrics)
        self._schema_hash, self._shadow = feature_schema_hash, shadow
        self._registry = Registry(settings.registry)
        self._roster = Roster(settings.shadow_challengers_max, self._build, self.refuse, settings.pinned_model)
        self._current: tuple[Challenger, ...] | None = None

    @property
    def current(self) -> tuple[Challenger, ...]:
        """Those that score the next batch."""
        if self._current is None:
            self._current = self._roster.challengers()
            logger.info("challengers: %s", ", ".join(each.model_hash[:12] for each in self._current) or "none")
            self._shadow.challengers.clear()
            for kind, count in Counter(each.kind for each in self._current).items():
                self._shadow.challengers.labels(kind).set(count)
        return self._current

    def consider(self, key: bytes | None, value: bytes | None, written_ms: int) -> None:
        """As ``AnnouncementFollower``."""
        self._roster.take(key, value)
        self._current = None

    def _build(self, said: ModelAnnouncement) -> HasScores:
        return Measured(self._registry.scoring(said, self._schema_hash), said.kind, self._shadow)


class ShadowService(Together):
    """The shadow of one worker."""

    def __init__(self, settings: Settings, metrics: Metrics, shadow: ShadowMetrics, schema_hash: str) -> None:
        self._shadow = shadow
        follower = ChallengerFollower(settings, metrics, shadow, schema_hash)
        lane: Lane[tuple[Challenger, ...]] = Lane(
            NAME, settings, metrics, follower, settings.topics.features.name, None,
            lambda partition: Shadow(schema_hash, partition), count_more=self._count,
        )  # fmt: skip
        super().__init__(follower, lane)

    def _count(self, result: HopResult) -> None:
        for name in RESULTS:
            if result.counts[name]:
                self._shadow.decisions.labels(name).inc(result.counts[name])


def create_shadow(settings: Settings, metrics: Metrics) -> faust.App:
    """The shadow worker's Faust app.

    Raises
    ------
    SettingsError
        When the ruleset, whose parameters decide features, cannot be read.
    """
    app = create_app(settings, NAME)
    schema_hash = feature_schema_hash(load_ruleset(settings).parameters)
    app.add_dependency(ShadowService(settings, metrics, ShadowMetrics(metrics.registry), schema_hash))
    return app


def run_shadow(settings: Settings) -> None:
    """Run a shadow worker until SIGTERM or SIGINT."""
    run_worker(settings, start, lambda metrics: create_shadow(settings, metrics))

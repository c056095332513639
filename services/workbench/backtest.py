"""Walking a data set in event time: each decision scored by what was known then, each label learned when it came.

Prequential evaluation (Dawid 1984; Gama, Sebastião and Rodrigues 2013), with every label as late as it was. Where a
decision and a label have the same millisecond, the label stands first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.influence import AccountLimit
from models.kinds.kind import Share
from models.labels import SILENCE, reliability
from models.learning.silence import certainty
from models.measures import Flags, Floats
from services.contract.identity import digest64
from services.contract.label import LABEL_FREQUENCY
from services.contract.units import DAY_MS
from services.workbench.dataset import NEVER_MS, NOT_SUSPICIOUS, SUSPICIOUS, UNLABELLED, Dataset

BLOCK = 5_000
"""Decisions scored at a time, at most."""


class Learner(Protocol):
    """What can score decisions, and learn from labels."""

    def score(self, features: Floats, at_ms: int) -> Floats:
        """Log-odds float64[m] of ``features`` (float64[m, k]), the first of them decided at ``at_ms``."""

    def learn(self, features: Floats, labels: Flags, weights: Floats, at_ms: int) -> None:
        """Learn m labels, in order, the first of which came at ``at_ms``."""


def with_silence(data: Dataset, matured_days: float) -> Dataset:
    """``data`` where a decision without a label for ``matured_days`` counts as weakly not suspicious from then on.

    Unlabelled is not negative: such labels have the source ``matured``, and weigh as little as that says. Those that
    would have come after the data set was made are left out. Other labels stand for themselves alone from then on: the
    payments that their weights made up for are in the data.
    """
    at = data.event_ms + round(matured_days * DAY_MS)
    latest = int(data.event_ms.max(initial=0)) if data.as_of_ms == NEVER_MS else data.as_of_ms
    silent = (data.label == UNLABELLED) & (at <= latest)
    return replace(
        data,
        label=np.where(silent, NOT_SUSPICIOUS, data.label).astype(np.int8),
        label_ms=np.where(silent, at, data.label_ms),
        source=np.where(silent, SILENCE, data.source).astype(object),
        weight=np.ones(len(data)),
    )


def sampled(data: Dataset, share: float) -> Dataset:
    """Every label that somebody gave, and of what else there is the decisions of a ``share`` of payers, each weighing
    its inverse: for walks that take too long. Which payers follows from their accounts."""
    given = _given(data)
    drawn = np.array([digest64(payer) < share * 2**64 for payer in data.payer.tolist()], dtype=np.bool_)
    return replace(data, weight=np.where(given, data.weight, data.weight / share)).chosen(given | drawn)


def learned(data: Dataset) -> Flags:
    """bool[n]: the decisions whose label is learned: of those that somebody gave, what the limit of one payer admits
    (``models.influence``), in the order in which they came; silence always."""
    limit, given = AccountLimit(), _given(data)
    admitted: Flags = data.label != UNLABELLED
    for is_label, rows in stretches(data):
        if is_label:
            for row in rows[given[rows]].tolist():
                admitted[row] = limit.admits(data.tenant[row], data.payer[row], bool(data.label[row]))
    return admitted


def _given(data: Dataset) -> Flags:
    """bool[n]: labelled, and not by silence."""
    given: Flags = (data.label == SUSPICIOUS) | ((data.label == NOT_SUSPICIOUS) & (data.source != SILENCE))
    return given


def learning_weights(data: Dataset, label_frequency: float = LABEL_FREQUENCY) -> Floats:
    """float64[n]: the inverse sampling share of each label times the reliability of its source, and of silence times
    the probability that it is right (``models.learning.silence``): what an example of the learner weighs of a decision
    that was kept with certainty."""
    said = zip(data.source.tolist(), data.score.tolist(), strict=True)
    weights = [
        reliability(each) * (certainty(score, label_frequency) if each == SILENCE else 1.0) for each, score in said
    ]
    return data.weight * np.array(weights, dtype=np.float64)


def prequential(data: Dataset, learner: Learner, share: Share, bounded: bool = True) -> Floats:
    """float64[n]: the log-odds that ``learner`` gives each decision at its time; ``share`` is told how much is done.

    Labels are those that are ``learned``; all of them, unless ``bounded``.
    """
    weights, suspicious = learning_weights(data), data.label == SUSPICIOUS
    counts = learned(data) if bounded else data.label != UNLABELLED
    scores = np.full(len(data), np.nan)
    done = 0
    for is_label, rows in stretches(data):
        done += len(rows)
        if not is_label:
            scores[rows] = learner.score(data.features[rows], int(data.event_ms[rows[0]]))
        elif len(told := rows[counts[rows]]):
            learner.learn(data.features[told], suspicious[told], weights[told], int(data.label_ms[told[0]]))
        share(done / (2 * len(data)))
    return scores


def stretches(data: Dataset) -> Iterator[tuple[bool, NDArray[np.int64]]]:
    """Decisions and labels in the order of their times, as runs of one kind: whether labels, and which decisions'."""
    labelled = np.flatnonzero(data.label != UNLABELLED)
    times = np.concatenate([data.label_ms[labelled], data.event_ms])
    rows = np.concatenate([labelled, np.arange(len(data))])
    is_decision = np.concatenate([np.zeros(len(labelled), np.int8), np.ones(len(data), np.int8)])
    # A label cannot come before its decision is made, whatever its time says.
    times[: len(labelled)] = np.maximum(times[: len(labelled)], data.event_ms[labelled] + 1)
    order = np.lexsort((rows, is_decision, times))
    rows, is_decision = rows[order], is_decision[order]
    edges = np.flatnonzero(np.diff(is_decision)) + 1
    for run in np.split(np.arange(len(rows)), edges):
        for start in range(0, len(run), BLOCK):
            chosen = run[start : start + BLOCK]
            yield not bool(is_decision[chosen[0]]), rows[chosen]


def time_split(data: Dataset, test_from_ms: int, delay_ms: int) -> tuple[Dataset, Dataset]:
    """Train and test: what was decided ``delay_ms`` or more before ``test_from_ms`` with the labels known by then, and
    what was decided from then on, with every label."""
    known = data.as_of(test_from_ms)
    train = known.chosen(known.event_ms < test_from_ms - delay_ms)
    return train, data.chosen(data.event_ms >= test_from_ms)

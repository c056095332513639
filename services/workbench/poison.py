"""Poisoned labels: what wrong ones do to learners, whoever gave them. A share of labels flipped, and a burst of wrong
labels about one account.

The walk is that of ``backtest``; figures are against the labels as they were. Beside them stands how far scores
move: those of the account that the burst is about, and everybody else's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from models.kinds.kind import Share
from models.labels import SILENCE
from models.measures import Flags, Floats
from services.workbench.backtest import Learner, prequential
from services.workbench.dataset import NOT_SUSPICIOUS, SUSPICIOUS, UNLABELLED, Dataset
from services.workbench.measures import measured

BURST_SOURCE = "analyst"
HIGH = 99
"""Percentile of movements that is told beside their median."""


@dataclass(frozen=True, slots=True)
class Burst:
    """A data set with wrong labels about one payer's payments, all known from one moment on."""

    data: Dataset
    payer: str
    labels: int
    moment_ms: int


def flipped(data: Dataset, share: float, seed: int = 1) -> Dataset:
    """``data`` with a ``share`` of the labels that somebody gave turned round, drawn by ``seed``."""
    given = (data.label != UNLABELLED) & (data.source != SILENCE)
    turned = given & (np.random.default_rng(seed).random(len(data)) < share)
    return replace(data, label=np.where(turned, 1 - data.label, data.label).astype(np.int8))


def burst(data: Dataset, count: int, weight: float = 1.0) -> Burst:
    """``data`` with ``count`` wrong labels that come in the middle of it, half of the decisions before and half after.

    They are about the latest payments until then of the payer who has most, as many before as after: suspicious, unless
    a label says so; then not. Labels that these payments had are gone.
    """
    moment = int(np.median(data.event_ms)) if len(data) else 0
    early = data.event_ms < moment
    before, after = Counter(data.payer[early].tolist()), Counter(data.payer[~early].tolist())
    payer = max(sorted(before), key=lambda each: min(before[each], after[each]), default="")
    rows = np.flatnonzero(early & (data.payer == payer))[-count:]
    told, at_ms = data.label.copy(), data.label_ms.copy()
    source, weights = data.source.copy(), data.weight.copy()
    told[rows] = np.where(told[rows] == SUSPICIOUS, NOT_SUSPICIOUS, SUSPICIOUS)
    at_ms[rows], source[rows], weights[rows] = moment, BURST_SOURCE, weight
    return Burst(replace(data, label=told, label_ms=at_ms, source=source, weight=weights), payer, len(rows), moment)


def poisoning(
    data: Dataset,
    make: Callable[[], Learner],
    flip: float,
    attack: Burst | None,
    budget_share: float,
    share: Share,
    bounded: bool = True,
) -> dict[str, Any]:
    """Walk ``data`` as it is, with a share ``flip`` of its labels flipped, and with the burst ``attack`` upon it.

    Returns
    -------
    As JSON: ``clean`` and, of what was asked for, ``flipped`` and ``burst``, each with the figures of the decisions in
    the second half of ``data``, without the account that the burst is about. ``moved`` says by how much log-odds of
    decisions there are other than those of ``clean``: of ``others`` and, for a burst, of the ``account``.
    """
    told = {"clean": data}
    if flip > 0.0:
        told["flipped"] = flipped(data, flip)
    if attack is not None:
        told["burst"] = attack.data
    late = data.event_ms >= np.median(data.event_ms)
    own = np.zeros(len(data), np.bool_) if attack is None else data.payer == attack.payer
    own, others = late & own, late & ~own
    found: dict[str, Any] = {}
    scores: dict[str, Floats] = {}
    for number, (name, each) in enumerate(told.items()):
        share(number / len(told))
        scores[name] = prequential(each, make(), lambda _part: None, bounded)
        found[name] = measured(data.chosen(others), scores[name][others], budget_share)["all"].as_dict()
    if "flipped" in found:
        found["flipped"]["moved"] = {"others": moved(scores["clean"], scores["flipped"], others)}
    if attack is not None:
        found["burst"]["labels"] = attack.labels
        found["burst"]["moved"] = {
            "account": moved(scores["clean"], scores["burst"], own),
            "others": moved(scores["clean"], scores["burst"], others),
        }
    return found


def moved(clean: Floats, poisoned: Floats, rows: Flags) -> dict[str, float | int | None]:
    """Of decisions ``rows`` (bool[n]): how many, the median change of their log-odds, and the change that 99 of 100 do
    not exceed in size."""
    change = (poisoned - clean)[rows]
    if not len(change):
        return {"decisions": 0, "median": None, "p99": None}
    return {
        "decisions": len(change),
        "median": float(np.median(change)),
        "p99": float(np.percentile(np.abs(change), HIGH)),
    }

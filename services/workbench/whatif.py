"""What would have gone to review under another model, other packs or other rules, beside what did.

Over the features as served, by the path's own code: under the model, rules and packs that served, it says what they
said, payment for payment. Decisions are independent of one another here, so the work is split over all cores.
``history`` does the same straight from Kafka.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.kinds.kind import Share
from services.scorer.path.decision import decide
from services.scorer.path.records import no_mark
from services.scorer.path.rules.evaluate import Rules
from services.scorer.path.rules.pack_format import ROLES
from services.scorer.path.rules.ruleset import Ruleset
from services.scorer.path.scoring.model import Model
from services.workbench.dataset import SUSPICIOUS, UNLABELLED, Dataset

CHUNK = 20_000

Decided = tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Reviews:
    """What n decisions would have been: ``review`` bool[n], and who asks for it, bool[n, q] in the order of ``askers``;
    ``scores`` float64[n]."""

    askers: tuple[str, ...]
    review: NDArray[np.bool_]
    asked: NDArray[np.bool_]
    scores: NDArray[np.float64]


def reviewed(data: Dataset, ruleset: Ruleset, model: Model, share: Share, workers: int = 1) -> Reviews:
    """Decide every payment of ``data`` again; ``share`` is told how much is done, ``workers`` processes do it."""
    chunks = [data.features[at : at + CHUNK] for at in range(0, len(data), CHUNK)]
    parts: list[Decided] = []
    with ExitStack() as stack:
        decided: Iterator[Decided] = map(partial(_decided, ruleset, model), chunks)
        if workers > 1 and len(chunks) > 1:
            decided = stack.enter_context(processes(workers, ruleset, model)).map(decide_prepared, chunks)
        for part in decided:
            parts.append(part)
            share(len(parts) / len(chunks))
    return together(ruleset, parts)


def together(ruleset: Ruleset, parts: Sequence[Decided]) -> Reviews:
    """What was decided in ``parts``, one after the other."""
    names = askers(ruleset)
    if not parts:
        return Reviews(names, np.zeros(0, np.bool_), np.zeros((0, len(names)), np.bool_), np.zeros(0))
    return Reviews(names, *(np.concatenate(each) for each in zip(*parts, strict=True)))


def processes(workers: int, ruleset: Ruleset, model: Model) -> ProcessPoolExecutor:
    """Processes that can ``decide_prepared`` under ``ruleset`` and ``model``."""
    return ProcessPoolExecutor(workers, get_context("spawn"), _prepare, (ruleset, model))


def askers(ruleset: Ruleset) -> tuple[str, ...]:
    """Who asks for reviews: the queue of rules and model, then the packs by name."""
    return (ruleset.review.queue, *(pack.name for pack in ruleset.packs))


def compared(data: Dataset, found: Reviews) -> dict[str, Any]:
    """What would have gone to review beside what did, as JSON: payments, payers and payees, and what labels say.

    ``labelled_suspicious`` counts payments that a label calls so, ``precision_of_labelled`` their share of the labelled
    ones in review.
    """
    did, would = data.outcome == "review", found.review
    return {
        "decisions": len(data),
        "did": _of(data, did),
        "would": _of(data, would),
        "both": int((did & would).sum()),
        "only_did": int((did & ~would).sum()),
        "only_would": int((would & ~did).sum()),
        "would_by": {name: int(found.asked[:, at].sum()) for at, name in enumerate(found.askers)},
    }


def _of(data: Dataset, rows: NDArray[np.bool_]) -> dict[str, float | int | None]:
    known = rows & (data.label != UNLABELLED)
    suspicious = int((data.label[known] == SUSPICIOUS).sum())
    return {
        "payments": int(rows.sum()),
        "payers": len(set(data.payer[rows].tolist())),
        "payees": len(set(data.payee[rows].tolist())),
        "labelled_suspicious": suspicious,
        "precision_of_labelled": suspicious / int(known.sum()) if known.any() else None,
    }


def _decided(ruleset: Ruleset, model: Model, features: NDArray[np.float64]) -> Decided:
    verdicts = decide(np.ascontiguousarray(features), Rules(ruleset), model, no_mark)
    assert verdicts.packs.review.shape[2] == len(ROLES), "packs ask by role"
    asked = np.column_stack([verdicts.general, verdicts.packs.review.any(axis=2)])
    return verdicts.review, asked, verdicts.scores


_prepared: list[tuple[Ruleset, Model]] = []


def _prepare(ruleset: Ruleset, model: Model) -> None:
    _prepared.append((ruleset, model))


def decide_prepared(features: NDArray[np.float64]) -> Decided:
    """What ``features`` (float64[n, k]) are decided as, in a process of ``processes``: ``review``, ``asked`` and
    ``scores`` of ``Reviews``."""
    ruleset, model = _prepared[-1]
    return _decided(ruleset, model, features)

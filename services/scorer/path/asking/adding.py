"""Payments under a pack as subjects take them: which of a batch they are, who is in them, and where they stand."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.contract.columns import Texts
from services.contract.siphash import Key
from services.scorer.path.features.accounts import digests_of_spans
from services.scorer.path.features.registry import INDEX
from services.scorer.path.handover import Spans
from services.scorer.path.handover_reading import Handover
from services.scorer.path.scoring.model import Model
from services.scorer.path.subjects.facts import facts_of
from services.scorer.path.subjects.kernel import SubjectBatch

_PLACES, _OFFSETS, _GENERATIONS = 2**14, 2**36, 2**13
"""Payments in a record of what is handed over, records of a log, and logs one after the other, at most."""


class UnderPack(NamedTuple):
    """m of the n payments of a batch."""

    rows: NDArray[np.int64]
    """int64[m], among the n."""
    batch: SubjectBatch
    positions: NDArray[np.int64]
    """int64[m]: where each stands in its partition of ``payments.by-payee.v1``. Grows from payment to payment, and from
    a log to the one that takes its place."""


class Added(NamedTuple):
    """What came of adding them up at their payees."""

    under: UnderPack
    features: NDArray[np.float64]
    """float64[m, S]."""
    others: NDArray[np.float64]
    """float64[m, 3]: what payers are to hear."""
    risk: NDArray[np.float64]
    """float64[m]: of the payees, log-odds; NaN without a subject model."""
    model_hash: str = ""
    """Of that model."""


def are_under_pack(features: NDArray[np.float64]) -> NDArray[np.int64]:
    """int64[m]: which of n payments, float64[n, k] as served, are added up: remittances."""
    return np.flatnonzero(features[:, INDEX["is_remittance"]] == 1.0)


def evidence_of(scores: NDArray[np.float64], model: Model) -> NDArray[np.float64]:
    """float64[n]: what ``model`` says of payments beyond its bias, log-odds; NaN where it has learned nothing."""
    return np.full(len(scores), np.nan) if model.version == 0 else scores - model.bias


def under_pack(found: Handover, features: NDArray[np.float64], key: Key, generation: int) -> UnderPack:
    """The payments under a pack of a batch, their evidence to be told.

    Parameters
    ----------
    features
        float64[n, k] as served, of all payments of the batch.
    key
        Of digests.
    generation
        How often another log has taken the place of this one.
    """
    rows = are_under_pack(features)
    paid = np.flatnonzero(~found.inputs["outflow"])[rows]
    tenants, payers = (Spans.of(each).chosen(rows) for each in (found.tenant, found.payer))
    batch = SubjectBatch(
        found.inputs["event_ms"][paid].astype(np.int64),
        digests_of(tenants, payers, key),
        found.accounts[paid],
        facts_of(features[rows]),
        np.full(len(rows), np.nan),
    )
    return UnderPack(rows, batch, _positions(found, generation)[rows])


def digests_of(tenants: Texts, accounts: Texts, key: Key) -> NDArray[np.uint64]:
    """uint64[n, 2]: the digests of n accounts, each of a tenant."""
    parts: list[NDArray[np.uint8]] = [np.frombuffer(each.data, dtype=np.uint8) for each in (tenants, accounts)]
    ends = tenants.ends.astype(np.int64), accounts.ends.astype(np.int64) + len(parts[0])
    spans = [np.stack([each[:-1], each[1:]], axis=1) for each in ends]
    digests: NDArray[np.uint64] = digests_of_spans(np.concatenate(parts), *spans, key)
    return digests


def _positions(found: Handover, generation: int) -> NDArray[np.int64]:
    """int64[n], of all payments of a batch."""
    offsets = np.array([record.offset for record in found.records], dtype=np.int64)
    firsts = np.searchsorted(found.handed_in, found.handed_in, side="left")
    places = np.arange(len(found.handed_in)) - firsts
    log = min(generation, _GENERATIONS - 1) * _OFFSETS
    positions: NDArray[np.int64] = (log + offsets[found.handed_in]) * _PLACES + places
    return positions

"""What workers would serve for each payment of the handbook's data, labels among the payments."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.measures import Flags, Whole
from services.contract.errors import TocsinError
from services.contract.label import PaymentLabel
from services.ingest.files import MappedFile
from services.ingest.mapping_file import load_mapping
from services.ingest.rows import Ready
from services.scorer.path.features.definitions.labels import PAYEE_CONFIRMED, PAYER_CONFIRMED
from services.scorer.path.features.registry import INDEX, NAMES
from services.scorer.path.records import Record
from services.scorer.path.replay import Replay, label_record
from services.scorer.path.rules.ruleset import Ruleset
from services.workbench.handbook.handbook import DAY_SECONDS, DELAY_DAYS, Cards

BATCH = 2_000
CONFIRMED_NAMES: tuple[str, ...] = tuple(feature.name for feature in (*PAYER_CONFIRMED, *PAYEE_CONFIRMED))
DELAY_MS = 1_000 * DELAY_DAYS * DAY_SECONDS
PAYMENT, LABEL = 0, 1
"""Kinds of entry in a log."""

Share = Callable[[float], None]


class UnfitError(TocsinError, ValueError):
    """The file does not hold what the evaluation is of."""


def served_features(path: Path, cards: Cards, ruleset: Ruleset, share: Share) -> NDArray[np.float32]:
    """Replay the file, which holds ``cards``, through both hops.

    Each label is read exactly seven days after its payment; at the same second labels stand before payments.

    Returns
    -------
    float32[n, len(NAMES)], in the file's order.

    Raises
    ------
    UnfitError
        When a row does not become a decided payment.
    """
    walk = Walk(Replay(ruleset), cards.truth)
    with MappedFile(path, load_mapping("handbook"), labels=False) as rows:
        for row in rows:
            if not isinstance(row, Ready):
                raise UnfitError(f"{path}: {row}")
            walk.pay(row.event_time_ms, row.account.encode(), row.value)
            if walk.is_full:
                walk.measure()
                share(walk.measured / len(cards.seconds))
    walk.measure()
    if walk.measured != len(cards.seconds):
        raise UnfitError(f"{path}: {walk.measured} payments, not {len(cards.seconds)}")
    return walk.features


class Walk:
    """A replay of n payments in time order, ``truth`` (bool[n]) of which becomes known after seven days."""

    def __init__(self, replay: Replay, truth: Flags) -> None:
        self._replay, self._truth = replay, truth
        self._waiting: list[Record] = []
        self._start_ms = 0
        self._due: deque[PaymentLabel] = deque()
        self.features = np.empty((len(truth), len(NAMES)), dtype=np.float32)
        """float32[n, len(NAMES)], of the payments measured so far."""
        self.measured = 0

    @property
    def is_full(self) -> bool:
        """Whether it is time to ``measure``."""
        return len(self._waiting) >= BATCH

    def pay(self, event_ms: int, key: bytes, value: bytes) -> None:
        """Put a payment into the log, after the labels that are due by then."""
        if self._waiting and event_ms - self._start_ms >= DELAY_MS:
            self.measure()
        while self._due and self._due[0].event_time_ms + DELAY_MS <= event_ms:
            self._waiting.append(label_record(self._due.popleft()))
        if not self._waiting:
            self._start_ms = event_ms
        self._waiting.append(Record(0, event_ms, key, value))

    def measure(self) -> None:
        """Measure what stands in the log.

        Raises
        ------
        UnfitError
            When a payment is not decided, or there are more than n.
        """
        expected = sum(not record.headers for record in self._waiting)
        payments, features = self._replay.measure(self._waiting)
        at = self.measured
        if len(payments) != expected or at + expected > len(self.features):
            raise UnfitError(f"not every payment is decided, from row {at}")
        self.features[at : at + expected] = features
        amounts, over_cleared = (features[:, INDEX[name]].tolist() for name in ("amount", "payer_amount_over_cleared"))
        for payment, confirmed, amount, over in zip(
            payments, self._truth[at : at + expected].tolist(), amounts, over_cleared, strict=True
        ):
            self._due.append(
                PaymentLabel(
                    payment.payment_id,
                    payment.payer.account,
                    payment.payee.account,
                    payment.event_time_ms,
                    confirmed,
                    amount,
                    over,
                    payment.tenant,
                )
            )
        self.measured += expected
        self._waiting = []


def label_log(seconds: Whole) -> tuple[Whole, NDArray[np.uint8]]:
    """Merge payments with their labels, which come seven days later.

    Returns
    -------
    payment
        int64[2 n], the entry's payment.
    kinds
        uint8[2 n]: ``PAYMENT`` or ``LABEL``.
    """
    n = len(seconds)
    times = np.concatenate([seconds + DELAY_DAYS * DAY_SECONDS, seconds])
    order = np.argsort(times, kind="stable")
    kinds = np.where(order < n, LABEL, PAYMENT).astype(np.uint8)
    return (order % n).astype(np.int64), kinds


def varying(features: NDArray[np.float32], sample: Whole) -> Whole:
    """Positions of the features that are told and differ within ``sample`` (rows): the others teach nothing here."""
    part = features[sample]
    told = ~np.isnan(part).all(axis=0)
    lowest, highest = np.nanmin(part[:, told], axis=0), np.nanmax(part[:, told], axis=0)
    positions: Whole = np.flatnonzero(told)[highest > lowest]
    return positions

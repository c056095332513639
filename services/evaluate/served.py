"""What workers would serve for each payment of the handbook's data: the registry's features, and what labels say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.evaluate.handbook import DAY_SECONDS, DELAY_DAYS, Cards
from services.evaluate.measures import Whole
from services.ingest.files import MappedFile
from services.ingest.mapping import load_mapping
from services.ingest.rows import Ready
from services.scorer.path.confirmed import (
    AMOUNT_OVER_CLEARED,
    LABEL,
    PAYEE_CONFIRMED,
    PAYEE_CONFIRMED_ROW,
    PAYER_CONFIRMED,
    PAYER_CONFIRMED_ROW,
    PAYMENT,
    payee_confirmed,
    payer_confirmed,
)
from services.scorer.path.features import NAMES
from services.scorer.path.records import Record
from services.scorer.path.replay import Replay
from services.scorer.path.ruleset import Ruleset

BATCH = 2_000
CONFIRMED_NAMES: tuple[str, ...] = tuple(feature.name for feature in (*PAYER_CONFIRMED, *PAYEE_CONFIRMED))
_EPOCH_MS = 1_522_540_800_000
"""2018-04-01, day 0."""

Share = Callable[[float], None]


class UnfitError(ValueError):
    """The file does not hold what the evaluation is of."""


def registry_features(path: Path, ruleset: Ruleset, payments: int, share: Share) -> NDArray[np.float32]:
    """Replay the file through both hops.

    Returns
    -------
    float32[payments, len(NAMES)], in the file's order.

    Raises
    ------
    UnfitError
        When a row does not become a decided payment.
    """
    replay = Replay(ruleset)
    features = np.empty((payments, len(NAMES)), dtype=np.float32)
    at = 0

    def flush(records: list[Record]) -> None:
        nonlocal at
        _, measured = replay.measure(records)
        if len(measured) != len(records) or at + len(measured) > payments:
            raise UnfitError(f"{path}: not every payment is decided, from row {at}")
        features[at : at + len(measured)] = measured
        at += len(measured)
        share(at / payments)

    with MappedFile(path, load_mapping("handbook"), labels=False) as rows:
        records: list[Record] = []
        for row in rows:
            if not isinstance(row, Ready):
                raise UnfitError(f"{path}: {row}")
            records.append(Record(at + len(records), row.event_time_ms, row.account.encode(), row.value))
            if len(records) == BATCH:
                flush(records)
                records = []
        if records:
            flush(records)
    if at != payments:
        raise UnfitError(f"{path}: {at} payments, not {payments}")
    return features


def confirmed_features(cards: Cards) -> NDArray[np.float32]:
    """What labels say of payers and payees, each label read exactly seven days after its payment.

    At the same second labels stand before payments.

    Returns
    -------
    float32[n, len(CONFIRMED_NAMES)].
    """
    n = len(cards.seconds)
    payment, kinds = label_log(cards.seconds)
    event_ms = _EPOCH_MS + 1_000 * cards.seconds[payment]
    truth = cards.truth[payment]
    amounts = np.round(cards.amounts, 2)
    is_payment = kinds == PAYMENT
    rows = np.zeros(int(cards.customers.max()) + 1, PAYER_CONFIRMED_ROW).view(np.recarray)
    payer = payer_confirmed(rows, cards.customers[payment], kinds, event_ms, amounts[payment], truth)[is_payment]
    ratios = payer[:, AMOUNT_OVER_CLEARED]
    rows = np.zeros(int(cards.terminals.max()) + 1, PAYEE_CONFIRMED_ROW).view(np.recarray)
    payee = payee_confirmed(rows, cards.terminals[payment], kinds, event_ms, ratios[payment], truth)[is_payment]
    assert len(payer) == len(payee) == n
    return np.concatenate([payer, payee], axis=1, dtype=np.float32, casting="same_kind")


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

"""Drift: how far what is served has moved from a reference, and whether losses have risen. Pure.

**Population stability index** of one feature, reference against current window: ``sum((q - p) * ln(q / p))`` over bins,
``p`` and ``q`` being the bins' shares. Rule of thumb: below 0.1 nothing to see, up to 0.25 look at it, above it act
(Siddiqi, *Credit Risk Scorecards*, 2006). Without a shift its mean is about ``(B - 1) * (1/n + 1/m)`` for ``B`` filled
bins and ``n`` and ``m`` decisions (Yurdakul and Naranjo, *Statistical properties of the population stability index*,
2020): 0.01 for 4,000 against 4,000, so the rule holds for windows of a thousand and more.

**Bins** are cut at the reference's deciles, once. A decile is a value that the reference has, and what equals it has a
bin of its own, because half our features stand at one value most of the time (flags, counts of zero): ten bins between
the nine deciles and nine upon them. Missing is a bin too, so a field that senders leave empty is seen.

**Losses** are watched by ADWIN (Bifet and Gavaldà, *Learning from time-changing data with adaptive windowing*, 2007),
as River has it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import river
from msgspec import Struct
from numpy.typing import NDArray
from river import drift

DECILES = 9
MISSING = 2 * DECILES + 1
"""The bin of missing values, the last."""
BINS = MISSING + 1
PSEUDO_COUNT = 0.5
"""Added to each bin that either side fills, so that a bin which only one of them fills has a finite part."""

LOSS_MAX = 10.0
"""In nats. A loss beyond it counts as it: one label that the model was sure against is no drift."""
ADWIN_DELTA = 0.002
"""As in River: the share of wrong alarms that a single comparison may make, before its correction for many."""
ADWIN_CLOCK = 32
ADWIN_GRACE = 64
"""Losses of a stream before the first comparison."""
LATEST_LOSSES = 1_024
"""Of a stream, kept to say what losses have become when they change."""

DEFINITION: dict[str, Any] = {
    "loss_max": LOSS_MAX,
    "adwin_delta": ADWIN_DELTA,
    "adwin_clock": ADWIN_CLOCK,
    "adwin_grace": ADWIN_GRACE,
    "latest_losses": LATEST_LOSSES,
    "river": river.__version__,
}
"""All that decides which losses are an alarm."""

SCORE = "score"
"""The name under which the score is looked at, beside the features'."""

Floats: TypeAlias = NDArray[np.float64]
Counts: TypeAlias = NDArray[np.int64]
Kind: TypeAlias = Literal["loss", "feature", "score"]
KINDS: tuple[Kind, ...] = ("loss", "feature", "score")


class Alarm(Struct, frozen=True):
    """Something has moved. It names features, never a payment or an account."""

    kind: Kind
    event_time_ms: int
    """Of a loss the time of the label; of the others the end of the window."""
    about: str
    """Of a loss which examples: label and age of the label. Of the others the reference's name."""
    values: dict[str, float]
    """Of a loss ``before`` and ``after`` in nats; of the others the index by name of the feature, or of ``score``."""
    limit: float
    """What was crossed: an index, or of a loss ADWIN's delta."""


def deciles(sample: Floats) -> Floats:
    """float64[k, DECILES]: the deciles of each column of ``sample`` (float64[n, k]); NaN for a column without values.

    The lowest value with at least that share of the column's values at or below it.

    >>> deciles(np.arange(1.0, 11.0)[:, None])[0].tolist()
    [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]
    """
    out = np.full((sample.shape[1], DECILES), np.nan)
    for column, values in enumerate(sample.T):
        known = np.sort(values[~np.isnan(values)])
        if len(known):
            ranks = -(-len(known) * np.arange(1, DECILES + 1) // (DECILES + 1))  # rounded up: exact in whole numbers
            out[column] = known[ranks - 1]
    return out


def count_bins(table: Floats, edges: Floats) -> Counts:
    """int64[k, BINS]: how many of ``table`` (float64[n, k]) fall in each bin of ``edges`` (float64[k, DECILES]).

    A value's bin is the number of deciles below it plus the number not above it. Where the reference had no values at
    all, every value is of bin 0.
    """
    values = table[:, :, None]
    below = (edges < values).sum(axis=2) + (edges <= values).sum(axis=2)
    bins = np.where(np.isnan(table), MISSING, below)
    flat = bins + np.arange(len(edges)) * BINS
    return np.bincount(flat.ravel(), minlength=len(edges) * BINS).reshape(-1, BINS).astype(np.int64)


def stability_index(reference: Counts, current: Counts) -> Floats:
    """float64[k]: the population stability index of each row of ``current`` against ``reference``, int64[k, bins].

    Bins that neither side fills take no part; each other one gets ``PSEUDO_COUNT`` on both sides. NaN where a side has
    counted nothing.

    >>> same = np.array([[10, 30, 60]])
    >>> stability_index(same, same).tolist()
    [0.0]
    """
    filled = (reference + current) > 0
    shares = []
    for counts in (reference, current):
        smooth = np.where(filled, counts + PSEUDO_COUNT, 0.0)
        with np.errstate(invalid="ignore"):
            shares.append(smooth / smooth.sum(axis=1, keepdims=True))
    before, after = shares
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = np.where(filled, (after - before) * np.log(after / before), 0.0)
    counted = (reference.sum(axis=1) > 0) & (current.sum(axis=1) > 0)
    return np.where(counted, parts.sum(axis=1), np.nan)


def log_loss(score: float, label: bool) -> float:
    """What a score (log-odds) costs when the label comes: ``-ln`` of the probability that it gave the label, in nats.

    Never more than ``LOSS_MAX``.

    >>> log_loss(0.0, True) == math.log(2.0)
    True
    >>> log_loss(-1000.0, True), log_loss(-1000.0, False)
    (10.0, 0.0)
    """
    against = -score if label else score
    loss = against + math.log1p(math.exp(-against)) if against > 0.0 else math.log1p(math.exp(against))
    return min(loss, LOSS_MAX)


@dataclass(frozen=True, slots=True)
class Change:
    """The mean loss of a stream, in nats: of ADWIN's window before it was cut, and of the losses that made it cut."""

    before: float
    after: float


Packed: TypeAlias = tuple[bytes, bytes]
"""A stream at rest: ADWIN as River packs it, and its latest losses (float64, little-endian, oldest first)."""


class LossDrift:
    """One ADWIN for each stream of losses, begun when it is first heard of. The caller bounds the number of streams.

    Losses enter as shares of ``LOSS_MAX``, since ADWIN's bound is for values between 0 and 1. After a change a stream's
    detector begins afresh, as River's does. A fall is a change too: better news, and for the caller to tell. Which of
    the two it is ADWIN does not say (it drops its oldest bucket, whose own mean is chance), so the latest losses are
    kept.

    Parameters
    ----------
    state
        ``state`` of another: this one goes on exactly where that one stood.
    """

    def __init__(self, state: Mapping[str, Packed] | None = None) -> None:
        self._streams = {name: _Stream(packed) for name, packed in (state or {}).items()}

    def take(self, stream: str, loss: float) -> Change | None:
        """Take one loss (nats, 0 to ``LOSS_MAX``); the change that it completes, if it completes one."""
        found = self._streams.get(stream)
        if found is None:
            found = self._streams[stream] = _Stream()
        change = found.take(loss)
        if change is not None:
            self._streams[stream] = _Stream()
        return change

    def means(self) -> dict[str, float]:
        """Mean loss in nats of each stream since its last change; streams without losses are left out."""
        return {name: each.mean for name, each in self._streams.items() if each.latest}

    def state(self) -> dict[str, Packed]:
        """All that the detectors' future depends on, to the bit."""
        return {name: each.pack() for name, each in self._streams.items()}


class _Stream:
    def __init__(self, packed: Packed | None = None) -> None:
        self._adwin = drift.ADWIN(delta=ADWIN_DELTA, clock=ADWIN_CLOCK, grace_period=ADWIN_GRACE)
        losses: list[float] = []
        if packed is not None:
            self._adwin._helper.__setstate__(packed[0])  # River has no other way in; it is bytes of numbers
            losses = np.frombuffer(packed[1], dtype="<f8").tolist()
        self.latest: deque[float] = deque(losses, maxlen=LATEST_LOSSES)

    @property
    def mean(self) -> float:
        """Of ADWIN's window, in nats."""
        return float(self._adwin.estimation) * LOSS_MAX

    def take(self, loss: float) -> Change | None:
        before = self.mean
        self.latest.append(loss)
        self._adwin.update(loss / LOSS_MAX)
        return Change(before, _mean_since(before, np.array(self.latest))) if self._adwin.drift_detected else None

    def pack(self) -> Packed:
        return bytes(self._adwin._helper.__getstate__()), np.array(self.latest, dtype="<f8").tobytes()


def _mean_since(before: float, losses: Floats) -> float:
    """Mean of the latest losses, as many of them (``ADWIN_CLOCK`` at least) as differ most clearly from ``before``."""
    counts = np.arange(1, len(losses) + 1)
    sums = np.cumsum(losses[::-1] - before)
    clarity = (np.abs(sums) / np.sqrt(counts))[ADWIN_CLOCK - 1 :]
    at = ADWIN_CLOCK - 1 + int(np.argmax(clarity))
    return before + float(sums[at] / counts[at])

"""What labels say of an account equals its naive twin, which keeps everything that it was told."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

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

DAY_MS = 86_400_000
START_MS = 1_700_000_000_000
ACCOUNTS = 3


@dataclass(frozen=True)
class Entry:
    kind: int
    account: int
    event_ms: int
    value: float
    """The amount in a payer's log, the amount over cleared in a payee's."""
    confirmed: bool


@dataclass
class Twin:
    payments: list[tuple[int, float]] = field(default_factory=list)
    labels: list[tuple[int, float, bool]] = field(default_factory=list)

    def pay(self, event_ms: int, ratio: float) -> None:
        excess = max(math.log(ratio / 2), 0.0) if ratio > 0 else 0.0
        self.payments.append((max([event_ms, *(at for at, _ in self.payments)]), excess))

    def label(self, event_ms: int, value: float, confirmed: bool) -> None:
        self.labels.append((max([event_ms, *(at for at, _, _ in self.labels)]), value, confirmed))

    def now(self, event_ms: int) -> int:
        return max([event_ms, *(at for at, _ in self.payments), *(at for at, _, _ in self.labels)])

    def excess(self, event_ms: int, days: float) -> float:
        at = max([event_ms, *(each for each, _ in self.payments)])
        return sum(excess * _left(at - each, days) for each, excess in self.payments)

    def payer(self, event_ms: int, amount: float) -> list[float]:
        found = [at for at, _, confirmed in self.labels if confirmed]
        cleared = [(at, each) for at, each, confirmed in self.labels if not confirmed and not math.isnan(each)]
        mean, ratio, deviation = 0.0, 1.0, 0.0
        if len(cleared) >= 3:
            at_ms = self.labels[-1][0]
            weights = [_left(at_ms - at, 90) for at, _ in cleared]
            mean = sum(w * a for w, (_, a) in zip(weights, cleared, strict=True)) / sum(weights)
            variance = sum(w * (a - mean) ** 2 for w, (_, a) in zip(weights, cleared, strict=True)) / sum(weights)
            ratio = amount / max(mean, 0.01)
            deviation = (amount - mean) / max(math.sqrt(variance), 0.1 * mean + 0.01)
        if math.isnan(amount):
            ratio = deviation = math.nan
        return [
            _share(self.labels, 30),
            min((self.now(event_ms) - found[-1]) / DAY_MS, 365) if found else 365,
            mean, ratio, deviation,
            *(self.excess(event_ms, days) for days in (1, 7, 30)),
        ]  # fmt: skip

    def payee(self, event_ms: int) -> list[float]:
        now = self.now(event_ms)
        usual = [each for each in self.labels if not each[1] >= 2.5]
        cleared = [at for at, _, confirmed in usual if not confirmed]
        run: list[int] = []
        for at, _, confirmed in reversed(usual):
            if not confirmed:
                break
            run.insert(0, at)
        gap = 0.0
        if run:
            gap = min((run[0] - cleared[-1]) / DAY_MS, 365) if cleared else 365
        return [
            *(_share(self.labels, days) for days in (1, 7, 30)),
            _share(usual, 7),
            sum(_left(now - at, 30) for at, _, _ in usual),
            len(run),
            (now - run[0]) / DAY_MS if run else 0,
            gap,
            min((now - cleared[-1]) / DAY_MS, 365) if cleared else 0,
            *(self.excess(event_ms, days) for days in (1, 7)),
        ]


def _left(elapsed_ms: int, days: float) -> float:
    return float(2.0 ** (-elapsed_ms / DAY_MS / days))


def _share(labels: list[tuple[int, float, bool]], days: float) -> float:
    if not labels:
        return 0.0
    weights = [_left(labels[-1][0] - at, days) for at, _, _ in labels]
    return sum(w for w, (_, _, confirmed) in zip(weights, labels, strict=True) if confirmed) / sum(weights)


@st.composite
def entries(draw: st.DrawFn, values: st.SearchStrategy[float]) -> list[Entry]:
    """Payments and labels, mostly forward in time, some of them late."""
    found, at_ms = [], START_MS
    for _ in range(draw(st.integers(0, 40))):
        at_ms += draw(st.integers(-3 * DAY_MS, 20 * DAY_MS))
        kind = draw(st.sampled_from([PAYMENT, LABEL, LABEL]))
        account = draw(st.integers(0, ACCOUNTS - 1))
        found.append(Entry(kind, account, at_ms, draw(values), draw(st.booleans())))
    return found


AMOUNTS = st.one_of(st.integers(0, 500_00).map(lambda minor: minor / 100), st.just(math.nan))
RATIOS = st.one_of(st.sampled_from([0.0, 1.0, 2.0, 2.4, 2.5, 7.5]), st.floats(0.01, 50), st.just(math.nan))


def columns(log: list[Entry]) -> tuple[Any, ...]:
    return (
        np.array([each.account for each in log], dtype=np.int64),
        np.array([each.kind for each in log], dtype=np.uint8),
        np.array([each.event_ms for each in log], dtype=np.int64),
        np.array([each.value for each in log], dtype=np.float64),
        np.array([each.confirmed for each in log], dtype=np.bool_),
    )


def rows(dtype: np.dtype[Any]) -> Any:
    return np.zeros(ACCOUNTS, dtype).view(np.recarray)


def assert_equal(kernel: NDArray[np.float64], twin: list[list[float]], names: list[str]) -> None:
    for at, expected in enumerate(twin):
        for name, one, other in zip(names, kernel[at].tolist(), expected, strict=True):
            assert one == pytest.approx(other, rel=1e-6, abs=1e-6, nan_ok=True), (at, name)


@settings(deadline=None, max_examples=150)
@given(entries(AMOUNTS))
def test_payers_rows_equal_their_twin(log: list[Entry]) -> None:
    twins = [Twin() for _ in range(ACCOUNTS)]
    expected: list[list[float]] = []
    for each in log:
        twin = twins[each.account]
        if each.kind == LABEL:
            twin.label(each.event_ms, each.value, each.confirmed)
            expected.append([math.nan] * len(PAYER_CONFIRMED))
        else:
            expected.append(twin.payer(each.event_ms, each.value))
            twin.pay(each.event_ms, expected[-1][AMOUNT_OVER_CLEARED])
    kernel = payer_confirmed(rows(PAYER_CONFIRMED_ROW), *columns(log))
    assert_equal(kernel, expected, [feature.name for feature in PAYER_CONFIRMED])


@settings(deadline=None, max_examples=150)
@given(entries(RATIOS))
def test_payees_rows_equal_their_twin(log: list[Entry]) -> None:
    twins = [Twin() for _ in range(ACCOUNTS)]
    expected: list[list[float]] = []
    for each in log:
        twin = twins[each.account]
        if each.kind == LABEL:
            twin.label(each.event_ms, each.value, each.confirmed)
            expected.append([math.nan] * len(PAYEE_CONFIRMED))
        else:
            expected.append(twin.payee(each.event_ms))
            twin.pay(each.event_ms, each.value)
    kernel = payee_confirmed(rows(PAYEE_CONFIRMED_ROW), *columns(log))
    assert_equal(kernel, expected, [feature.name for feature in PAYEE_CONFIRMED])


@settings(deadline=None, max_examples=30)
@given(entries(RATIOS), st.integers(0, 40))
def test_batches_change_nothing(log: list[Entry], cut: int) -> None:
    whole, halves = rows(PAYEE_CONFIRMED_ROW), rows(PAYEE_CONFIRMED_ROW)
    at_once = payee_confirmed(whole, *columns(log))
    in_two = np.concatenate([payee_confirmed(halves, *columns(part)) for part in (log[:cut], log[cut:])])
    assert np.array_equal(at_once, in_two, equal_nan=True)
    assert whole.tobytes() == halves.tobytes()


def test_a_compromised_payee_shows_its_run_and_since_when() -> None:
    log = [
        Entry(LABEL, 0, START_MS, 1.0, False),
        Entry(LABEL, 0, START_MS + 2 * DAY_MS, 1.0, True),
        Entry(LABEL, 0, START_MS + 3 * DAY_MS, 9.0, False),  # too large for its payer: says nothing of the payee
        Entry(LABEL, 0, START_MS + 4 * DAY_MS, 1.0, True),
        Entry(PAYMENT, 0, START_MS + 11 * DAY_MS, 1.0, False),
    ]
    served = payee_confirmed(rows(PAYEE_CONFIRMED_ROW), *columns(log))[-1]
    values = dict(zip((feature.name for feature in PAYEE_CONFIRMED), served.tolist(), strict=True))
    assert values["payee_confirmed_run"] == 2
    assert values["payee_confirmed_run_age"] == 9
    assert values["payee_confirmed_run_gap"] == 2
    assert values["payee_cleared_gap"] == 11

"""The second round equals a twin that looks at whole histories, however payments are cut into batches."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from services.contract.units import DAY_MS
from services.scorer.path.subjects.facts import HALF_LIFE_MS, PAYERS
from services.scorer.path.subjects.leads import PAYEE_LEADS, PAYER_LEADS, RISK_LEAST, RISK_SPAN, Leads, Risks

START_MS = 1_750_000_000_000


def payments(count: int, seed: int, payers: int = 40, payees: int = 12) -> Risks:
    """In nearly the order of time, some of them late."""
    draw = np.random.default_rng(seed)
    event_ms = START_MS + np.cumsum(draw.integers(0, 3 * DAY_MS, size=count))
    event_ms -= np.where(draw.random(count) < 0.1, draw.integers(0, 9 * DAY_MS, size=count), 0)
    digests = [np.zeros((count, 2), dtype=np.uint64) for _ in range(2)]
    for each, most, side in zip(digests, (payers, payees), (1, 2), strict=True):
        each[:, 0] = draw.integers(1, most + 1, size=count)
        each[:, 1] = side
    worth = [draw.normal(-4.0, spread, size=count) for spread in (4.0, 2.0)]
    return Risks(event_ms, digests[0], digests[1], worth[0], worth[1])


def part(risks: Risks, start: int, stop: int) -> Risks:
    """Some of them."""
    return Risks(*(np.ascontiguousarray(each[start:stop]) for each in risks))


class Twin:
    """Keeps every payment, and computes from all of them what is known after each."""

    def __init__(self) -> None:
        self.left: dict[int, list[tuple[int, float, int]]] = {}
        self.heard: dict[int, list[tuple[int, list[float]]]] = {}
        self.latest: dict[int, int] = {}

    def take(self, event_ms: int, payer: int, payee: int, risk: float, payee_risk: float) -> tuple[list[float], ...]:
        """Rows of payer and payee after a payment."""
        now_ms = self.latest[payee] = max(event_ms, self.latest.get(payee, 0))
        known = self.left.setdefault(payee, [])
        others = self._read([each for each in self._last(known) if each[0] != payer], now_ms)
        known.append((payer, risk, now_ms))
        heard = self.heard.setdefault(payer, [])
        effective_ms = max(event_ms, heard[-1][0] if heard else event_ms)
        heard.append((effective_ms, [others[0], others[1], others[3], payee_risk]))
        of_payer = [risk]
        for j in range(4):
            told = [(at, values[j]) for at, values in heard if not math.isnan(values[j])]
            weights = [0.5 ** ((effective_ms - at) / HALF_LIFE_MS) for at, _ in told]
            mean = (
                sum(w * value for w, (_, value) in zip(weights, told, strict=True)) / sum(weights) if told else math.nan
            )
            of_payer += [mean, max((value for _, value in told), default=math.nan)]
        return of_payer, [payee_risk, *self._read(self._last(known), now_ms), risk]

    @staticmethod
    def _last(known: list[tuple[int, float, int]]) -> list[tuple[int, float, int]]:
        """Of each of the last ``PAYERS`` payers the latest."""
        latest: dict[int, tuple[int, float, int]] = {}
        for each in reversed(known):
            latest.setdefault(each[0], each)
        return list(latest.values())[:PAYERS]

    @staticmethod
    def _read(left: list[tuple[int, float, int]], now_ms: int) -> list[float]:
        risks = [
            RISK_LEAST + min(max(risk - RISK_LEAST, 0.0), RISK_SPAN) * 0.5 ** ((now_ms - ms) / HALF_LIFE_MS)
            for _, risk, ms in left
        ]
        if not risks:
            return [math.nan, math.nan, 0.0, 0.0]
        return [
            max(risks),
            sum(risks) / len(risks),
            sum(1 / (1 + math.exp(-each)) for each in risks),
            float(len(risks)),
        ]


@pytest.mark.parametrize("seed", range(3))
def test_the_second_round_equals_its_twin(seed: int) -> None:
    risks, twin, leads = payments(600, seed), Twin(), Leads()
    of_payers, of_payees = leads.add_up(risks)
    for i in range(len(risks.event_ms)):
        expected = twin.take(
            int(risks.event_ms[i]), int(risks.payers[i, 0]), int(risks.payees[i, 0]), risks.payer[i], risks.payee[i]
        )
        assert np.allclose(of_payers[i], expected[0], rtol=1e-9, atol=1e-9, equal_nan=True), i
        assert np.allclose(of_payees[i], expected[1], rtol=1e-9, atol=1e-9, equal_nan=True), i


@pytest.mark.parametrize("cut", [1, 7, 599])
def test_the_cut_into_batches_changes_nothing(cut: int) -> None:
    risks, whole = payments(600, 9), Leads()
    expected = whole.add_up(risks)
    leads = Leads()
    found = [leads.add_up(part(risks, start, start + cut)) for start in range(0, 600, cut)]
    for at in range(2):
        assert np.array_equal(np.concatenate([each[at] for each in found]), expected[at], equal_nan=True)


def test_what_is_known_of_a_subject_is_named() -> None:
    of_payers, of_payees = Leads().add_up(payments(3, 1))
    assert (of_payers.shape[1], of_payees.shape[1]) == (len(PAYER_LEADS), len(PAYEE_LEADS))


def test_a_payer_never_hears_of_itself() -> None:
    """One payer, whatever its risk: others' risk is not told."""
    risks = payments(50, 4, payers=1)
    of_payers, _ = Leads().add_up(risks)
    others: NDArray[np.float64] = of_payers[:, 1:5]
    assert np.isnan(others).all()


def test_risk_stops_at_the_second_round() -> None:
    """A leaves its risk at X; B hears of it there and pays Y; C pays Y and hears B's own risk, not A's."""

    def digests(*names: int) -> NDArray[np.uint64]:
        return np.array([(name, 7) for name in names], dtype=np.uint64)

    times = START_MS + np.arange(3) * DAY_MS
    rows = [
        Leads().add_up(
            Risks(times, digests(1, 2, 3), digests(10, 10, 11), np.array([risk, -6.0, -6.0]), np.full(3, -6.0))
        )
        for risk in (-6.0, 9.0)
    ]
    assert not np.array_equal(rows[0][0][1], rows[1][0][1], equal_nan=True)
    assert np.array_equal(rows[0][0][2], rows[1][0][2], equal_nan=True)

"""Countries, currencies and money: what is sent, and what arrives."""

from __future__ import annotations

import numpy as np

from services.contract.codes import CURRENCY_EXPONENT
from services.generator.chance import Bools, Choice, Floats, Ints, generator
from services.generator.parameters import Parameters
from services.generator.rows import Rows

_SWAP_SOURCE = 200
NOT_ROUND, ROUND_SENT, ROUND_RECEIVED = range(3)


class Places:
    """The countries of a run: homes first, destinations after them. A place is an index into both.

    By a ``swap_seed`` destinations are permuted: place ``p`` is told as ``told[p]``, and received money follows.
    """

    def __init__(self, parameters: Parameters, swap_seed: int | None = None) -> None:
        homes, destinations = parameters.homes, parameters.destinations
        self.codes = [*homes, *destinations]
        self.homes_count = len(homes)
        laws = [*homes.values(), *destinations.values()]
        self.currencies = sorted(parameters.rates_per_eur)
        self.currency: Ints = np.array([self.currencies.index(law.currency) for law in laws], dtype=np.int64)
        self.offset_minutes: Ints = np.array([law.offset_minutes for law in laws], dtype=np.int64)
        self.rate: Floats = np.array([parameters.rates_per_eur[law.currency] for law in laws], dtype=np.float64)
        self.level: Floats = np.array([law.level for law in laws], dtype=np.float64)
        self.minor: Floats = np.array([10.0 ** CURRENCY_EXPONENT[law.currency] for law in laws])
        self.unit: Floats = np.power(10.0, np.round(np.log10(self.rate)))
        self.step_received: Floats = np.array([_nice(7.5 * rate) for rate in self.rate], dtype=np.float64)
        self.home_choice = Choice(range(len(homes)), [law.weight for law in homes.values()])
        abroad = range(len(homes), len(laws))
        self.destination_choice = Choice(abroad, [law.weight for law in destinations.values()])
        self.told = np.arange(len(laws), dtype=np.int64)
        if swap_seed is not None:
            self.told[len(homes) :] = _moved(np.arange(len(homes), len(laws)), swap_seed)
        self._fee = parameters.fee

    def fill_money(
        self, rows: Rows, eur: Floats, sender: Ints, receiver: Ints, rounding: Ints | int, tell: Bools | bool
    ) -> None:
        """Set the amounts and currencies of ``rows`` that send ``eur`` from place ``sender`` to ``receiver``.

        ``rounding`` is one of ``NOT_ROUND``, ``ROUND_SENT``, ``ROUND_RECEIVED``; ``tell`` says whether the received
        amount is told at all. What is sent does not depend on a swap.
        """
        abroad = self.currency[sender] != self.currency[receiver]
        units = eur * self.rate[sender]
        step = self._step_sent(units, sender)
        units = np.where(rounding == ROUND_SENT, np.maximum(np.round(units / step), 1.0) * step, units)
        step = self.step_received[receiver]
        arriving = np.maximum(np.round(eur * (1.0 - self._fee) * self.rate[receiver] / step), 1.0) * step
        by_arrival = arriving / (1.0 - self._fee) / self.rate[receiver] * self.rate[sender]
        units = np.where((rounding == ROUND_RECEIVED) & abroad, by_arrival, units)
        amount = np.maximum(np.round(units * self.minor[sender]), 0.0)
        rows["amount"] = amount.astype(np.int64)
        rows["currency"] = self.currency[sender]
        self._fill_received(rows, amount / self.minor[sender] / self.rate[sender], receiver, rounding, tell & abroad)

    def _fill_received(self, rows: Rows, eur: Floats, receiver: Ints, rounding: Ints | int, tell: Bools) -> None:
        told = self.told[receiver]
        units, step = eur * (1.0 - self._fee) * self.rate[told], self.step_received[told]
        units = np.where(rounding == ROUND_RECEIVED, np.maximum(np.round(units / step), 1.0) * step, units)
        rows["received"] = np.where(tell, np.round(units * self.minor[told]), -1).astype(np.int64)
        rows["received_currency"] = np.where(tell, self.currency[told], -1)

    def _step_sent(self, units: Floats, sender: Ints) -> Floats:
        unit = self.unit[sender]
        size = units / unit
        return np.select([size < 45.0, size < 150.0, size < 400.0], [5.0, 10.0, 20.0], 50.0) * unit

    def eur_of(self, rows: Rows) -> Floats:
        """The sent amounts in EUR, shape ``(n,)``."""
        rate, minor = np.zeros(len(self.currencies)), np.ones(len(self.currencies))
        rate[self.currency], minor[self.currency] = self.rate, self.minor
        eur: Floats = rows["amount"] / minor[rows["currency"]] / rate[rows["currency"]]
        return eur


def _nice(value: float) -> float:
    """The nearest of 1, 2, 5 times a power of ten.

    >>> _nice(495.0), _nice(7.5), _nice(283.0)
    (500.0, 10.0, 200.0)
    """
    power = 10.0 ** np.floor(np.log10(value))
    steps = np.array([1.0, 2.0, 5.0, 10.0]) * power
    return float(steps[np.argmin(np.abs(np.log(steps / value)))])


def _moved(places: Ints, seed: int) -> Ints:
    """A permutation of ``places`` that leaves none where it was: one cycle in drawn order."""
    order = generator(seed, _SWAP_SOURCE).permutation(len(places))
    moved = np.empty_like(places)
    moved[order] = places[np.roll(order, 1)]
    return moved

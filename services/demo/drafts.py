"""What populations and typologies hand over: drafts of payments, and how sums of money become amounts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from services.contract.types import Status
from services.demo.population import HOMES, Accounts, Floats, Ints


class Draft(NamedTuple):
    """A payment before it has an id: accounts are rows of ``Accounts``, ``minor`` is in the payer's currency."""

    time_ms: int
    payer: int
    payee: int
    minor: int
    rail: str
    reference: str | None = None
    purpose: str | None = None
    category: str | None = None
    status: Status = "accepted"
    device: int = 0
    """Of another device than the payer's own; 0: the own one."""
    steady: bool = False
    """Whether the payer pays seldom enough for repeats and changes of status to be recognised as such."""
    typology: str = ""
    """The truth, which never leaves with the payment."""


_RATES = np.array([home.rate for home in HOMES])
_STEPS = np.array([10.0 if home.rate > 5 else 1.0 for home in HOMES])
"""What one EUR's worth of a round sum is in the currency: people round kronor to tens."""
EXPONENT = 2
"""All home currencies have two decimals."""


def minor_units(eur: Floats, homes: Ints, step: Floats) -> Ints:
    """Sums in EUR as minor units of each home's currency, rounded to a multiple of ``step`` EUR's worth (0: cents).

    >>> minor_units(np.array([24.4, 24.4]), np.array([0, 1]), np.array([5.0, 0.0])).tolist()
    [25000, 2440]
    """
    units = eur * _RATES[homes]
    steps = step * _STEPS[homes]
    rounded = np.where(steps > 0, np.maximum(1.0, np.round(units / np.where(steps > 0, steps, 1.0))) * steps, units)
    minor: Ints = np.round(rounded * 10**EXPONENT).astype(np.int64)
    return minor


def minor_of(accounts: Accounts, payer: int, eur: float, step: float = 0.0) -> int:
    """One sum in EUR as minor units of the payer's currency."""
    return int(minor_units(np.array([eur]), np.array([accounts.homes[payer]]), np.array([step]))[0])

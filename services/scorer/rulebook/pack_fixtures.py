"""The fixtures of a pack: short synthetic histories after whose last payment it must, or must not, speak.

``positive*.ndjson`` and ``lookalike*.ndjson`` of a pack's folder hold one history each: canonical payments, one a line,
in time order. Packs are asked without a model. What computes features is given, so that any engine can be asked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources.abc import Traversable

import numpy as np
from numpy.typing import NDArray

from services.contract.codec import Rejection, decode_payment
from services.contract.decision import Finding
from services.contract.payment import Payment
from services.scorer.path.features.registry import FEATURES
from services.scorer.path.rules.pack import Packs
from services.scorer.path.rules.pack_format import ROLES, Pack, PackError

FeaturesOfHistory = Callable[[Sequence[Payment]], NDArray[np.float64]]
"""From a history in time order to float64[n, k], the features of each payment as they would be served."""

_SPEAKS = {"positive": True, "lookalike": False}


@dataclass(frozen=True, slots=True)
class Fixture:
    """One history, and whether the pack is to speak of its last payment."""

    name: str
    speaks: bool
    payments: tuple[Payment, ...]


@dataclass(frozen=True, slots=True)
class FixtureResult:
    """What the pack said of the last payment of a fixture: the findings that ask for a review."""

    fixture: Fixture
    findings: tuple[Finding, ...]
    spoke_at: tuple[int, ...]
    """The positions of all payments of which the pack spoke."""

    @property
    def passed(self) -> bool:
        """A positive is spoken of at its last payment; of a look-alike no payment at all."""
        return bool(self.findings) if self.fixture.speaks else not self.spoke_at


def read_fixtures(folder: Traversable) -> tuple[Fixture, ...]:
    """The fixtures of a pack's folder, positives first.

    Raises
    ------
    PackError
        When there is no positive or no look-alike, or a line is no payment or out of order. It names file and line.
    """
    files = {each.name: each for each in folder.iterdir() if each.name.endswith(".ndjson")}
    fixtures = []
    for kind, speaks in _SPEAKS.items():
        names = sorted(name for name in files if name.startswith(kind))
        if not names:
            raise PackError(f"{folder.name}: there is no {kind}.ndjson")
        for name in names:
            payments = _payments(name, files.pop(name).read_text("utf-8"))
            fixtures.append(Fixture(name.removesuffix(".ndjson"), speaks, payments))
    if files:
        raise PackError(f"{folder.name}: {min(files)}: the names of fixtures begin with positive or lookalike")
    return tuple(fixtures)


def run_fixtures(
    pack: Pack, fixtures: Sequence[Fixture], features_of_history: FeaturesOfHistory
) -> tuple[FixtureResult, ...]:
    """What ``pack`` says of each fixture, with features from ``features_of_history``."""
    packs = Packs((pack,))
    return tuple(_run(packs, fixture, features_of_history(fixture.payments)) for fixture in fixtures)


def _run(packs: Packs, fixture: Fixture, features: NDArray[np.float64]) -> FixtureResult:
    wanted = (len(fixture.payments), len(FEATURES))
    if features.shape != wanted:
        raise ValueError(f"{fixture.name}: features of shape {features.shape} for a history of {wanted}")
    results = packs.evaluate(features, np.zeros(wanted[0]))
    spoke_at = np.flatnonzero(results.review.any(axis=(1, 2))).tolist()
    last = wanted[0] - 1
    findings = [
        packs.finding(results, last, 0, role) for side, role in enumerate(ROLES) if results.review[last, 0, side]
    ]
    return FixtureResult(fixture, tuple(findings), tuple(spoke_at))


def _payments(name: str, text: str) -> tuple[Payment, ...]:
    payments: list[Payment] = []
    for number, line in enumerate(text.splitlines(), 1):
        payment = decode_payment(line.encode())
        if isinstance(payment, Rejection):
            raise PackError(f"{name}: line {number}: {payment.field}: {payment.detail}")
        if payments and payment.event_time_ms < payments[-1].event_time_ms:
            raise PackError(f"{name}: line {number}: earlier than the line before")
        payments.append(payment)
    if len({payment.payment_id for payment in payments}) != len(payments) or not payments:
        raise PackError(f"{name}: a history needs payments, each with an id of its own")
    return tuple(payments)

"""Payments to measure on: seeded, about 330 bytes of JSON each, one a minute."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from services.contract.types import Party, Payment

_START_MS = 1_700_000_000_000
_STEP_MS = 60_000


def bench_payments(count: int, seed: int = 1) -> Iterator[Payment]:
    """``count`` payments of ``count // 6`` payers to ``count // 8`` payees, a few of these as busy as shops."""
    rng = np.random.default_rng(seed)
    payers = rng.integers(0, max(count // 6, 10), count)
    payees = _busy_and_quiet(rng, count, max(count // 8, 10))
    amounts = np.maximum(rng.lognormal(8.0, 1.0, count), 1.0).astype(np.int64)
    for i, (payer, payee, amount) in enumerate(zip(payers.tolist(), payees.tolist(), amounts.tolist(), strict=True)):
        yield Payment(
            payment_id=f"bench-{seed}-{i:09d}",
            event_time_ms=_START_MS + i * _STEP_MS,
            amount_minor=amount,
            currency="EUR",
            payer=Party(f"SE45{payer:020d}", country="SE", agent="BANKSESS"),
            payee=Party(f"PH29{payee:020d}", country="PH"),
            utc_offset_minutes=60,
            rail="wallet",
            reference="invoice 2025" if i % 3 else None,
        )


def _busy_and_quiet(rng: np.random.Generator, count: int, accounts: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Account numbers, half of them drawn evenly and half by a Zipf law."""
    even = rng.integers(0, accounts, count)
    busy = rng.zipf(1.3, count) % accounts
    return np.where(rng.random(count) < 0.5, even, busy)

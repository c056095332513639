"""Filling state with accounts, and drawing payments among them."""

from __future__ import annotations

from mmap import mmap

import numpy as np
import pytest

from services.bench.accounts import BATCH, SIZES, Bank, available_bytes, resident_bytes, zipf
from services.runtime.settings import load_settings


def test_every_account_of_a_filled_bank_is_there_once() -> None:
    bank = Bank(load_settings(), "boosting", 3_000)
    bank.fill(3_000, 100)
    assert (len(bank.payer.state), len(bank.payee.state)) == (3_000, 100)


def test_more_payments_among_the_same_accounts_make_no_account() -> None:
    bank, rng = Bank(load_settings(), "boosting", 3_000), np.random.default_rng(1)
    bank.fill(3_000, 3_000)
    cost = bank.pay(zipf(rng, 3_000, BATCH), zipf(rng, 3_000, BATCH))
    assert (len(bank.payer.state), len(bank.payee.state)) == (3_000, 3_000)
    assert min(cost) > 0.0


def test_no_payment_of_the_bank_is_reviewed() -> None:
    """Reviews cost several times a payment, and busy accounts would have more of them among few accounts."""
    bank, rng = Bank(load_settings(), "boosting", 1_000), np.random.default_rng(1)
    bank.fill(1_000, 1_000)
    for _ in range(3):
        bank.pay(zipf(rng, 1_000, BATCH), zipf(rng, 1_000, BATCH))
    assert bank.reviews == 0


@pytest.mark.parametrize("accounts", SIZES[:2])
def test_draws_follow_zipf_over_all_accounts(accounts: int) -> None:
    """The busiest has one in so many that the shares ``1 / rank`` add up to, the second half of that."""
    drawn = zipf(np.random.default_rng(2), accounts, 200_000)
    assert drawn.min() >= 0
    assert drawn.max() < accounts
    counts = np.sort(np.bincount(drawn, minlength=accounts))[::-1] / len(drawn)
    whole = (1.0 / np.arange(1, accounts + 1)).sum()
    assert counts[0] == pytest.approx(1.0 / whole, rel=0.1)
    assert counts[1] == pytest.approx(0.5 / whole, rel=0.1)


@pytest.mark.parametrize("accounts", SIZES[:2])
def test_scattered_ranks_stay_apart(accounts: int) -> None:
    """Where two ranks fell on one account, some accounts would never be drawn."""

    class EachRank(np.random.Generator):
        def random(self, count: int) -> object:  # type: ignore[override]
            shares = np.cumsum(1.0 / np.arange(1, count + 1))
            return (shares - 0.5 / np.arange(1, count + 1)) / shares[-1]

    assert len(np.unique(zipf(EachRank(np.random.PCG64(1)), accounts, accounts))) == accounts


def test_memory_is_read_from_the_kernel() -> None:
    """By pages mapped anew: what the allocator hands out may be memory that it kept, and that was resident before."""
    size = 64_000_000
    before = resident_bytes()
    with mmap(-1, size) as pages:
        pages.write(b"\1" * size)
        assert resident_bytes() - before > 0.9 * size
    assert available_bytes() > size

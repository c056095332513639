"""What accounts cost: memory, time to restore, and whether a payment costs more when there are many of them.

All of it is the pure path, without Kafka. Each measurement runs in a process of its own, so that what it holds is gone
after it, and nothing that others freed is reused.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from services.bench.champion import champion_of
from services.bench.figures import growth_of
from services.bench.plan import ChampionKind
from services.contract.units import DAY_MS
from services.runtime.settings import Settings
from services.scorer.path.hops import PayeeHop, PayerHop
from services.scorer.path.records import Record
from services.scorer.rulebook.ruleset_file import load_ruleset

R = TypeVar("R")
Log = dict[bytes, bytes | None]

BATCH = 2_000
WARM_BATCHES, MEASURED_BATCHES = 10, 40
FEW = 1_000
"""Accounts of the side that is not measured, and of a state before it is filled."""
START_MS = 1_750_000_000_000
"""Event time of the first payment."""
PERIOD_MS = 10 * DAY_MS
"""Event time in which an account pays once on average, however many there are."""
SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
"""Accounts of each side at which a payment's cost is measured."""
RESTORED_AT_ONCE = 5_000
GROWING = 1.7
"""Times what a state occupies that is needed while it grows: copies are made of it."""
SCATTER = 2_654_435_761
"""Coprime to every size: the busiest accounts lie all over the state."""
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_PAYMENT = (
    b'{"payment_id":"p%013d","event_time_ms":%d,"amount_minor":%d,"currency":"EUR",'
    b'"payer":{"account":"payer-%010d","country":"DE","opened_ms":1400000000000},'
    b'"payee":{"account":"payee-%010d","country":"DE","opened_ms":1400000000000},'
    b'"rail":"card","merchant_category":"5411"}'
)
"""A shop's customer: the busiest accounts would else be reviewed, and a review costs more than what is measured."""


class Cost(NamedTuple):
    """CPU seconds of each hop."""

    payer_s: float
    payee_s: float


class Bank:
    """Both hops of a deployment of one partition, and payments for them: account ``n`` is the n-th of its side, of
    which there are ``accounts``."""

    def __init__(self, settings: Settings, champion: ChampionKind, accounts: int, keeps_logs: bool = True) -> None:
        ruleset = load_ruleset(settings)
        self.model = champion_of(champion, settings)
        self.payer, self.payee = PayerHop(ruleset, "", 0, 1), PayeeHop(ruleset, "", 0, 1, 1)
        self._every = settings.checkpoint_payments
        self._payments = self._handed_over = self.reviews = 0
        self.logs: tuple[Log, Log] = {}, {}
        """The changelogs of payers and payees, compacted, if they are kept."""
        self._keeps_logs = keeps_logs
        self._step_ms = max(1, PERIOD_MS // accounts)

    def pay(self, payers: NDArray[np.int64], payees: NDArray[np.int64]) -> Cost:
        """Process a batch of payments between accounts (both int64[n]); checkpoints come as a worker writes them."""
        records = self._records(payers, payees)
        began_s = time.process_time()
        forwarded = self.payer.process(records, self.model)
        is_due = self._payments // self._every > (self._payments - len(records)) // self._every
        if is_due:
            self._log(0, self.payer.state.checkpoint(self._payments))
        payer_s = time.process_time() - began_s
        handed_over = [
            Record(offset, each.timestamp, each.key, each.value, each.headers)
            for offset, each in enumerate(forwarded.outputs["payments_by_payee"], self._handed_over)
        ]
        self._handed_over += len(handed_over)
        began_s = time.process_time()
        decided = self.payee.process(handed_over, self.model)
        if is_due:
            self._log(1, self.payee.state.checkpoint(self._handed_over))
        payee_s = time.process_time() - began_s
        self.reviews += decided.counts["review"]
        return Cost(payer_s, payee_s)

    def _log(self, side: int, entries: Iterable[tuple[bytes, bytes | None]]) -> None:
        if self._keeps_logs:
            _write(self.logs[side], entries)

    def fill(self, payers: int, payees: int) -> None:
        """One payment at least of each of the first ``payers`` and of the first ``payees`` accounts."""
        for first in range(0, max(payers, payees), BATCH):
            numbers = np.arange(first, first + BATCH)
            self.pay(numbers % payers, numbers % payees)

    @property
    def logged_bytes(self) -> int:
        """Bytes of the changelogs, which a broker would keep."""
        return sum(len(value or b"") for log in self.logs for value in log.values())

    def _records(self, payers: NDArray[np.int64], payees: NDArray[np.int64]) -> list[Record]:
        records = []
        for offset, (payer, payee) in enumerate(zip(payers.tolist(), payees.tolist(), strict=True), self._payments):
            event_ms = START_MS + self._step_ms * offset
            value = _PAYMENT % (offset, event_ms, 1_000 + 37 * offset % 90_000, payer, payee)
            records.append(Record(offset, event_ms, b"payer-%010d" % payer, value))
        self._payments += len(records)
        return records


def _write(log: Log, entries: Iterable[tuple[bytes, bytes | None]]) -> None:
    for key, value in entries:
        log.pop(key, None)
        if value is not None:
            log[key] = value


def zipf(rng: np.random.Generator, accounts: int, count: int) -> NDArray[np.int64]:
    """int64[count]: accounts drawn with probabilities as ``1 / rank`` (Zipf's law, exponent 1), ranks scattered."""
    shares = np.cumsum(1.0 / np.arange(1, accounts + 1))
    ranks = np.searchsorted(shares, rng.random(count) * shares[-1])
    scattered: NDArray[np.int64] = ranks.astype(np.int64) * SCATTER % accounts
    return scattered


def measure_accounts(settings: Settings, champion: ChampionKind, accounts: int, core: int | None) -> dict[str, Any]:
    """``memory_bytes_per_account`` of each side, by what the process grew as ``accounts`` of them came, and
    ``restore_seconds_per_million_accounts``: as long as the state takes to apply its own changelog, both sides one
    after the other, without the reading of it from Kafka."""
    payer = alone(core, _filled, settings, champion, (accounts, FEW))
    payee = alone(core, _filled, settings, champion, (FEW, accounts))
    return {
        "memory_bytes_per_account": {"payer": round(payer[0]), "payee": round(payee[0]), "accounts": accounts},
        "restore_seconds_per_million_accounts": round(1e6 * (payer[1] + payee[1]) / accounts, 2),
    }


def measure_growth(settings: Settings, champion: ChampionKind, accounts_max: int, core: int | None) -> dict[str, Any]:
    """CPU microseconds a payment of both hops' pure path, by the number of accounts of each side, up to
    ``accounts_max``; and how many times the least the most is. A size for which there is no memory is ``skipped``."""
    costs: dict[int, float] = {}
    skipped: dict[int, dict[str, str]] = {}
    bytes_an_account = 0.0
    for size in SIZES:
        needed = GROWING * bytes_an_account * size
        if size > accounts_max:
            skipped[size] = {"skipped": "more accounts than --accounts asks for"}
        elif needed > available_bytes():
            why = f"{needed / 1e9:.0f} GB of memory needed, {available_bytes() / 1e9:.0f} GB available"
            skipped[size] = {"skipped": why}
        else:
            cost, bytes_an_account = alone(core, _grown, settings, champion, size)
            costs[size] = round(cost, 2)
    figures = {str(size): figure for size, figure in {**costs, **skipped}.items()}
    return {"cpu_us_per_payment": figures, "times": growth_of(costs)}


def alone(core: int | None, work: Callable[..., R], *arguments: Any) -> R:
    """What ``work`` gives in a process of its own, on ``core``."""
    with ProcessPoolExecutor(1, get_context("spawn"), _pin, (core,)) as pool:
        return pool.submit(work, *arguments).result()


def _pin(core: int | None) -> None:
    if core is not None:
        os.sched_setaffinity(0, {core})


def _filled(settings: Settings, champion: ChampionKind, accounts: tuple[int, int]) -> tuple[float, float]:
    """Bytes an account of the side that has more than a few, and the seconds to restore that side."""
    bank = Bank(settings, champion, max(accounts))
    bank.fill(FEW, FEW)
    before = resident_bytes() - bank.logged_bytes
    bank.fill(*accounts)
    gc.collect()
    grown = resident_bytes() - bank.logged_bytes - before
    other = Bank(settings, champion, FEW)
    filled, empty = (bank.payer, other.payer) if accounts[0] > accounts[1] else (bank.payee, other.payee)
    log = bank.logs[accounts[0] <= accounts[1]]
    _write(log, filled.state.checkpoint(1))
    entries = list(log.items())
    began_s = time.perf_counter()
    for first in range(0, len(entries), RESTORED_AT_ONCE):
        empty.state.restore(entries[first : first + RESTORED_AT_ONCE])
    empty.state.begin_at(1, 0)
    return grown / (max(accounts) - FEW), time.perf_counter() - began_s


def _grown(settings: Settings, champion: ChampionKind, accounts: int) -> tuple[float, float]:
    """CPU microseconds a payment among ``accounts``, and bytes that a pair of accounts occupies."""
    bank, rng = Bank(settings, champion, accounts, keeps_logs=False), np.random.default_rng(1)
    bank.fill(FEW, FEW)
    before = resident_bytes()
    bank.fill(accounts, accounts)
    grown = resident_bytes() - before
    batches = WARM_BATCHES + MEASURED_BATCHES
    payers, payees = (zipf(rng, accounts, batches * BATCH).reshape(batches, BATCH) for _ in range(2))
    costs = [sum(bank.pay(*each)) for each in zip(payers, payees, strict=True)]
    return 1e6 * float(np.median(costs[WARM_BATCHES:])) / BATCH, max(0.0, grown / accounts)


def resident_bytes() -> int:
    """What this process has in memory now."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * _PAGE_BYTES


def available_bytes() -> int:
    """What the machine could still give, by the kernel's estimate."""
    lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))

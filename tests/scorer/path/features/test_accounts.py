"""The accounts' index against its naive twin: who is known, since when, and who is forgotten, at every record."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from services.contract.identity import Digests
from services.contract.siphash import digests_of
from services.contract.units import DAY_MS
from services.scorer.path.features.accounts import EVICTED_SHARE, Accounts, digests_of_keys, digests_of_spans
from services.scorer.path.features.state import account_key
from tests.scorer.path.logs import SEEDED
from tests.scorer.path.runs import batches

IDLE_MS = 5 * DAY_MS
LIMIT = 6
Entry = tuple[int, int, bool, bool]
"""Account, event time, whether it makes an account, whether a label stands before it (of the next account)."""
LOGS = st.lists(
    st.tuples(st.integers(0, 12), st.integers(0, 40).map(lambda day: day * DAY_MS // 2), st.booleans(), st.booleans()),
    max_size=80,
)
CUTS = st.lists(st.integers(1, 80), max_size=8)
KEY = Digests(b"secret").key


def digests(accounts: list[int]) -> NDArray[np.uint64]:
    """Digests whose homes in the table are close together, so that searches and removals meet one another."""
    return np.array([[1 + each % 3, each] for each in accounts], dtype=np.uint64).reshape(-1, 2)


@dataclass
class Twin:
    """What is remembered: by account, the number of its latest record and the latest event time of its payments."""

    limit: int
    known: dict[int, tuple[int, int]] = field(default_factory=dict)
    order: int = 0
    watermark_ms: int = 0
    swept_day: int = -1
    evicted: int = 0

    def take(self, account: int, event_ms: int, makes: bool) -> bool:
        self.watermark_ms = max(self.watermark_ms, event_ms)
        if self.watermark_ms // DAY_MS > self.swept_day:
            self.swept_day = self.watermark_ms // DAY_MS
            latest = self.watermark_ms - IDLE_MS
            self.known = {each: entry for each, entry in self.known.items() if entry[1] >= latest}
        self.order += 1
        if account not in self.known:
            if not makes:
                return False
            if len(self.known) >= self.limit:
                by_age = sorted(self.known, key=lambda each: self.known[each])
                for each in by_age[: max(1, self.limit // EVICTED_SHARE)]:
                    del self.known[each]
                    self.evicted += 1
        seen_ms = self.known.get(account, (0, 0))[1]
        self.known[account] = self.order, max(seen_ms, event_ms) if makes else seen_ms
        return True


def run(log: list[Entry], cuts: list[int], limit: int = LIMIT) -> tuple[Accounts, list[bool], list[bool]]:
    """The index after ``log``, and whether each record, and the account of each label, was known or made."""
    accounts, found, labelled = Accounts(limit, IDLE_MS), [], []
    watermark_ms = 0
    for batch in batches(len(log), cuts):
        part = log[batch]
        labels = [(at, account + 1) for at, (account, _, _, has_label) in enumerate(part) if has_label]
        event_ms = np.array([event_ms for _, event_ms, *_ in part], dtype=np.int64)
        now_ms = np.maximum.accumulate(np.maximum(event_ms, watermark_ms))
        slots, label_slots = accounts.find(
            digests([account for account, *_ in part]),
            event_ms,
            now_ms,
            np.array([makes for _, _, makes, _ in part], dtype=np.bool_),
            digests([account for _, account in labels]),
            np.array([at for at, _ in labels], dtype=np.int64),
        )
        watermark_ms = max([watermark_ms, *now_ms.tolist()])
        found += (slots >= 0).tolist()
        labelled += (label_slots >= 0).tolist()
        accounts.take_gone()
    return accounts, found, labelled


def remembered(accounts: Accounts) -> dict[int, tuple[int, int]]:
    rows = accounts.table.rows[: accounts.table.used]
    return {int(row["high"]): (int(row["order"]), int(row["seen_ms"])) for row in rows if row["low"]}


@SEEDED
@given(log=LOGS, cuts=CUTS)
def test_who_is_known_equals_the_twin_however_the_log_is_cut(log: list[Entry], cuts: list[int]) -> None:
    twin, expected, labelled = Twin(LIMIT), [], []
    for account, event_ms, makes, has_label in log:
        if has_label:
            labelled.append(account + 1 in twin.known)
        expected.append(twin.take(account, event_ms, makes))
    accounts, found, of_labels = run(log, cuts)
    assert (found, of_labels) == (expected, labelled)
    assert remembered(accounts) == twin.known
    assert (len(accounts), accounts.evicted) == (len(twin.known), twin.evicted)
    assert accounts.known(digests(list(range(14)))).tolist() == [
        slot_of(accounts, each) if each in twin.known else -1 for each in range(14)
    ]


def slot_of(accounts: Accounts, account: int) -> int:
    rows = accounts.table.rows[: accounts.table.used]
    (slot,) = np.flatnonzero((rows["high"] == account) & (rows["low"] != 0))
    return int(slot)


@SEEDED
@given(log=LOGS, cuts=CUTS)
def test_accounts_put_back_are_found_again_and_go_on(log: list[Entry], cuts: list[int]) -> None:
    accounts, *_ = run(log, cuts)
    back = Accounts(LIMIT, IDLE_MS)
    slots = np.arange(accounts.table.used)
    if len(slots):
        back.table.place(slots, accounts.table.rows[slots], home=0)
    back.settle()
    assert remembered(back) == remembered(accounts)
    asked = digests(list(range(14)))
    assert back.known(asked).tolist() == accounts.known(asked).tolist()


def test_a_flood_of_new_accounts_pushes_out_the_longest_idle_and_needs_no_more_memory() -> None:
    accounts, size, limit = Accounts(1_000, 10**15), 0, 1_000
    for start in range(0, 50_000, 500):
        fresh = np.array([[each + 1, each] for each in range(start, start + 500)], dtype=np.uint64)
        zeros = np.zeros(500, dtype=np.int64)
        nobody = np.empty((0, 2), dtype=np.uint64)
        accounts.find(fresh, zeros, zeros, np.ones(500, dtype=np.bool_), nobody, zeros[:0])
        accounts.take_gone()
        assert len(accounts) <= limit
        size = size or accounts.nbytes if start >= 5_000 else 0
    assert accounts.nbytes == size
    assert accounts.evicted == 50_000 - len(accounts)
    assert set(remembered(accounts)) == set(range(50_000 - len(accounts), 50_000))


def test_a_smaller_limit_than_before_is_met_with_the_next_new_account() -> None:
    accounts, *_ = run([(each, 0, True, False) for each in range(6)], [])
    back = Accounts(3, IDLE_MS)
    back.table.place(np.arange(6), accounts.table.rows[:6], home=0)
    back.clock[:] = accounts.clock
    back.settle()
    nobody = np.empty((0, 2), dtype=np.uint64)
    zero = np.zeros(1, dtype=np.int64)
    back.find(digests([9]), zero, zero, np.ones(1, dtype=np.bool_), nobody, zero[:0])
    assert set(remembered(back)) == {4, 5, 9}


@pytest.mark.parametrize("names", [[("default", "A"), ("", ""), ("t" * 40, "A" * 128), ("defaul", "tA")], []])
def test_digests_of_spans_and_of_keys_are_those_of_the_reference(names: list[tuple[str, str]]) -> None:
    keys = [account_key(tenant.encode(), account.encode()) for tenant, account in names]
    expected = [digests_of(key, KEY) for key in keys]
    assert [tuple(each) for each in digests_of_keys(keys, KEY).tolist()] == expected
    data = "".join(tenant + account for tenant, account in names).encode()
    ends = np.cumsum([0, *(len(part) for name in names for part in name)])
    spans = np.column_stack([ends[:-1], ends[1:]]).astype(np.int64)
    found = digests_of_spans(np.frombuffer(data, dtype=np.uint8), spans[::2], spans[1::2], KEY)
    assert [tuple(each) for each in found.tolist()] == expected

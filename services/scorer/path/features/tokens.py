"""Payees that share a phone, a device or a pick-up point: groups of tokens, joined by the remittances that tell them.

A union-find over tokens, a row a token; the lowest slot of a group is its root, which holds what is known of the group.
The registry's words (*shared tokens*) are the definition. A group that was not used for more than ``IDLE_DAYS`` whole
days is dropped before the next remittance with a token is read, at the same place of the log however it is cut into
batches. The free row with the lowest slot is taken first, so slots, too, are a function of the log.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from services.contract.fields import EVENT_TIME_MS_MAX
from services.contract.payment import Payment
from services.contract.units import DAY_MS
from services.scorer.path.features.registry import PAYER_AT
from services.scorer.path.features.state_format import refused
from services.scorer.path.features.tables import Table

KINDS = ("device", "phone", "pickup")
"""In the order in which a remittance joins its payee's tokens: the one that is shared most comes last."""
LINKED_PAYEES_MAX = 24.0
"""Payees, as estimated, that one group may join."""
IDLE_DAYS = 360
TOKENS_MAX = 1_000_000
"""Tokens remembered in one partition; while there are so many a further one joins nobody."""
TOKEN_ROW = np.dtype([("token", "u8"), ("parent", "i8"), ("ms", "i8"), ("payees", "u8"), ("payers", "u8")])
"""``token`` is a digest, 0 in a free row; ``parent`` a slot, the own one in a root. The rest is the root's: the
partition's time when the group was used last, and sets of its payees and payers, 6 bits of each one's digest."""

_BITS = 64
_COMMON = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
"""Stands for the payees of a group that too many share. No other group has that many."""
Members = tuple[NDArray[np.uint64], NDArray[np.uint64]]


class Tokens:
    """The tokens of one partition, told apart by 64 bits of the digest of tenant, kind and token."""

    def __init__(self) -> None:
        self.table = Table(TOKEN_ROW)
        self._slots: dict[int, int] = {}
        self._free: list[int] = []
        self._swept_day = -1

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def rows(self) -> NDArray[Any]:
        """``TOKEN_ROW[...]``, by slot."""
        return self.table.rows

    def slot(self, token: int) -> int:
        """The row of a token, made when it is new; -1 while there are too many."""
        slot = self._slots.get(token)
        if slot is None:
            slot = self._allocate(token)
        return slot

    def _allocate(self, token: int) -> int:
        if len(self._slots) >= TOKENS_MAX:
            return -1
        slot = heapq.heappop(self._free) if self._free else self.table.used
        self.table.extend(slot + 1)
        self.rows[slot]["token"], self.rows[slot]["parent"] = token, slot
        self._slots[token] = slot
        return slot

    def _release(self, slot: int) -> None:
        del self._slots[int(self.rows[slot]["token"])]
        self.rows[slot] = np.zeros((), dtype=TOKEN_ROW)
        self.table.changed[slot] = True
        heapq.heappush(self._free, slot)

    def is_sweep_due(self, now_ms: int) -> bool:
        """Whether it is another day of event time than at the last sweep (an earlier one, where time was set back)."""
        return now_ms // DAY_MS != self._swept_day

    def forget_idle(self, now_ms: int) -> None:
        """Drop the groups that are idle at ``now_ms``. Doing so again, or on a day on which no token is met, changes
        nothing that a later call would not do."""
        if not self.is_sweep_due(now_ms):
            return
        self._swept_day = now_ms // DAY_MS
        for slot in np.flatnonzero(_idle(self.rows[: self.table.used], self._swept_day)).tolist():
            self._release(slot)

    def items(self) -> list[bytes]:
        """Every row as bytes, by slot."""
        return [row.tobytes() for row in self.rows[: self.table.used]]

    def settle(self) -> None:
        """After rows were put back: find them again.

        Raises
        ------
        StateFormatError
            When they are none that this code wrote: a kernel might look for a root without end.
        """
        rows = self.rows[: self.table.used]
        slots = np.arange(len(rows))
        in_use = rows["token"] != 0
        parents = rows["parent"]
        sound = (parents >= 0) & (parents <= slots) & (rows["ms"] >= 0) & (rows["ms"] <= EVENT_TIME_MS_MAX)
        if not sound[in_use].all() or not in_use[parents[in_use]].all():
            raise refused("the changelog holds a token that no kernel of this code has written")
        tokens = rows["token"][in_use].tolist()
        self._slots = dict(zip(tokens, slots[in_use].tolist(), strict=True))
        if len(self._slots) != len(tokens) or len(tokens) > TOKENS_MAX:
            raise refused("the changelog holds tokens twice, or too many")
        self._free = slots[~in_use].tolist()
        self._swept_day = -1


def write_linked(
    features: NDArray[np.float64],
    onward: NDArray[np.bool_],
    payments: Sequence[Payment],
    members: Members,
    tokens: Tokens,
    now_ms: NDArray[np.int64],
    digest: Callable[[str], int],
) -> None:
    """Write the features of shared tokens into ``features``, and take the remittances into ``tokens``.

    Parameters
    ----------
    features
        float64[n, len(PAYER_HOP)], the rest of it written.
    onward
        bool[n]: which of ``payments`` go on; others change nothing.
    members
        Digests of their payees and payers, uint64[n] each.
    now_ms
        int64[n]: the partition's event time as of each payment.
    digest
        The deployment's.
    """
    features[:, PAYER_AT.payee_linked_payees] = features[:, PAYER_AT.payee_linked_payers] = np.nan
    rows: list[int] = []
    asked: list[tuple[int, ...]] = []

    def ask() -> None:
        if not rows:
            return
        payees, payers = (digests[rows] % np.uint64(_BITS) for digests in members)
        found = np.empty((len(rows), 2), dtype=np.float64)
        met = np.array(asked, dtype=np.int64)
        _tokens_kernel(tokens.rows, tokens.table.changed, met, payees, payers, now_ms[rows], found)
        features[rows, PAYER_AT.payee_linked_payees] = found[:, 0]
        features[rows, PAYER_AT.payee_linked_payers] = found[:, 1]
        rows.clear()
        asked.clear()

    for at in np.flatnonzero(onward & (features[:, PAYER_AT.is_remittance] == 1.0)).tolist():
        told = _tokens_of(payments[at], digest)
        if not told:
            continue
        if tokens.is_sweep_due(int(now_ms[at])):
            ask()
            tokens.forget_idle(int(now_ms[at]))
        slots = [tokens.slot(token) for token in told]
        rows.append(at)
        asked.append((*slots, *[-1] * (len(KINDS) - len(slots))))
    ask()


def _tokens_of(payment: Payment, digest: Callable[[str], int]) -> list[int]:
    """Digests of what the payment tells of its payee, in the order of ``KINDS``."""
    payee = payment.payee
    if payee.device is None and payee.phone is None and payee.pickup is None:
        return []
    told = zip(KINDS, (payee.device, payee.phone, payee.pickup), strict=True)
    return [digest(f"{payment.tenant}\x1f{kind}\x1f{token}") for kind, token in told if token is not None]


@njit(cache=True)
def _tokens_kernel(
    rows: Any, changed: Any, slots: Any, payee_bits: Any, payer_bits: Any, now_ms: Any, found: Any
) -> None:
    """For each remittance what its tokens are joined with, then join them."""
    one = np.uint64(1)
    for i in range(slots.shape[0]):
        payee, payer = one << payee_bits[i], one << payer_bits[i]
        root = -1
        payees, payers = np.uint64(0), np.uint64(0)
        for k in range(slots.shape[1]):
            if slots[i, k] < 0:
                continue
            met = _root(rows, changed, slots[i, k])
            if met == root:
                continue
            rows[met].ms = now_ms[i]
            changed[met] = True
            if _payees(rows[met].payees, payee) > LINKED_PAYEES_MAX:
                rows[met].payees = _COMMON
                rows[met].payers = np.uint64(0)
                continue
            joins = _payees(payees | rows[met].payees, payee) <= LINKED_PAYEES_MAX
            if joins:
                payees |= rows[met].payees
                payers |= rows[met].payers
            rows[met].payees |= payee
            rows[met].payers |= payer
            if joins:
                root = met if root < 0 else _union(rows, root, met)
        found[i, 0] = _payees(payees, payee)
        found[i, 1] = _estimate(payers)


@njit(cache=True)
def _root(rows: Any, changed: Any, slot: int) -> int:
    """The root of a token's group; every token on the way there is made to point to it."""
    root = slot
    while rows[root].parent != root:
        root = rows[root].parent
    while rows[slot].parent != root:
        above = rows[slot].parent
        rows[slot].parent = root
        changed[slot] = True
        slot = above
    return int(root)


@njit(cache=True)
def _union(rows: Any, one: int, other: int) -> int:
    """Join two groups by their roots, both marked as changed already; returns the root of both."""
    root, child = min(one, other), max(one, other)
    rows[root].payees |= rows[child].payees
    rows[root].payers |= rows[child].payers
    rows[child].parent = root
    rows[child].ms = 0
    rows[child].payees = np.uint64(0)
    rows[child].payers = np.uint64(0)
    return int(root)


@njit(cache=True)
def _payees(payees: Any, this: Any) -> float:
    """This payee and the others, as estimated."""
    return float(1.0 + _estimate(payees & ~this))


@njit(cache=True)
def _estimate(bits: Any) -> float:
    """How many members a set of bits stands for (linear counting, Whang et al. 1990); a full one counts as one less."""
    count = 0
    while bits != 0:
        bits &= bits - np.uint64(1)
        count += 1
    return float(_BITS * np.log(_BITS / (_BITS - min(count, _BITS - 1))))


@njit(cache=True)
def _idle(rows: Any, day: int) -> Any:
    """bool[n]: the rows of groups that are idle on ``day``. A parent stands before its children."""
    idle = np.zeros(len(rows), dtype=np.bool_)
    for slot in range(len(rows)):
        parent = rows[slot].parent
        if rows[slot].token == 0:
            continue
        idle[slot] = day - rows[slot].ms // DAY_MS > IDLE_DAYS if parent == slot else idle[parent]
    return idle

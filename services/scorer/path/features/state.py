"""What a hop remembers of one partition: a row for each account, pools of what few accounts have, and baselines.

Tables of NumPy records, whose changed rows are written as checkpoints (``checkpoints.py``, ``partition_state.py``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from services.contract.fields import EVENT_TIME_MS_MAX
from services.scorer.path.features.accounts import ACCOUNT_ROW, Accounts
from services.scorer.path.features.checkpoints import RECORD_PREFIX
from services.scorer.path.features.corridors import CORRIDOR_ROW, Corridors
from services.scorer.path.features.definitions.feature import HALF_LIFE_MS
from services.scorer.path.features.event_time import CLOCK_SIZE, advance
from services.scorer.path.features.identities import CHUNK_ROW, Identities
from services.scorer.path.features.partition_state import PARTITION_KEY, Clocks, PartitionState
from services.scorer.path.features.rows import POOLS
from services.scorer.path.features.state_format import refused
from services.scorer.path.features.tables import NOWHERE, Pool, Table
from services.scorer.path.features.tokens import TOKEN_ROW, Tokens

ACCOUNTS_MAX = 1_000_000
"""Accounts of one partition and side, unless a deployment chooses: about 700 megabytes."""
_NO_LABELS = np.empty((0, 2), dtype=np.uint64), np.empty(0, dtype=np.int64)


class Beside(Protocol):
    """What is kept beside the accounts, of the same log and in the same checkpoints."""

    @property
    def clocks(self) -> Clocks: ...
    @property
    def tables(self) -> Sequence[Table]: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def layout(self) -> object:
        """All that the tables' meaning depends on."""

    def settle(self) -> None:
        """After the tables were put back: find their rows again, or raise ``StateFormatError``."""


class AccountState(PartitionState):
    """The rows of one partition of one hop.

    Parameters
    ----------
    row
        ``PAYER_ROW`` or ``PAYEE_ROW``.
    idle_ms
        Retention horizon in event time.
    sources
        Number of partitions of the topic whose records may repeat (see ``origins``).
    schema
        What else the rows' meaning depends on (the feature schema, the key of digests); part of the format of the
        changelog.
    accounts_max
        Accounts remembered at most.
    identities
        The window of payments, where the log's records are to be recognised.
    beside
        What else is kept of the log.
    """

    def __init__(
        self,
        row: np.dtype[Any],
        idle_ms: int,
        sources: int = 0,
        schema: bytes = b"",
        accounts_max: int = ACCOUNTS_MAX,
        identities: Identities | None = None,
        beside: Beside | None = None,
    ) -> None:
        self.identities = identities
        self._beside = beside
        self.corridors = Corridors()
        self.tokens = Tokens()
        self._table = Table(row)  # its slots are those of the accounts
        self._pools = {name: Table(layout, reserved=1) for name, layout in POOLS[row].items()}
        accounts = Accounts(accounts_max, idle_ms)
        layouts = (ACCOUNT_ROW, row, *POOLS[row].values(), CORRIDOR_ROW, TOKEN_ROW)
        if identities is not None:
            layouts = (*layouts, CHUNK_ROW)
        layout: tuple[object, ...] = ([each.descr for each in layouts], HALF_LIFE_MS, schema)
        clocks = [Clocks(np.zeros(CLOCK_SIZE, dtype=np.int64), accounts)]
        self._tables = (
            accounts.table, self._table, *self._pools.values(), self.corridors.table, self.tokens.table,
            *([] if identities is None else [identities.table]),
        )  # fmt: skip
        if beside is None:
            super().__init__(clocks, self._tables, layout, sources)
        else:
            clocks.append(beside.clocks)
            super().__init__(clocks, (*self._tables, *beside.tables), (*layout, beside.layout), sources)

    @property
    def rows(self) -> NDArray[Any]:
        """The accounts' own rows, by slot."""
        return self._table.rows

    @property
    def nbytes(self) -> int:
        """Bytes of memory, spare rows and the accounts' index included."""
        window = 0 if self.identities is None else self.identities.nbytes - self.identities.table.nbytes
        beside = 0 if self._beside is None else self._beside.nbytes
        return self.accounts.nbytes + sum(table.nbytes for table in self._tables[1:]) + window + beside

    def times(self, event_ms: NDArray[np.int64], payers: NDArray[np.uint64]) -> NDArray[np.int64]:
        """int64[n + 1]: the partition's event time now and as of each of the n records that come next, which it is
        told (as ``event_time.advance``)."""
        return advance(self.clock, event_ms, payers)

    def slots(
        self,
        digests: NDArray[np.uint64],
        event_ms: NDArray[np.int64],
        now_ms: NDArray[np.int64],
        makes: NDArray[np.bool_],
        labelled: NDArray[np.uint64] = _NO_LABELS[0],
        before: NDArray[np.int64] = _NO_LABELS[1],
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The rows of the next records of the log and of the labels among them.

        Parameters and what is returned: as of ``Accounts.find``. They hold until the next call.
        """
        self._let_go()
        slots, label_slots = self.accounts.find(digests, event_ms, now_ms, makes, labelled, before)
        self._table.extend(self.accounts.table.used)
        for each in (slots, label_slots):
            self._table.changed[each[each >= 0]] = True
        return slots, label_slots

    def known_slots(self, digests: NDArray[np.uint64]) -> NDArray[np.int64]:
        """int64[n]: the rows of the accounts uint64[n, 2] as they are now; -1 where an account has none."""
        return self.accounts.known(digests)

    def pools(self, room: int) -> dict[str, Pool]:
        """The pools for compiled code, each with room for ``room`` further rows."""
        return {name: table.pool(room) for name, table in self._pools.items()}

    def _let_go(self) -> None:
        """Give back the rows of accounts that are gone."""
        gone = self.accounts.take_gone()
        if len(gone):
            for name, table in self._pools.items():
                refs = self.rows[f"{name}_at"][gone].ravel().astype(np.int64)
                table.release(refs[refs > 0])
            self._table.clear(gone)

    @property
    def _oldest_number(self) -> int:
        return 1 if self.identities is None else self.identities.oldest

    def _settle(self) -> None:
        in_use = self.accounts.settle()
        self._table.extend(len(in_use))
        if self._table.used > len(in_use) or (self._table.homes[: len(in_use)][in_use] == NOWHERE).any():
            raise refused("the changelog does not hold an account's row")
        self._table.clear(np.flatnonzero(~in_use))
        self._check_rows(self.rows[: len(in_use)][in_use])
        for name, table in self._pools.items():
            refs = self.rows[f"{name}_at"][: len(in_use)].ravel().astype(np.int64)
            refs = refs[refs > 0]
            owned = np.zeros(max(1, table.used), dtype=np.bool_)
            if (refs >= table.used).any() or (table.homes[refs] == NOWHERE).any():
                raise refused("the changelog does not hold all of an account's rows")
            owned[refs] = True
            if np.count_nonzero(owned) != len(refs):
                raise refused("the changelog holds a row that two accounts have")
            table.settle(owned)
        self.corridors.settle()
        self.tokens.settle()
        if self.identities is not None:
            self.identities.settle(self._oldest)
        if self._beside is not None:
            self._beside.settle()

    def _check_rows(self, rows: NDArray[Any]) -> None:
        """Refuse what a kernel would take as an index beyond its row, or as a time that no payment has."""
        sound = (rows["first_ms"] >= 0) & (rows["last_ms"] >= 0) & (rows["last_ms"] <= EVENT_TIME_MS_MAX)
        if not sound.all():
            raise refused("the changelog holds a row that no kernel of this code has written")


def account_key(tenant: bytes, account: bytes) -> bytes:
    """What an account (both in UTF-8) is digested from. Tenants never share a row."""
    return b"%b\x1f%b" % (tenant, account)


def whole(latest: Mapping[bytes, bytes | None]) -> list[tuple[bytes, bytes | None]]:
    """Of a changelog written without transactions, the latest entry of each key: what is left without a checkpoint
    that was cut short. The partition's entry, the last of every checkpoint, says how many records are whole."""
    partition = latest.get(PARTITION_KEY)
    number = 0 if partition is None else int.from_bytes(partition[8:16], "little")
    end = RECORD_PREFIX + min(number, 2**31).to_bytes(4, "big")
    return sorted(entry for entry in latest.items() if not entry[0].startswith(RECORD_PREFIX) or entry[0] < end)

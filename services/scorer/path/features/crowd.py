"""How many others an account deals with, and in which countries: one by one in its own row, then in one of ``crowd``.

Compiled by numba. A row counts the same wherever its numbers stand.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from services.scorer.path.features.rows import COUNTRY_WORDS, NEAR_COUNTRIES, NEAR_RANKS, REGISTERS
from services.scorer.path.features.tables import Pool, own

_BEFORE = 64 * REGISTERS


@njit(cache=True)
def roll_block(row: Any, crowd: Pool, block: int) -> None:
    """Make ``block`` the current one of the row's two HyperLogLogs (index 0 current, 1 the one before)."""
    if block == row.block:
        return
    consecutive = block == row.block + 1
    row.block = block
    if row.crowd_at == 0:
        _roll_ranks(row, consecutive)
        return
    row.crowd_at = own(crowd, row.crowd_at)
    registers = crowd.rows[row.crowd_at].registers
    for i in range(REGISTERS):
        registers[1, i] = registers[0, i] if consecutive else 0
        registers[0, i] = 0


@njit(cache=True)
def _roll_ranks(row: Any, consecutive: bool) -> None:
    kept = 0
    for i in range(NEAR_RANKS):
        packed = row.near_ranks[i]
        row.near_ranks[i] = 0
        if consecutive and packed != 0 and packed < _BEFORE:
            row.near_ranks[kept] = packed + _BEFORE
            kept += 1


@njit(cache=True)
def add_distinct(row: Any, crowd: Pool, digest: Any) -> None:
    """Add a 64-bit digest to the current block: the low 6 bits choose the register, the rest give the rank.

    While there are few, ranks stand in the row one by one: register + 64 rank, and ``_BEFORE`` more in the block
    before.
    """
    register = int(digest & np.uint64(REGISTERS - 1))
    rest = digest >> np.uint64(6)
    rank = 1
    while rank <= 58 and (rest & np.uint64(1)) == 0:
        rank += 1
        rest = rest >> np.uint64(1)
    if row.crowd_at == 0:
        if _add_rank(row, register, rank):
            return
        row.crowd_at = _gathered(row, crowd)
    if rank > crowd.rows[row.crowd_at].registers[0, register]:
        row.crowd_at = own(crowd, row.crowd_at)
        crowd.rows[row.crowd_at].registers[0, register] = rank


@njit(cache=True)
def _add_rank(row: Any, register: int, rank: int) -> bool:
    """Whether there was room for it."""
    for i in range(NEAR_RANKS):
        packed = int(row.near_ranks[i])
        if packed == 0 or (packed < _BEFORE and packed % REGISTERS == register):
            row.near_ranks[i] = max(packed, register + REGISTERS * rank)
            return True
    return False


@njit(cache=True)
def _gathered(row: Any, crowd: Pool) -> int:
    """Move the row's countries and ranks into a row of ``crowd``; returns which."""
    at = own(crowd, 0)
    all_of = crowd.rows[at]
    for i in range(NEAR_COUNTRIES):
        if row.near_countries[i] != 0:
            country = int(row.near_countries[i]) - 1
            all_of.countries[country // 64] |= country_bit(country)
            row.near_countries[i] = 0
    for i in range(NEAR_RANKS):
        packed = int(row.near_ranks[i])
        if packed != 0:
            all_of.registers[packed // _BEFORE, packed % REGISTERS] = packed % _BEFORE // REGISTERS
            row.near_ranks[i] = 0
    return int(at)


@njit(cache=True)
def count_distinct(row: Any, crowd: Pool, block: int) -> float:
    """Distinct digests in ``block`` and the one before (Flajolet et al. 2007, with linear counting when small)."""
    age = block - row.block
    if age > 1:
        return 0.0
    if row.crowd_at == 0:
        return float(REGISTERS * np.log(REGISTERS / (REGISTERS - _registers_used(row, age == 0))))
    registers = crowd.rows[row.crowd_at].registers
    inverse_sum = 0.0
    empty = 0
    for i in range(REGISTERS):
        rank = registers[0, i]
        if age == 0 and registers[1, i] > rank:
            rank = registers[1, i]
        inverse_sum += 2.0 ** -float(rank)
        if rank == 0:
            empty += 1
    estimate = 0.709 * REGISTERS * REGISTERS / inverse_sum
    if estimate <= 2.5 * REGISTERS and empty > 0:
        return float(REGISTERS * np.log(REGISTERS / empty))
    return float(estimate)


@njit(cache=True)
def _registers_used(row: Any, with_before: bool) -> int:
    """Registers that hold a rank: so few (``NEAR_RANKS``) always mean linear counting."""
    used = np.uint64(0)
    for i in range(NEAR_RANKS):
        packed = row.near_ranks[i]
        if packed != 0 and (with_before or packed < _BEFORE):
            used |= np.uint64(1) << np.uint64(packed % REGISTERS)
    return int(bits(used))


@njit(cache=True)
def country_bit(country: int) -> Any:
    """The bit of a country (0 to 675) within its 64-bit word."""
    return np.uint64(1) << np.uint64(country % 64)


@njit(cache=True)
def bits(word: Any) -> int:
    """How many bits of ``word`` (uint64) are set."""
    count = 0
    while word != 0:
        word &= word - np.uint64(1)
        count += 1
    return count


@njit(cache=True)
def count_countries(row: Any, crowd: Pool) -> float:
    """How many countries the other sides were in."""
    total = 0
    for i in range(NEAR_COUNTRIES):
        total += 1 if row.near_countries[i] != 0 else 0
    for i in range(COUNTRY_WORDS):
        total += bits(crowd.rows[row.crowd_at].countries[i])
    return float(total)


@njit(cache=True)
def has_country(row: Any, crowd: Pool, country: int) -> bool:
    """Whether the other side of an earlier payment was in the country (0 to 675)."""
    for i in range(NEAR_COUNTRIES):
        if row.near_countries[i] == country + 1:
            return True
    return bool(crowd.rows[row.crowd_at].countries[country // 64] & country_bit(country) != 0)


@njit(cache=True)
def add_country(row: Any, crowd: Pool, country: int) -> None:
    """Take the country among those of the row."""
    if has_country(row, crowd, country):
        return
    if row.crowd_at == 0:
        for i in range(NEAR_COUNTRIES):
            if row.near_countries[i] == 0:
                row.near_countries[i] = country + 1
                return
        row.crowd_at = _gathered(row, crowd)
    row.crowd_at = own(crowd, row.crowd_at)
    crowd.rows[row.crowd_at].countries[country // 64] |= country_bit(country)

"""The counterparties that an account remembers, least recently used first forgotten.

The first places are in the account's own row, the others in a pool's row, which few accounts need.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from services.scorer.path.features.rows import PARTNERS
from services.scorer.path.features.tables import Pool, own


@njit(cache=True)
def partner_position(row: Any, further: Pool, digest: int) -> int:
    """Where the counterparty stands among those that the account remembers, or -1."""
    for i in range(len(row.partners)):
        if row.partners[i].digest == digest:
            return i
    if row.further_at > 0:
        partners = further.rows[row.further_at].partners
        for i in range(len(partners)):
            if partners[i].digest == digest:
                return i + len(row.partners)
    return -1


@njit(cache=True)
def partner_of(row: Any, further: Pool, position: int) -> Any:
    """The counterparty in this place, which is to be there."""
    if position < len(row.partners):
        return row.partners[position]
    return further.rows[row.further_at].partners[position - len(row.partners)]


@njit(cache=True)
def remember_partner(row: Any, further: Pool, position: int, digest: int, at_ms: int) -> None:
    """Count a payment with the counterparty, which stands at ``position``; where that is -1 it is new, and takes the
    place of the one used longest ago."""
    at = position if position >= 0 else _oldest(row)
    if at >= len(row.partners):
        row.further_at = own(further, row.further_at)
    partner = partner_of(row, further, at)
    low, high = at_ms & 0xFFFF_FFFF, at_ms >> 32
    if position < 0:
        partner.digest = digest
        partner.first_low = low
        partner.first_high = high
        partner.payments = 0
    partner.last_low = low
    partner.last_high = high
    partner.payments += 1
    _use(row, at)


@njit(cache=True)
def first_ms_of(partner: Any) -> int:
    """When the counterparty was met first."""
    return (int(partner.first_high) << 32) + int(partner.first_low)


@njit(cache=True)
def last_ms_of(partner: Any) -> int:
    """When it was met last."""
    return (int(partner.last_high) << 32) + int(partner.last_low)


@njit(cache=True)
def _oldest(row: Any) -> int:
    """The first place that is empty, or that of the counterparty used longest ago."""
    position = 0
    for i in range(1, PARTNERS):
        if row.partners_used[i] < row.partners_used[position]:
            position = i
    return position


@njit(cache=True)
def _use(row: Any, position: int) -> None:
    """The counterparty in this place is now the one used last."""
    rank = row.partners_used[position]
    for i in range(PARTNERS):
        if row.partners_used[i] > rank:
            row.partners_used[i] -= 1
    row.partners_used[position] = PARTNERS

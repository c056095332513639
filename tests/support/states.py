"""Comparing the states of hops."""

from __future__ import annotations

import numpy as np

from services.scorer.path.features.parameters import Parameters
from services.scorer.path.features.state import AccountState
from services.scorer.path.subjects.partition import PayeeState
from services.scorer.path.subjects.state import PayeeSubjects, PayerSubjects


def contents(state: AccountState, parameters: Parameters) -> dict[bytes, bytes]:
    """All that a state holds, whatever slots its rows have: by account, of those within the horizon; and the rest."""
    index = state.accounts.table.rows
    names = [name for name in state.rows.dtype.names or () if not name.endswith("_at")]
    found = {
        b"corridors": b"".join(state.corridors.items()),
        b"tokens": b"".join(state.tokens.items()),
        b"clock": state.clock.tobytes() + state.origins.tobytes() + state.accounts.clock.tobytes(),
    }
    if state.identities is not None:
        found[b"identities"] = b"".join(state.identities.items())
    for slot in np.flatnonzero(index["low"][: state.accounts.table.used]):
        row = state.rows[slot]
        if row["payments"] == 0 or state.latest_event_ms - row["last_ms"] > parameters.account_idle_ms:
            continue
        pooled = (
            pool.rows[at].tobytes() for name, pool in state.pools(0).items() for at in np.atleast_1d(row[f"{name}_at"])
        )
        found[index[slot].tobytes()] = b"".join([*(row[name].tobytes() for name in names), *pooled])
    if isinstance(state, PayeeState):
        found |= {b"subject " + name: value for name, value in subjects_of(state.subjects).items()}
    return found


def subjects_of(state: PayeeSubjects | PayerSubjects) -> dict[bytes, bytes]:
    """All that is remembered of subjects, by account, whatever slots they have; and the clocks."""
    found = {b"clock": state.clock.tobytes() + state.accounts.clock.tobytes()}
    index = state.accounts.table.rows[: state.accounts.table.used]
    for slot in np.flatnonzero(index["low"]).tolist():
        found[index[slot].tobytes()] = state.rows.rows[slot].tobytes() + state.second.rows[slot].tobytes()
    return found

"""What happens to records on their way: some come late, twice, in another state, or damaged before they come well."""

from __future__ import annotations

import numpy as np

from services.contract.units import HOUR_MS
from services.generator.chance import Generator, generator
from services.generator.people import World
from services.generator.rows import MALFORMED, REPEAT, STATUS_UPDATE, STATUSES, Rows, joined

_NOISE_SOURCE = 203


def with_noise(world: World, rows: Rows, day: int) -> Rows:
    """Set when ``rows`` arrive, and add their repeats, returns and damaged copies.

    A damaged copy arrives just before the payment itself, as from a processor that corrects its mistake at once: no
    payment is lost to noise, so truth stays exact.
    """
    rows["arrival"] = rows["time"]
    if not world.configuration.noise:
        return rows
    law, rng = world.configuration.parameters.noise, generator(world.seed, _NOISE_SOURCE, day)
    n = len(rows)
    late = rng.random(n) < law.late
    rows["arrival"][late] += (rng.uniform(*law.late_hours, int(late.sum())) * HOUR_MS).astype(np.int64)
    accepted = rows[:0]
    if law.attempted:  # some are first attempts: the same payments are accepted within a minute
        attempted = (rng.random(n) < law.attempted) & (rows["status"] == 0)
        accepted = _copies(rng, rows[attempted], STATUS_UPDATE, (500, 60_000))
        rows["status"][attempted] = STATUSES.index("attempted")
    damaged = _copies(rng, rows[rng.random(n) < law.malformed], MALFORMED)
    repeats = _copies(rng, rows[rng.random(n) < law.duplicate], REPEAT, (500, 6 * HOUR_MS))
    returned = (rng.random(n) < law.returned) & (rows["status"] == 0)
    returns = _copies(rng, rows[returned], STATUS_UPDATE, (HOUR_MS, 5 * 24 * HOUR_MS))
    returns["status"] = STATUSES.index("returned")
    return joined([damaged, rows, repeats, returns, accepted])


def _copies(rng: Generator, chosen: Rows, kind: int, delay_ms: tuple[int, int] | None = None) -> Rows:
    """``chosen``, which is a copy already, as records of another ``kind`` that arrive later."""
    chosen["kind"] = kind
    if delay_ms is not None:
        chosen["arrival"] += rng.integers(*delay_ms, len(chosen))
    return chosen

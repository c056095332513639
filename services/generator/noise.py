"""What happens to records on their way: some come late, twice, in another state, or damaged before they come well."""

from __future__ import annotations

import numpy as np

from services.contract.units import HOUR_MS
from services.generator.chance import Generator, generator
from services.generator.parameters import NoiseLaw
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
    accepted = _attempts(law, rng, rows) if law.attempted else rows[:0]
    return joined([_damaged(law, rng, rows), rows, _repeats(law, rng, rows), _returns(law, rng, rows), accepted])


def _attempts(law: NoiseLaw, rng: Generator, rows: Rows) -> Rows:
    """Make some of ``rows`` attempts; returned are the same payments as they are accepted within a minute."""
    attempted = (rng.random(len(rows)) < law.attempted) & (rows["status"] == 0)
    copies: Rows = rows[attempted].copy()
    rows["status"][attempted] = STATUSES.index("attempted")
    copies["kind"] = STATUS_UPDATE
    copies["arrival"] += rng.integers(500, 60_000, len(copies))
    return copies


def _damaged(law: NoiseLaw, rng: Generator, rows: Rows) -> Rows:
    copies = rows[rng.random(len(rows)) < law.malformed].copy()
    copies["kind"] = MALFORMED
    return copies


def _repeats(law: NoiseLaw, rng: Generator, rows: Rows) -> Rows:
    copies = rows[rng.random(len(rows)) < law.duplicate].copy()
    copies["kind"] = REPEAT
    copies["arrival"] += rng.integers(500, 6 * HOUR_MS, len(copies))
    return copies


def _returns(law: NoiseLaw, rng: Generator, rows: Rows) -> Rows:
    copies: Rows = rows[(rng.random(len(rows)) < law.returned) & (rows["status"] == 0)].copy()
    copies["kind"], copies["status"] = STATUS_UPDATE, STATUSES.index("returned")
    copies["arrival"] += rng.integers(HOUR_MS, 5 * 24 * HOUR_MS, len(copies))
    return copies

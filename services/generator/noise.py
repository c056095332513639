"""What happens to records on their way: some come late, twice, in another state, or damaged before they come well."""

from __future__ import annotations

import numpy as np
import orjson

from services.contract.units import HOUR_MS
from services.generator.chance import Generator, generator
from services.generator.people import World
from services.generator.rows import MALFORMED, REPEAT, STATUS_UPDATE, STATUSES, Rows, joined

_NOISE_SOURCE = 203
DAMAGES = ("truncated", "not_json", "no_payer", "amount_as_text", "currency_unknown", "negative", "not_an_object")


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
    broken = _copies(rng, rows[rng.random(n) < law.malformed], MALFORMED)
    repeats = _copies(rng, rows[rng.random(n) < law.duplicate], REPEAT, (500, 6 * HOUR_MS))
    returned = (rng.random(n) < law.returned) & (rows["status"] == 0)
    returns = _copies(rng, rows[returned], STATUS_UPDATE, (HOUR_MS, 5 * 24 * HOUR_MS))
    returns["status"] = STATUSES.index("returned")
    return joined([broken, rows, repeats, returns, accepted])


def _copies(rng: Generator, chosen: Rows, kind: int, delay_ms: tuple[int, int] | None = None) -> Rows:
    """``chosen``, which is a copy already, as records of another ``kind`` that arrive later."""
    chosen["kind"] = kind
    if delay_ms is not None:
        chosen["arrival"] += rng.integers(*delay_ms, len(chosen))
    return chosen


def damaged(value: bytes, kind: int) -> bytes:
    """A record that no decoder may accept, made of a good one; ``kind`` chooses how.

    >>> damaged(b'{"payment_id":"p","amount_minor":5}', 3)
    b'{"payment_id":"p","amount_minor":"5.00"}'
    """
    name = DAMAGES[kind % len(DAMAGES)]
    if name == "truncated":
        return value[: len(value) // 2]
    if name == "not_json":
        return b"PMT|" + value[1:40].replace(b'"', b"|")
    if name == "not_an_object":
        return b"[" + value + b"]"
    fields = orjson.loads(value)
    if name == "no_payer":
        del fields["payer"]
    elif name == "amount_as_text":
        fields["amount_minor"] = f"{fields['amount_minor']}.00"
    elif name == "currency_unknown":
        fields["currency"] = "XXX"
    else:
        fields["amount_minor"] = -1 - fields["amount_minor"]
    return orjson.dumps(fields)

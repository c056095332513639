"""How a demo sends its stream: which stretches, how fast, and how often a model is made. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

LEAD_SHARE, BULK_SHARE, BLOCKS = 0.01, 0.40, 5
PACED_SHARE, PACED_MAX = 0.10, 8_000
PACED_PER_SECOND = 1_000
"""Rate of the last stretch, on average: a small part of what one scorer can do, so no backlog hides in the latency."""
SNAPSHOTS_WANTED = 12
SNAPSHOT_EXAMPLES = (50, 1_000)


@dataclass(frozen=True, slots=True)
class Stretch:
    """A run of consecutive payments: ``lead`` warms up, ``bulk`` and ``block`` go as fast as possible, ``paced`` does
    not."""

    kind: Literal["lead", "bulk", "block", "paced"]
    payments: int


def stretches(count: int) -> list[Stretch]:
    """The stretches of ``count`` payments; together they are all of them.

    >>> [(each.kind, each.payments) for each in stretches(1_000)][:3]
    [('lead', 10), ('bulk', 390), ('block', 100)]
    """
    lead, bulk = max(1, int(count * LEAD_SHARE)), int(count * BULK_SHARE)
    paced = min(PACED_MAX, int(count * PACED_SHARE))
    bounds = [bulk + (count - paced - bulk) * at // BLOCKS for at in range(BLOCKS + 1)]
    blocks = [Stretch("block", stop - start) for start, stop in pairwise(bounds)]
    planned = [Stretch("lead", lead), Stretch("bulk", bulk - lead), *blocks, Stretch("paced", paced)]
    return [each for each in planned if each.payments > 0]


def snapshot_examples(count: int) -> int:
    """Examples between two models, so that about ``SNAPSHOTS_WANTED`` are made: a tenth of payments gets a label."""
    least, most = SNAPSHOT_EXAMPLES
    return min(most, max(least, count // 10 // SNAPSHOTS_WANTED))

"""What measurements say, without measuring: shares of a distribution, ratios, and figures of several runs as one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

QUANTILES = {"p50": 0.5, "p99": 0.99, "p999": 0.999}


def latencies_ms(due_s: NDArray[np.float64], seen_s: NDArray[np.float64]) -> dict[str, float]:
    """Latency of payments that were due at ``due_s`` and whose decisions were seen at ``seen_s`` (both float64[n],
    seconds of one clock), in milliseconds: ``QUANTILES`` by nearest rank, and ``max``.

    >>> latencies_ms(np.zeros(4), np.array([0.001, 0.002, 0.003, 0.004]))
    {'p50': 2.0, 'p99': 4.0, 'p999': 4.0, 'max': 4.0}

    Raises
    ------
    ValueError
        When there is none.
    """
    waited_ms = np.sort(1e3 * (seen_s - due_s))
    if not len(waited_ms):
        raise ValueError("there is no latency to rank")
    ranks = {name: max(0, int(np.ceil(share * len(waited_ms))) - 1) for name, share in QUANTILES.items()}
    return {**{name: _ms(waited_ms[at]) for name, at in ranks.items()}, "max": _ms(waited_ms[-1])}


def _ms(value: float) -> float:
    return round(float(value), 2)


def ratios(ours: Mapping[str, float], baselines: Mapping[str, Mapping[str, Any]], figure: str) -> dict[str, float]:
    """Our ``figure`` divided by that of each baseline that has one.

    >>> ratios({"payments_per_second": 30.0}, {"a": {"payments_per_second": 4}, "b": {"skipped": "no Java"}},
    ...        "payments_per_second")
    {'a': 7.5}
    """
    return {
        name: round(float(ours[figure]) / float(each[figure]), 2) for name, each in baselines.items() if figure in each
    }


def merged(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Figures of an earlier run with those of a later one over them, at every depth.

    What was skipped, then or now, and what was measured replace one another whole.

    >>> merged({"a": {"x": {"p50": 1}, "y": {"p50": 2}}, "b": 3}, {"a": {"y": {"skipped": "why"}}, "c": 4})
    {'a': {'x': {'p50': 1}, 'y': {'skipped': 'why'}}, 'b': 3, 'c': 4}
    """
    out = dict(before)
    for name, value in now.items():
        known = out.get(name)
        if isinstance(known, Mapping) and isinstance(value, Mapping) and not {"skipped"} & {*known, *value}:
            out[name] = merged(known, value)
        else:
            out[name] = value
    return out


def growth_of(costs: Mapping[int, float]) -> float:
    """How many times the cost with the fewest accounts that with the most is; ``costs`` are by number of accounts.

    >>> growth_of({10_000: 4.0, 100_000: 4.5, 1_000_000: 5.0})
    1.25
    """
    return round(costs[max(costs)] / costs[min(costs)], 2)

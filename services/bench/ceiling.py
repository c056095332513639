"""The ceiling: what the same records cost in aiokafka and orjson when nothing is done with them.

Each hop reads a batch, decodes every payment and encodes it again; the second writes a lean decision instead. There is
no state, no feature and no model, so whatever moves records one by one in Python cannot be faster. Run by ``tocsin
bench`` as a process of its own.
"""

from __future__ import annotations

import orjson

from services.bench.plain import run_hops


def forwarded(value: bytes) -> tuple[bytes, bytes]:
    """A payment as it came, to its payee."""
    payment = orjson.loads(value)
    return payment["payee"]["account"].encode(), orjson.dumps(payment)


def decided(value: bytes) -> tuple[bytes, bytes]:
    """A lean decision on it, always the same."""
    payment = orjson.loads(value)
    decision = {
        "payment_id": payment["payment_id"],
        "event_time_ms": payment["event_time_ms"],
        "outcome": "pass",
        "score": -6.0,
        "probability": 0.0024726231566347743,
    }
    return payment["payee"]["account"].encode(), orjson.dumps(decision)


if __name__ == "__main__":
    run_hops(forwarded, decided)

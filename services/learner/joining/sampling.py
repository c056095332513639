"""Which decisions are kept for labels that may come: all of interest, and of the rest a weighted random share.

A decision is kept if a number that its payment's digest gives, uniform in [0, 1), lies below its *inclusion
probability* pi. So it is the same decisions on any replay, in any order. What is learned of a kept decision weighs
1 / pi times as much, which makes every weighted sum an unbiased estimate of the sum over all decisions (Horvitz and
Thompson 1952; sampling as theirs, with a permanent random number, is Poisson sampling).

pi grows with the probability as served: what is rare and likely to be labelled is kept, and weights stay small where
suspicious payments are. As ``E[pi] <= share + E[p] / certain``, a model that is calibrated at one suspicious payment in
a thousand keeps at most two in a hundred more than the share, at the defaults.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.contract.payment_digests import Digests
from services.contract.served import HIT, PASS, Served

_BITS = 48
"""Of a digest, that make the number."""
_NUMBERS = 1 << _BITS


def inclusion(served: Served, share: float, certain: float) -> NDArray[np.float64]:
    """float64[n]: the probability with which each decision is kept: 1 for a review, any rule that hit, and a
    probability of ``certain`` or more; else what its probability is of ``certain``, and ``share`` at least.

    A typology pack's finding makes a review, so all findings are kept.
    """
    of_interest = (served.outcome != PASS) | (served.rules == HIT).any(axis=1)
    return np.where(of_interest, 1.0, np.minimum(1.0, np.maximum(share, served.probability / certain)))


def drawn(payment: bytes) -> float:
    """The number in [0, 1) of the payment with the key ``payment`` (``services.contract.payment_digests``).

    >>> drawn(bytes(16)), drawn(b"\\x80" + bytes(15)), drawn(b"\\xff" * 16) < 1.0
    (0.0, 0.5, True)
    """
    return int.from_bytes(payment[: _BITS // 8], "big") / _NUMBERS


def all_drawn(digests: Digests) -> NDArray[np.float64]:
    """float64[n]: the numbers of n payments, as ``drawn`` has them.

    >>> all_drawn(np.array([[1 << 63, 7]], dtype=np.uint64)).tolist()
    [0.5]
    """
    numbers: NDArray[np.float64] = (digests[:, 0] >> np.uint64(64 - _BITS)) / _NUMBERS
    return numbers

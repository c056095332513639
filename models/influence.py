"""How much labels can move a model, whoever writes them: bounds that honest labels hardly meet and poisoned ones do.

Labels can be wrong by accident or on purpose, and learners believe them. Three things bound what they can do:

- **One account.** Of the latest ``WINDOW_LABELS`` labels at most ``ACCOUNT_LABELS_MAX`` about payments of one payer are
  learned: a burst about one account teaches as much as a few labels about it do. Order alone counts, not the times
  that labels claim.
- **One label, in a batch.** A suspicious label weighs at most ``MEDIANS_MAX`` times the median one. Weights undo
  sampling, and suspicious labels are rare: one that claims to stand for thousands would outvote all others.
- **One label, online.** ``GRADIENT_MAX`` of the logistic model and the corrector.
"""

from __future__ import annotations

from collections import Counter, deque

import numpy as np
from numpy.typing import NDArray

from services.contract.identity import digest64

WINDOW_LABELS = 8_192
ACCOUNT_LABELS_MAX = 10
MEDIANS_MAX = 10.0


class AccountLimit:
    """Which labels are learned, one by one. It remembers digests of the accounts of the latest ``window`` labels.

    >>> limit = AccountLimit(window=3, most=1)
    >>> [limit.admits(account) for account in ("a", "a", "b", "a", "a")]
    [True, False, True, True, False]

    Parameters
    ----------
    packed
        Of ``pack``: where to go on.
    """

    def __init__(self, window: int = WINDOW_LABELS, most: int = ACCOUNT_LABELS_MAX, packed: bytes = b"") -> None:
        self._window, self._most = window, most
        self._latest: deque[tuple[int, bool]] = deque()
        self._learned: Counter[int] = Counter()
        for each in np.frombuffer(packed, dtype="<u8").tolist():
            self._remember(each >> 1, bool(each & 1))

    def admits(self, account: str) -> bool:
        """Whether the next label, about a payment of ``account``, is learned."""
        name = digest64(account) >> 1
        if len(self._latest) == self._window:
            oldest, was_learned = self._latest.popleft()
            self._learned[oldest] -= was_learned
            if not self._learned[oldest]:
                del self._learned[oldest]
        learned = self._learned[name] < self._most
        self._remember(name, learned)
        return learned

    def pack(self) -> bytes:
        """All that its future depends on, as little-endian 64-bit words, oldest first: 63 bits of the account's digest,
        and whether its label was learned."""
        return np.array([name << 1 | learned for name, learned in self._latest], dtype="<u8").tobytes()

    def _remember(self, name: int, learned: bool) -> None:
        self._latest.append((name, learned))
        self._learned[name] += learned


def bounded_weights(labels: NDArray[np.bool_], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """float64[n]: ``weights``, of suspicious labels at most ``MEDIANS_MAX`` times their median.

    >>> bounded_weights(np.array([True, True, True, False]), np.array([1.0, 1.0, 1000.0, 1000.0])).tolist()
    [1.0, 1.0, 10.0, 1000.0]
    """
    if not labels.any():
        return weights
    return np.where(labels, np.minimum(weights, MEDIANS_MAX * np.median(weights[labels])), weights)

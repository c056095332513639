"""How much labels can move a model, whoever writes them: bounds that honest labels hardly meet and poisoned ones do.

Labels can be wrong by accident or on purpose, and learners believe them. Three things bound what they can do:

- **One account.** Of the latest ``WINDOW_LABELS`` labels those learned about payments of one payer say one thing at
  most ``ACCOUNT_LABELS_MAX`` times more often than the other: a burst about one account teaches as much as a few labels
  do, and what contradicts it is always learned. Order alone counts, not the times that labels claim. Learner and
  workbench have the same limit; neither limits silence, which nobody can write.
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

ACCOUNT_LIMIT: dict[str, int] = {"window_labels": WINDOW_LABELS, "account_labels_max": ACCOUNT_LABELS_MAX}
"""What decides which labels an account's limit admits, for the definition of what learns them."""


class AccountLimit:
    """Which labels are learned, one by one. It remembers digests of the accounts of the latest ``window`` labels.

    >>> limit = AccountLimit(window=100, most=2)
    >>> [limit.admits("t", "a", suspicious=True) for _ in range(4)], limit.admits("t", "b", suspicious=True)
    ([True, True, False, False], True)
    >>> limit.admits("t", "a", suspicious=False), limit.admits("t", "a", suspicious=True)
    (True, True)

    Parameters
    ----------
    packed
        Of ``pack``: where to go on.
    """

    def __init__(self, window: int = WINDOW_LABELS, most: int = ACCOUNT_LABELS_MAX, packed: bytes = b"") -> None:
        self._window, self._most = window, most
        self._latest: deque[tuple[int, int]] = deque()
        self._surplus: Counter[int] = Counter()
        """Of suspicious labels among those learned, by account; negative where the others are more."""
        for each in np.frombuffer(packed, dtype="<u8").tolist():
            self._remember(each >> 2, (each & 3) - 1)

    def admits(self, tenant: str, payer: str, suspicious: bool) -> bool:
        """Whether the next label, about a payment of the account ``payer`` of ``tenant``, is learned."""
        name, says = digest64(f"{tenant}\0{payer}") >> 2, 1 if suspicious else -1
        if len(self._latest) == self._window:
            oldest, said = self._latest.popleft()
            self._surplus[oldest] -= said
            if not self._surplus[oldest]:
                del self._surplus[oldest]
        learned = says * self._surplus[name] < self._most
        self._remember(name, says if learned else 0)
        return learned

    def pack(self) -> bytes:
        """All that its future depends on, as little-endian 64-bit words, oldest first: 62 bits of the account's digest,
        and 0, 1 or 2 for a label that was learned as not suspicious, not learned, or learned as suspicious."""
        return np.array([name << 2 | said + 1 for name, said in self._latest], dtype="<u8").tobytes()

    def _remember(self, name: int, said: int) -> None:
        self._latest.append((name, said))
        self._surplus[name] += said


def bounded_weights(labels: NDArray[np.bool_], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """float64[n]: ``weights``, of suspicious labels at most ``MEDIANS_MAX`` times their median.

    >>> bounded_weights(np.array([True, True, True, False]), np.array([1.0, 1.0, 1000.0, 1000.0])).tolist()
    [1.0, 1.0, 10.0, 1000.0]
    """
    if not labels.any():
        return weights
    return np.where(labels, np.minimum(weights, MEDIANS_MAX * np.median(weights[labels])), weights)

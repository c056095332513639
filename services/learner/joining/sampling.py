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

from services.learner.joining.records import ServedDecision
from services.scorer.path.scoring.model import probability


def inclusion(decision: ServedDecision, share: float, certain: float) -> float:
    """The probability with which ``decision`` is kept: 1 for a review, any rule that hit, and a probability of
    ``certain`` or more; else what its probability is of ``certain``, and ``share`` at least.

    A typology pack's finding makes a review, so all findings are kept.
    """
    if decision.outcome != "pass" or any(rule.outcome == "hit" for rule in decision.rules):
        return 1.0
    return min(1.0, max(share, probability(decision.score) / certain))


def drawn(payment: bytes) -> float:
    """The number in [0, 1) of the payment with the digest ``payment`` (``join.payment_key``).

    >>> drawn(bytes(16)), drawn(b"\\x80" + bytes(15)), drawn(b"\\xff" * 16) < 1.0
    (0.0, 0.5, True)
    """
    return int.from_bytes(payment[:6], "big") / 2**48

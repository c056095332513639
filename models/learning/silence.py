"""What it says that nobody said anything: how surely an unlabelled payment is not suspicious. Pure.

Elkan and Noto (*Learning classifiers from only positive and unlabeled data*, KDD 2008) take an unlabelled payment for
two examples: suspicious with the weight ``w = P(y = 1 | x, s = 0)`` and not suspicious with ``1 - w``, where ``y`` says
whether it is suspicious and ``s`` whether that was ever labelled. With ``c = P(s = 1 | y = 1)`` and
``g = P(s = 1 | x)`` they find ``w = (1 - c)/c * g/(1 - g)``.

What is served is not their ``g``, the probability of being *labelled* suspicious, but ``f = P(y = 1 | x)``: models here
learn from labels of either kind, and of silence with these very weights. Their first lemma is ``g = c f``, so
``w = (1 - c) f / (1 - c f)``. That is a probability for all ``f`` and ``c``, so nothing has to be clipped.
"""

from __future__ import annotations

from services.scorer.path.scoring.model import probability


def certainty(score: float, label_frequency: float) -> float:
    """``1 - w``: the probability that an unlabelled payment is not suspicious, (1 - f) / (1 - c f).

    Parameters
    ----------
    score
        Log-odds as served; ``f`` is their probability.
    label_frequency
        ``c``, above 0 and at most 1: the share of suspicious payments that ever get a label. At 1 silence proves that
        a payment is not suspicious.

    >>> round(certainty(0.0, 0.3), 4), certainty(0.0, 1.0)
    (0.5882, 1.0)
    >>> round(certainty(4.0, 0.3), 4)
    0.0255
    """
    fine = probability(-score)
    # 1 - c f, without the cancellation where f is near 1. Beyond 745 log-odds nothing is left of 1 - f.
    return fine / (fine + (1.0 - label_frequency) * probability(score)) if fine > 0.0 else 0.0

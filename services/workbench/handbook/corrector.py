"""An online corrector: logistic regression over the ensemble's log-odds and a few features, one label at a time.

It starts as the ensemble itself (weight 1 on its log-odds, nothing else) and never stops learning, so it follows what
has changed since the ensemble was last fitted: its level, its sharpness, and how much the labels' own features weigh.
The handbook's figures were measured with it: each weight's rate follows that weight's own gradients (AdaGrad), while
the corrector that is served (``models/kinds/corrector.py``) has constant rates and bounded steps.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.measures import Flags, Floats, Whole
from services.workbench.handbook.served import LABEL

INPUT_MAX = 8.0
"""Log-odds and features are cut to this on either side: one odd value must not move the weights far."""


def corrected(
    log_odds: Floats, inputs: Floats, truth: Flags, payment: Whole, kinds: NDArray[np.uint8], rate: float
) -> Floats:
    """Walk a log of payments and labels, predicting at each payment and learning at each label.

    Parameters
    ----------
    log_odds
        float64[n], the ensemble's, as served; NaN where no ensemble was serving yet: such a payment is left alone.
    inputs
        float64[n, k], scaled to about 1.
    truth
        bool[n], read at the label's entry only.
    payment, kinds
        The log, as ``label_log`` gives it.
    rate
        Learning rate of AdaGrad.

    Returns
    -------
    float64[n], corrected log-odds; NaN where there were none.
    """
    served = np.full(len(log_odds), np.nan)
    _walk(log_odds, inputs, truth, payment, kinds == LABEL, rate, served)
    return served


@njit
def _walk(
    log_odds: Any, inputs: Any, truth: Any, payment: Any, is_label: Any, rate: float, served: Any
) -> None:  # fmt: skip
    k = inputs.shape[1] + 2
    weights, squares, x = np.zeros(k), np.ones(k), np.empty(k)
    weights[1] = 1.0
    for at in range(len(payment)):
        i = payment[at]
        if np.isnan(log_odds[i]):
            continue
        x[0], x[1] = 1.0, min(max(log_odds[i], -INPUT_MAX), INPUT_MAX)
        for j in range(2, k):
            x[j] = min(max(inputs[i, j - 2], -INPUT_MAX), INPUT_MAX)
        z = 0.0
        for j in range(k):
            z += weights[j] * x[j]
        if not is_label[at]:
            # What the cut takes off the log-odds still orders the payments beyond it.
            served[i] = z + weights[1] * (log_odds[i] - x[1])
            continue
        error = 1.0 / (1.0 + np.exp(-z)) - (1.0 if truth[i] else 0.0)
        for j in range(k):
            gradient = error * x[j]
            squares[j] += gradient * gradient
            weights[j] -= rate * gradient / np.sqrt(squares[j])

"""Features as the models that learn payment by payment take them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.scorer.path.scoring.model import read_features

READ_MAX = 1e6
"""A value beyond it, as read, is none that our features can have: it counts as missing. As learning has it."""


def learnable(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Served features as read (``read_features``), NaN also where the value is beyond ``READ_MAX``: what River is given
    by name, and NaN for what it is not given. float64[n, k] to float64[n, k]."""
    with np.errstate(invalid="ignore", divide="ignore"):
        read = read_features(features)
    read[~((read >= -READ_MAX) & (read <= READ_MAX))] = np.nan
    return read

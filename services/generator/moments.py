"""What the laws come to: means, medians and shares of the distributions that are specified."""

from __future__ import annotations

import math

import msgspec
import numpy as np

from services.generator.lsac import rest_weights
from services.generator.parameters import AmountMix, LsacLaw


def n_moments(law: LsacLaw) -> tuple[float, float, float]:
    """Mean and deviation of the number of payments, and the share of payers with two or more.

    >>> from services.generator.parameters import shipped_parameters
    >>> [round(each, 2) for each in n_moments(shipped_parameters().lsac)]
    [10.78, 39.84, 0.58]
    """
    mu, sigma, cap = law.n
    k = np.arange(1, cap)
    above = np.array([0.5 * math.erfc((math.log(each) - mu) / sigma / math.sqrt(2.0)) for each in k.tolist()])
    mean = 1.0 + float(above.sum())
    square = 1.0 + float(((2 * k + 1) * above).sum())
    return mean, math.sqrt(square - mean**2), float(above[0])


def mix_share(mix: AmountMix, low: float, high: float) -> float:
    """The share of a mixture of lognormals between two amounts."""

    def below(amount: float) -> float:
        parts = zip(mix.weights, mix.medians, mix.sigmas, strict=True)
        return sum(w * 0.5 * math.erfc(-(math.log(amount / m)) / s / math.sqrt(2.0)) for w, m, s in parts)

    return below(high) - below(low)


def split_mix(law: LsacLaw, mix: AmountMix) -> tuple[AmountMix, AmountMix]:
    """The mixtures of the flat-cheap payers and of the rest."""
    rest = rest_weights(mix, law.flat_share)
    return msgspec.structs.replace(mix, weights=mix.flat_weights), msgspec.structs.replace(mix, weights=rest)


def mix_moments(mix: AmountMix) -> tuple[float, float, float]:
    """Median, mean and deviation of a mixture of lognormals.

    >>> from services.generator.parameters import shipped_parameters
    >>> [round(each) for each in mix_moments(shipped_parameters().lsac.amounts_aud["base"])[:2]]
    [77, 170]
    """
    low, high = 0.01, 1e6
    while high / low > 1.0001:
        middle = math.sqrt(low * high)
        low, high = (middle, high) if mix_share(mix, 1e-9, middle) < 0.5 else (low, middle)
    parts = list(zip(mix.weights, mix.medians, mix.sigmas, strict=True))
    mean = sum(w * m * math.exp(s * s / 2.0) for w, m, s in parts)
    square = sum(w * m * m * math.exp(2.0 * s * s) for w, m, s in parts)
    return low, mean, math.sqrt(square - mean * mean)

"""Chance that depends on a key, not on what was drawn before: any day of any population can be drawn alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Bools: TypeAlias = NDArray[np.bool_]
Words: TypeAlias = NDArray[np.uint64]
Generator = np.random.Generator

_MASK = (1 << 64) - 1
_A, _B, _C = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def generator(seed: int, source: int, day: int = 0) -> Generator:
    """The generator of one population and day: Philox, a counter-based one (Salmon et al., SC 2011).

    >>> float(generator(7, 1, 2).random()) == float(generator(7, 1, 2).random())
    True
    """
    key = np.array([mix(seed), source << 40 | day & (1 << 40) - 1], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key))


def mix(number: int) -> int:
    """A permutation of 64-bit numbers without visible pattern (SplitMix64's, Steele et al., OOPSLA 2014).

    >>> hex(mix(1))
    '0x910a2dec89025cc1'
    """
    z = (number + _A) & _MASK
    z = (z ^ z >> 30) * _B & _MASK
    z = (z ^ z >> 27) * _C & _MASK
    return z ^ z >> 31


def mixed(numbers: NDArray[Any], salt: int = 0) -> Words:
    """``mix`` of every ``number ^ salt``."""
    z: Words = (numbers.astype(np.uint64) ^ np.uint64(salt & _MASK)) + np.uint64(_A)
    z = (z ^ z >> np.uint64(30)) * np.uint64(_B)
    z = (z ^ z >> np.uint64(27)) * np.uint64(_C)
    return z ^ z >> np.uint64(31)


def share_of(numbers: NDArray[Any], salt: int) -> Floats:
    """A number in [0, 1) that belongs to each of ``numbers`` for ever."""
    return (mixed(numbers, mix(salt)) >> np.uint64(11)).astype(np.float64) / (1 << 53)


def normal_of(bits: Words) -> Floats:
    """A nearly normal number that belongs to each of ``bits`` for ever: the sum of four uniform ones."""
    parts = [(bits >> np.uint64(at) & np.uint64(0xFFFF)).astype(np.float64) / 65_536.0 for at in (0, 16, 32, 48)]
    normal: Floats = (np.sum(parts, axis=0) - 2.0) * np.sqrt(3.0)
    return normal


def lognormal(rng: Generator, median: float, sigma: float, n: int) -> Floats:
    """``n`` draws of a lognormal given by its median and the deviation of its logarithm."""
    return median * np.exp(sigma * rng.standard_normal(n))


class Choice:
    """A draw of one of several codes, by weight. Weights need not add up to one."""

    def __init__(self, codes: Sequence[int], weights: Sequence[float]) -> None:
        self._codes = np.array(codes, dtype=np.int64)
        self._edges = np.cumsum(np.array(weights, dtype=np.float64))
        self._edges /= self._edges[-1]

    def spread(self, rng: Generator, sigma: float) -> Choice:
        """The same codes, each weight by a lognormal factor of its own."""
        weights = np.diff(self._edges, prepend=0.0) * lognormal(rng, 1.0, sigma, len(self._edges))
        return Choice(self._codes.tolist(), weights.tolist())

    def of(self, uniform: Floats) -> Ints:
        """The codes that ``uniform`` numbers choose."""
        chosen: Ints = self._codes[
            np.minimum(np.searchsorted(self._edges, uniform, side="right"), len(self._codes) - 1)
        ]
        return chosen

    def draw(self, rng: Generator, n: int) -> Ints:
        """``n`` codes."""
        return self.of(rng.random(n))


def pick(rng: Generator, shares: Mapping[str, float]) -> str:
    """One of the names of ``shares``, by weight."""
    return list(shares)[int(Choice(range(len(shares)), list(shares.values())).draw(rng, 1)[0])]


def choice_of(names: Sequence[str], shares: Mapping[str, float]) -> Choice:
    """The choice among ``names`` that ``shares`` describe; its codes are positions in ``names``."""
    return Choice([names.index(name) for name in shares], list(shares.values()))

"""A voting forest as flat arrays: trees that each give both classes a share of their vote; and as a model that decides.

The share of the votes that says suspicious is the library's own, to the bit. Served are its log-odds,
``log(share + floor) - log(1 - share + floor)``: a forest in which no tree says suspicious has seen nothing like a
payment, which is not the same as that it cannot be.

Contributions. Each node has votes: a leaf its own, any other node the mean of its leaves. ``S`` and ``I`` are the sums
of what a payment's leaves vote, ``S0`` and ``I0`` those of the roots, ``dS`` and ``dI`` what the splits of one feature
change along the paths. The share moves from ``S0 / (S0 + I0)`` to ``S / (S + I)``. That move is a sum over features,
exactly: ``(dS * I0 - dI * S0) / ((S + I) * (S0 + I0))``. A feature's contribution is its part of the move, times the
log-odds that the whole move is worth for each unit of it. So contributions and bias, the log-odds at the roots, add up
to the score; where features move the share to and fro, they say so with both signs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import orjson
from numpy.typing import NDArray

from services.contract.identity import hash_of
from services.scorer.path.features import FEATURES
from services.scorer.path.model import ModelRefused
from services.scorer.path.packed import pack, unpack
from services.scorer.path.readings import learnable
from services.scorer.path.trees import LAYOUT, Trees

KIND = "votes"
VOTE_MAX = 1e6
SHARE_FLOOR = 1e-4
"""Log-odds are at most 9.2 in size: more than that, ten trees cannot tell."""
_MOVE_MIN = 1e-9
"""A share that moved less counts as one that stood still: there the secant is the tangent."""
_ARRAYS = {**LAYOUT, "suspicious": "<f8", "innocent": "<f8"}


@dataclass(frozen=True, eq=False)
class VotingForest:
    """Trees over features as learning reads them. ``suspicious`` and ``innocent`` float64[m]: the two votes of a leaf;
    of any other node, of its mean leaf.

    Raises
    ------
    ModelRefused
        When a vote is negative or beyond ``VOTE_MAX``.
    """

    version: int
    feature_schema_hash: str
    trees: Trees
    suspicious: NDArray[np.float64]
    innocent: NDArray[np.float64]

    def __post_init__(self) -> None:
        for votes in (self.suspicious, self.innocent):
            if len(votes) != len(self.trees) or not ((votes >= 0.0) & (votes <= VOTE_MAX)).all():
                raise ModelRefused(f"not a vote from 0 to {VOTE_MAX:.0e} for each of {len(self.trees)} nodes")

    @cached_property
    def packed(self) -> bytes:
        """All that decides a probability, as bytes; ``votes_from`` gives the forest back."""
        arrays = {**self.trees.arrays(), "suspicious": self.suspicious, "innocent": self.innocent}
        return pack(KIND, self.feature_schema_hash, {"zero_below": self.trees.zero_below}, arrays)

    @cached_property
    def hash(self) -> str:
        """SHA-256 of ``packed``; the version is only a number."""
        return hash_of(self.packed)

    def probabilities(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """The share of the votes that says suspicious, 0 where nobody votes.

        Parameters
        ----------
        features
            float64[n, k] as served: natural units, NaN where missing.

        Returns
        -------
        float64[n], from 0 to 1.
        """
        return self._share(learnable(features))[0]

    def moves(self, features: NDArray[np.float64]) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
        """The share at the roots, the share of each payment, and the part that each feature has in the difference.

        Parameters
        ----------
        features
            float64[n, k] as served.

        Returns
        -------
        share at the roots, shares float64[n], parts float64[n, k]. Where nobody votes, the share is that of the roots.
        """
        read = learnable(features)
        shares, cast = self._share(read)
        for_it, against = (math.fsum(votes[self.trees.roots].tolist()) for votes in (self.suspicious, self.innocent))
        suspicious, innocent = np.zeros(features.shape), np.zeros(features.shape)
        self.trees.paths(read, self.suspicious, suspicious)
        self.trees.paths(read, self.innocent, innocent)
        scale = cast * (for_it + against)
        parts = suspicious * against - innocent * for_it
        parts = np.divide(parts, scale[:, None], out=np.zeros_like(parts), where=scale[:, None] > 0.0)
        at_roots = for_it / (for_it + against) if for_it + against > 0.0 else 0.0
        return at_roots, np.where(cast > 0.0, shares, at_roots), parts

    def _share(self, read: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        suspicious = self.trees.sums(read, self.suspicious)
        cast = suspicious + self.trees.sums(read, self.innocent)
        return np.divide(suspicious, cast, out=np.zeros_like(cast), where=cast > 0.0), cast


@dataclass(frozen=True, eq=False)
class VotingModel:
    """A voting forest with its operating threshold."""

    forest: VotingForest
    review_probability: float
    explains_all: ClassVar[bool] = True

    @property
    def version(self) -> int:
        """As ``Model``."""
        return self.forest.version

    @property
    def feature_schema_hash(self) -> str:
        """As ``Model``."""
        return self.forest.feature_schema_hash

    @cached_property
    def hash(self) -> str:
        """As ``Model``."""
        parameters = {
            "kind": "adaptive_forest",
            "votes": self.forest.hash,
            "share_floor": SHARE_FLOOR,
            "review_probability": self.review_probability,
        }
        return hash_of(orjson.dumps(parameters, option=orjson.OPT_SORT_KEYS))

    @cached_property
    def bias(self) -> float:
        """As ``Model``: the log-odds at the roots, of the mean of what it has learned."""
        return share_log_odds(self.forest.moves(np.empty((0, len(FEATURES))))[0])

    def scores(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """As ``Model``: ``share_log_odds`` of the votes' share, within 1e-12."""
        return self.contributions(features)[1]

    def contributions(self, features: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """As ``Model``; scores are bias and contributions added in canonical order."""
        at_roots, shares, parts = self.forest.moves(features)
        move = shares - at_roots
        wide = np.abs(move) > _MOVE_MIN
        worth = np.array([share_log_odds(share) for share in shares.tolist()]) - self.bias
        tangent = 1.0 / (at_roots + SHARE_FLOOR) + 1.0 / (1.0 - at_roots + SHARE_FLOOR)
        slope = np.divide(worth, move, out=np.full_like(move, tangent), where=wide)
        out = parts * slope[:, None]
        sums = np.cumsum(np.column_stack([np.full(len(out), self.bias), out]), axis=1)  # one after the other
        return out, sums[:, -1].copy()


def share_log_odds(share: float) -> float:
    """Log-odds of a share of votes from 0 to 1.

    >>> share_log_odds(0.5), round(share_log_odds(0.0), 1)
    (0.0, -9.2)
    """
    return math.log(share + SHARE_FLOOR) - math.log(1.0 - share + SHARE_FLOOR)


def votes_from(packed: bytes, version: int, feature_schema_hash: str) -> VotingForest:
    """The forest that ``VotingForest.packed`` was taken of.

    Raises
    ------
    ModelRefused
        When it is not a voting forest for this feature schema whose walks end and whose votes can be counted.
    """
    numbers, arrays = unpack(packed, KIND, feature_schema_hash, {"zero_below": float}, _ARRAYS)
    suspicious, innocent = arrays.pop("suspicious"), arrays.pop("innocent")
    trees = Trees(**arrays, zero_below=numbers["zero_below"])
    return VotingForest(version, feature_schema_hash, trees, suspicious, innocent)

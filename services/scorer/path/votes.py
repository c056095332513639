"""A voting forest as flat arrays: trees that each give both classes a share of their vote."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from services.contract.identity import hash_of
from services.scorer.path.model import ModelRefused
from services.scorer.path.packed import pack, unpack
from services.scorer.path.readings import learnable
from services.scorer.path.trees import LAYOUT, Trees

KIND = "votes"
VOTE_MAX = 1e6
_ARRAYS = {**LAYOUT, "suspicious": "<f8", "innocent": "<f8"}


@dataclass(frozen=True, eq=False)
class VotingForest:
    """Trees over features as learning reads them. ``suspicious`` and ``innocent`` float64[m] are a leaf's two votes.

    Raises
    ------
    ModelRefused
        When a vote is negative or beyond ``VOTE_MAX``, or a node that is not a leaf has one.
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
            if votes[~self.trees.leaves].any():
                raise ModelRefused("a node that is not a leaf has a vote")

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
        read = learnable(features)
        suspicious = self.trees.sums(read, self.suspicious)
        cast = suspicious + self.trees.sums(read, self.innocent)
        return np.divide(suspicious, cast, out=np.zeros_like(cast), where=cast > 0.0)


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

"""A voting forest as flat arrays: trees that each give both classes a share of their vote; and as a model that decides.

The share of the votes that says suspicious is the library's own, to the bit. Served are its log-odds,
``log(share + floor) - log(1 - share + floor)``: a forest in which no tree says suspicious has seen nothing like a
payment, which is not the same as that it cannot be.

Contributions. Each node has votes: a leaf its own, any other node the mean of its leaves. ``S`` and ``I`` are the sums
of what a payment's leaves vote, ``S0`` and ``I0`` those of the roots, ``dS`` and ``dI`` what the splits of one feature
change along the paths. The share moves from ``S0 / (S0 + I0)`` to ``S / (S + I)``, and a feature's part in that is in
proportion to ``dS * I0 - dI * S0``: the parts sum to the move, exactly. The features that moved it the way it went
divide the move's worth in log-odds among them; the others contribute nothing. So no contribution is larger than the
score is away from the bias, which is the log-odds at the roots. All of them are multiples of ``GRID``: the bias and the
contributions, added in any order, are the score to the bit.
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
from services.scorer.path.scoring.model import ModelRefused, WithThreshold
from services.scorer.path.scoring.packed import pack, unpack
from services.scorer.path.scoring.readings import learnable
from services.scorer.path.scoring.trees import LAYOUT, Trees

KIND = "votes"
VOTE_MAX = 1e6
SHARE_FLOOR = 1e-4
"""Log-odds are at most 9.3 in size: more than that, ten trees cannot tell."""
GRID = 2.0**-46
"""What scores and contributions are multiples of: sums of numbers up to 128 are exact."""
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
        """The share of the votes that says suspicious, 0 where nobody votes. float64[n, k] as served (natural units,
        NaN missing) to float64[n], from 0 to 1."""
        read = learnable(features)
        suspicious = self.trees.sums(read, self.suspicious)
        cast = suspicious + self.trees.sums(read, self.innocent)
        return np.divide(suspicious, cast, out=np.zeros_like(cast), where=cast > 0.0)

    def parts(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """float64[n, k]: what each feature's splits did to each payment's share, in a unit of the payment's own."""
        read, (for_it, against) = learnable(features), self.at_roots
        suspicious, innocent = np.zeros(features.shape), np.zeros(features.shape)
        self.trees.paths(read, self.suspicious, suspicious)
        self.trees.paths(read, self.innocent, innocent)
        return suspicious * against - innocent * for_it

    @cached_property
    def at_roots(self) -> tuple[float, float]:
        """Suspicious and innocent votes of the mean of what the forest has learned."""
        sums = [math.fsum(votes[self.trees.roots].tolist()) for votes in (self.suspicious, self.innocent)]
        return sums[0], sums[1]


class VotingModel(WithThreshold[VotingForest]):
    """A voting forest with its operating threshold."""

    kind: ClassVar[str] = "adaptive_forest"
    explains_all: ClassVar[bool] = False

    @cached_property
    def hash(self) -> str:
        """As ``Model``."""
        parameters = {
            "kind": self.kind,
            "votes": self.trees.hash,
            "share_floor": SHARE_FLOOR,
            "review_probability": self.review_probability,
        }
        return hash_of(orjson.dumps(parameters, option=orjson.OPT_SORT_KEYS))

    @cached_property
    def bias(self) -> float:
        """As ``Model``."""
        for_it, against = self.trees.at_roots
        return share_log_odds(for_it / (for_it + against) if for_it > 0.0 else 0.0)

    def scores(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """As ``Model``: ``share_log_odds`` of each payment's share."""
        return np.array([share_log_odds(share) for share in self.trees.probabilities(features).tolist()])

    def contributions(self, features: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """As ``Model``, in any order of addition; for those whose reasons are wanted."""
        scores = self.scores(features)
        worth = scores - self.bias
        parts = np.maximum(self.trees.parts(features) * np.sign(worth)[:, None], 0.0)
        sums = parts.sum(axis=1, keepdims=True)
        out = np.rint(worth[:, None] * np.divide(parts, sums, out=np.zeros_like(parts), where=sums > 0.0) / GRID) * GRID
        # What rounding left; and all of it where nobody votes, which is less than the mean and so no reason.
        out[np.arange(len(out)), np.argmax(np.abs(out), axis=1)] += worth - out.sum(axis=1)
        return out, scores


def share_log_odds(share: float) -> float:
    """Log-odds of a share of votes from 0 to 1, a multiple of ``GRID``.

    >>> share_log_odds(0.5), round(share_log_odds(0.0), 1)
    (0.0, -9.2)
    """
    log_odds = math.log(share + SHARE_FLOOR) - math.log(1.0 - share + SHARE_FLOOR)
    return round(log_odds / GRID) * GRID


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

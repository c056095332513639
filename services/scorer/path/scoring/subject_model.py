"""A subject model: what is known of a payer or a payee, as the log-odds that it follows the pattern that is looked for.

Three boosted ensembles that were learned together and are only of use together: one says what a payment is worth as
evidence, which subjects add up (``state``); one ranks payers, one payees, by all that was added up of them. Whatever
model decides on payments, a subject's risk is on the scale on which this one was calibrated.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import msgspec
import numpy as np
from numpy.typing import NDArray

from services.contract.identity import hash_of
from services.contract.payment import Role
from services.scorer.path.features.registry import FEATURES
from services.scorer.path.scoring.forest import Forest, forest_from
from services.scorer.path.scoring.model import ModelRefused
from services.scorer.path.subjects.facts import PAYEE_SUBJECT_FEATURES, PAYER_SUBJECT_FEATURES, subject_schema_hash

_SIDES: tuple[Role, Role] = ("payer", "payee")
_WIDTHS = len(PAYER_SUBJECT_FEATURES), len(PAYEE_SUBJECT_FEATURES)


class _Packed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A subject model as bytes: compiled forests, and what is added to each side's score."""

    evidence: bytes
    payer: bytes
    payee: bytes
    payer_shift: float
    payee_shift: float


@dataclass(frozen=True, eq=False)
class SubjectModel:
    """Forests over features of payments, of payers and of payees.

    Parameters
    ----------
    evidence
        Over the registry's features.
    sides
        Over ``PAYER_SUBJECT_FEATURES`` and ``PAYEE_SUBJECT_FEATURES``.
    shifts
        What is added to the score of each side, so that it is the log-odds at the base rate of deployments.
    """

    evidence: Forest
    sides: tuple[Forest, Forest]
    shifts: tuple[float, float]

    @cached_property
    def packed(self) -> bytes:
        """All that decides a risk, as bytes; ``subject_model_from`` gives the model back."""
        payer, payee = self.sides
        return msgspec.msgpack.encode(_Packed(self.evidence.packed, payer.packed, payee.packed, *self.shifts))

    @cached_property
    def hash(self) -> str:
        """SHA-256 of ``packed``."""
        return hash_of(self.packed)

    def evidence_of(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """float64[n]: what each payment, float64[n, len(FEATURES)] as served, says beyond the mean one, log-odds."""
        return self.evidence.scores(features) - self.evidence.bias

    def risk(self, role: Role, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """float64[n]: the log-odds of each subject of a role, of its features float64[n, S]."""
        side = _SIDES.index(role)
        return self.sides[side].scores(features) + self.shifts[side]

    def contributions(self, role: Role, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """float64[n, S]: what each feature adds to the risk, in any order of addition; the rest is ``bias`` and
        shift."""
        return self.sides[_SIDES.index(role)].contributions(features)[0]

    def bias(self, role: Role) -> float:
        """The risk of a subject of which no split knew anything, log-odds."""
        side = _SIDES.index(role)
        return self.sides[side].bias + self.shifts[side]


def subject_model_from(packed: bytes) -> SubjectModel:
    """The model that ``SubjectModel.packed`` was taken of.

    Raises
    ------
    ModelRefused
        When it is none, or one for other features than this release adds up.
    """
    try:
        said = msgspec.msgpack.decode(packed, type=_Packed)
    except msgspec.DecodeError as error:
        raise ModelRefused(f"not a subject model: {error}") from None
    if not np.isfinite([said.payer_shift, said.payee_shift]).all():
        raise ModelRefused("a shift is not finite")
    schema = subject_schema_hash()
    evidence = forest_from(said.evidence, 0, schema, len(FEATURES))
    payer, payee = (
        forest_from(each, 0, schema, width) for each, width in zip((said.payer, said.payee), _WIDTHS, strict=True)
    )
    return SubjectModel(evidence, (payer, payee), (said.payer_shift, said.payee_shift))

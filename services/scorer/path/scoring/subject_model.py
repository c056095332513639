"""A subject model: what is known of a payer or a payee, as the log-odds that it follows the pattern that is looked for.

Boosted ensembles that were learned together and are only of use together: one says what a payment is worth as evidence,
which subjects add up (``subjects.state``); two say what a payer and a payee are worth by all that was added up of them,
the first round; two by that and by each other, the second (``subjects.leads``). Whatever model decides on payments, a
subject's risk is on the scale on which this one was calibrated.
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
from services.scorer.path.subjects.leads import PAYEE_LEADS, PAYER_LEADS

_SIDES: tuple[Role, Role] = ("payer", "payee")
_WIDTHS = len(PAYER_SUBJECT_FEATURES), len(PAYEE_SUBJECT_FEATURES)
_LEADS = len(PAYER_LEADS), len(PAYEE_LEADS)


class _Packed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A subject model as bytes: compiled forests, and what is added to each side's score; payers first."""

    evidence: bytes
    first: tuple[bytes, bytes]
    second: tuple[bytes, bytes]
    shifts: tuple[float, float]


@dataclass(frozen=True, eq=False)
class SubjectModel:
    """Forests over features of payments, of payers and of payees; of two, the first is of payers.

    Parameters
    ----------
    evidence
        Over the registry's features.
    first
        Over ``PAYER_SUBJECT_FEATURES`` and ``PAYEE_SUBJECT_FEATURES``.
    second
        Over ``PAYER_LEADS`` and ``PAYEE_LEADS``.
    shifts
        What is added to the scores of the second round, so that they are log-odds at the base rate of deployments.
    """

    evidence: Forest
    first: tuple[Forest, Forest]
    second: tuple[Forest, Forest]
    shifts: tuple[float, float]

    @cached_property
    def packed(self) -> bytes:
        """All that decides a risk, as bytes; ``subject_model_from`` gives the model back."""
        first, second = ((payer.packed, payee.packed) for payer, payee in (self.first, self.second))
        return msgspec.msgpack.encode(_Packed(self.evidence.packed, first, second, self.shifts))

    @cached_property
    def hash(self) -> str:
        """SHA-256 of ``packed``."""
        return hash_of(self.packed)

    def evidence_of(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """float64[n]: what each payment, float64[n, len(FEATURES)] as served, says beyond the mean one, log-odds."""
        return self.evidence.scores(features) - self.evidence.bias

    def worth(self, role: Role, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """float64[n]: the first round's log-odds of each subject of a role, of its features float64[n, S]."""
        return self.first[_SIDES.index(role)].scores(features)

    def risk(self, role: Role, leads: NDArray[np.float64]) -> NDArray[np.float64]:
        """float64[n]: the log-odds of each subject of a role, of what ``subjects.leads`` knows of it, float64[n, L]."""
        side = _SIDES.index(role)
        return self.second[side].scores(leads) + self.shifts[side]

    def contributions(self, role: Role, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """float64[n, S]: what each feature adds to the worth, in any order of addition; the rest is the bias."""
        return self.first[_SIDES.index(role)].contributions(features)[0]


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
    if not np.isfinite(said.shifts).all():
        raise ModelRefused("a shift is not finite")
    schema = subject_schema_hash()
    first, second = (
        (forest_from(payer, 0, schema, widths[0]), forest_from(payee, 0, schema, widths[1]))
        for (payer, payee), widths in ((said.first, _WIDTHS), (said.second, _LEADS))
    )
    return SubjectModel(forest_from(said.evidence, 0, schema, len(FEATURES)), first, second, said.shifts)

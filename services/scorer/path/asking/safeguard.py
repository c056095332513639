"""When a pack asks by what the subject model says: its risk decides, and what carries it is a safeguard.

A pack that hears a model asks about a subject when the subject's risk reaches the pack's ``score_min``, the pack is not
silent, and what speaks for the risk comes from at least ``FAMILIES_MIN`` families of behaviour, the model and the
indicators that hit taken together. So corridor, channel and text alone never make an alert, and no single indicator.
Immediate indicators ask whatever the risk is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, get_args

import numpy as np
from numba import njit
from numpy.typing import NDArray

from services.contract.decision import Family, Reason, SubjectRisk
from services.contract.payment import Role
from services.scorer.path.rules.families import FAMILY_OF
from services.scorer.path.rules.pack import HIT, PackResults, Packs
from services.scorer.path.rules.pack_format import ROLES, STRONG_FAMILIES
from services.scorer.path.subjects.facts import PAYEE_SUBJECT_NAMES, PAYER_SUBJECT_NAMES

FAMILIES_MIN = 2
CARRIES_SHARE = 0.1
"""Of all log-odds that speak for a risk: a family with less does not carry it."""
REASONS_MAX = 5
_FAMILIES: tuple[Family, ...] = get_args(Family)
_STRONG: NDArray[np.bool_] = np.array([family in STRONG_FAMILIES for family in _FAMILIES])
_NAMES: Mapping[Role, tuple[str, ...]] = {"payer": PAYER_SUBJECT_NAMES, "payee": PAYEE_SUBJECT_NAMES}
_OF_SUBJECTS: Mapping[str, Family] = {
    "subject_payments": "temporal",
    "subject_payments_180d": "temporal",
    "subject_counterparties": "relationship",
}


class SubjectScoring(Protocol):
    """A model of subjects, compiled (``SubjectModel``)."""

    @property
    def hash(self) -> str: ...

    def risk(self, side: Role, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """float64[n]: the log-odds of n subjects of a side, of their features float64[n, S]."""

    def contributions(self, side: Role, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """float64[n, S]: what each feature adds to them."""


def family_of(name: str) -> Family | None:
    """The family that a subject feature tells of; ``None`` of the model's evidence, and of what tells of none.

    >>> family_of("remit_rhythm_mean"), family_of("payers_highest"), family_of("model_evidence_mean")
    ('temporal', 'network', None)
    """
    if name in _OF_SUBJECTS:
        return _OF_SUBJECTS[name]
    if name.startswith(("others_", "payers_")):
        return "network"
    return FAMILY_OF.get(name.rpartition("_")[0])


class Safeguard:
    """Asks for the packs that hear a model, by ``model``."""

    def __init__(self, packs: Packs, model: SubjectScoring) -> None:
        self.model = model
        self.hearing = [at for at, pack in enumerate(packs.packs) if pack.model.weight > 0.0]
        """The packs that do."""
        self.risk_min = min((packs.packs[at].combination.score_min for at in self.hearing), default=np.inf)
        """Below, none of them asks."""
        self._packs = packs
        families: dict[Role, list[Family | None]] = {role: [family_of(name) for name in _NAMES[role]] for role in ROLES}
        self._families = {
            role: np.array([-1 if each is None else _FAMILIES.index(each) for each in of], dtype=np.int64)
            for role, of in families.items()
        }
        for role in ROLES:  # compiled now, so that no payment waits for it
            _add_by_family(np.zeros((0, len(_NAMES[role]))), self._families[role], np.zeros((0, len(_FAMILIES))))

    def only_immediate(self, results: PackResults, role: Role) -> PackResults:
        """``results`` where nothing is asked about subjects of ``role`` but what is immediate: another hop asks."""
        side, review, silent = ROLES.index(role), results.review.copy(), results.silent.copy()
        for at in self.hearing:
            review[:, at, side] = results.applied[:, at] & results.immediate[:, at, side]
            silent[:, at, side] = True
        return results._replace(review=review, silent=silent)

    def asked(
        self, results: PackResults, role: Role, rows: NDArray[np.int64], features: NDArray[np.float64],
        risk: NDArray[np.float64],
    ) -> PackResults:  # fmt: skip
        """``results`` of n payments, of which the m of ``rows`` have subjects of ``role`` with ``features``
        (float64[m, S]) and ``risk`` (float64[m]), and where the packs then ask."""
        side = ROLES.index(role)
        review, risks, subjects = results.review.copy(), results.risk.copy(), dict(results.subjects)
        for at in self.hearing:
            pack = self._packs.packs[at]
            review[:, at, side] = results.applied[:, at] & results.immediate[:, at, side]
            risks[rows, at, side] = risk
            told = results.applied[rows, at] & ~results.silent[rows, at, side] & (risk >= pack.combination.score_min)
            chosen = np.flatnonzero(told | review[rows, at, side])
            contributions = self.model.contributions(role, features[chosen]) if len(chosen) else features[:0]
            carried = self._carried(results, role, at, rows[chosen], contributions)
            for place, among in enumerate(chosen.tolist()):
                row = int(rows[among])
                review[row, at, side] |= told[among] and int((carried[place] & _STRONG).sum()) >= FAMILIES_MIN
                if review[row, at, side]:
                    subjects[row, at, role] = SubjectRisk(
                        self.model.hash,
                        tuple(family for family, does in zip(_FAMILIES, carried[place].tolist(), strict=True) if does),
                        _reasons(_NAMES[role], features[among], contributions[place]),
                    )
        return results._replace(review=review, risk=risks, subjects=subjects)

    def _carried(
        self, results: PackResults, role: Role, pack: int, rows: NDArray[np.int64], contributions: NDArray[np.float64]
    ) -> NDArray[np.bool_]:
        """bool[m, families]: which carry the risk of the subjects of the payments ``rows``, int64[m]."""
        totals = np.zeros((len(rows), len(_FAMILIES)))
        _add_by_family(np.ascontiguousarray(contributions), self._families[role], totals)
        totals = np.maximum(totals, 0.0)
        for at, each in self._packs.spoken(pack, role):
            if each.raises:
                totals[:, _FAMILIES.index(each.family)] += each.weight * (results.outcome[rows, at] == HIT)
        whole = np.zeros(len(rows))
        for family in range(len(_FAMILIES)):
            whole += totals[:, family]
        carries: NDArray[np.bool_] = (totals > 0.0) & (totals >= CARRIES_SHARE * whole[:, None])
        return carries


def _reasons(
    names: tuple[str, ...], features: NDArray[np.float64], contributions: NDArray[np.float64]
) -> tuple[Reason, ...]:
    """The features that raised a subject's risk most, of those that are told: nobody can check the others."""
    order = np.argsort(-contributions, kind="stable")
    raising = [at for at in order.tolist() if contributions[at] > 0.0 and not np.isnan(features[at])]
    return tuple(Reason(names[at], float(features[at]), float(contributions[at])) for at in raising[:REASONS_MAX])


@njit(cache=True)
def _add_by_family(contributions: Any, families: Any, totals: Any) -> None:
    """Sum contributions float64[m, S] into ``totals`` float64[m, F] by the family int64[S] of each, -1 for none."""
    for i in range(contributions.shape[0]):
        for j in range(contributions.shape[1]):
            if families[j] >= 0:
                totals[i, families[j]] += contributions[i, j]

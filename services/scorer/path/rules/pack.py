"""Typology packs: what published indicators say, as data, and their evaluation over a batch.

A pack speaks of a subject, the payer or the payee of a payment. Its score is a sum of log-odds in a fixed order: the
prior, then the weight of each indicator that hits, from first to last. Indicators with a weight above zero are
evidence; those below speak for an innocent reading and are shown beside it. One of weight zero is said, and the score
does not count it; evidence of weight zero is still one of the signs that come together. The pack asks for a review when
its *combination* is met and the score, with what the model adds, reaches ``score_min``: several indicators, of several
families, and never of corridor, channel or text alone. An indicator without its feature is ``missing``, never "no".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import orjson
from msgspec.structs import astuple
from numba import njit
from numpy.typing import NDArray

from services.contract.decision import Evidence, Finding, SubjectRisk
from services.contract.identity import hash_of
from services.contract.payment import Role
from services.scorer.path.features.crowd import bits
from services.scorer.path.features.registry import FEATURES, INDEX
from services.scorer.path.rules.condition import Condition
from services.scorer.path.rules.pack_format import ROLES, STRONG_FAMILIES, Indicator, Pack

NO_HIT, HIT, MISSING = 0, 1, 2


_INDICATOR = np.dtype(
    [("pack", "i8"), ("family", "u8"), ("roles", "i8"), ("immediate", "?"), ("raises", "?"), ("weight", "f8")],
    align=True,
)
"""An indicator as the kernel reads it: its pack's place, the bit of its family, the bits of its roles."""
_PACK = np.dtype(
    [
        ("prior", "f8"), ("indicators_min", "i8"), ("families_min", "i8"), ("score_min", "f8"),
        ("model_weight", "f8"), ("model_beyond", "f8"), ("model_limit", "f8"),
    ]
)  # fmt: skip
"""A pack as the kernel reads it: its prior, its ``Combination`` and its ``ModelShare``."""


class PackResults(NamedTuple):
    """Results of P packs with I indicators in all, on n payments.

    ``outcome`` uint8[n, I]; ``measured`` float64[n, I]; ``score`` float64[n, P, 2] by role (payer, payee), without the
    model; ``risk`` the same with it; ``review`` bool[n, P, 2].
    """

    outcome: NDArray[np.uint8]
    measured: NDArray[np.float64]
    score: NDArray[np.float64]
    risk: NDArray[np.float64]
    added: NDArray[np.float64]
    """float64[n, P]: what the model adds."""
    review: NDArray[np.bool_]
    silent: NDArray[np.bool_]
    """bool[n, P, 2]: where the pack asks for nothing but what is immediate."""
    applied: NDArray[np.bool_]
    """bool[n, P]: to which payments the pack applies."""
    immediate: NDArray[np.bool_]
    """bool[n, P, 2]: where an indicator hits that goes straight to people."""
    subjects: Mapping[tuple[int, int, Role], SubjectRisk] = {}
    """By payment, pack and role: what a model of subjects said where the pack asks by it."""


class _Out(NamedTuple):
    """What the kernel fills: the arrays of ``PackResults``."""

    outcome: Any
    measured: Any
    score: Any
    risk: Any
    added: Any
    review: Any
    silent: Any
    applied: Any
    immediate: Any


class Packs:
    """Packs, ready to be evaluated together."""

    def __init__(self, packs: tuple[Pack, ...]) -> None:
        self.packs = packs
        self.hash = hash_of(orjson.dumps([pack.hash for pack in packs]))
        self.indicators = [(at, each) for at, pack in enumerate(packs) for each in pack.indicators]
        self._spoken = {
            (pack, role): [
                (at, each) for at, (of, each) in enumerate(self.indicators) if of == pack and role in each.subjects
            ]
            for pack in range(len(packs))
            for role in ROLES
        }
        families = sorted({each.family for _, each in self.indicators})
        self._strong = np.uint64(sum(1 << at for at, family in enumerate(families) if family in STRONG_FAMILIES))
        self._bounds = flat([each.bounds for _, each in self.indicators])
        self._applies = flat([pack.applies for pack in packs])
        self._silent = flat([pack.silent_when for pack in packs])
        self._silent_of_payee = flat([pack.silent_of_payee_when for pack in packs])
        of_indicator = [
            (
                pack,
                1 << families.index(each.family),
                _role_bits(each.subjects),
                each.immediate,
                each.raises,
                each.weight,
            )
            for pack, each in self.indicators
        ]
        of_pack = [(pack.prior, *astuple(pack.combination), *astuple(pack.model)) for pack in packs]
        self._of_indicator = np.array(of_indicator, dtype=(np.record, _INDICATOR))
        self._of_pack = np.array(of_pack, dtype=(np.record, _PACK))

    def evaluate(self, features: NDArray[np.float64], evidence: NDArray[np.float64]) -> PackResults:
        """Run every indicator of every pack on every payment of ``features`` (float64[n, k], NaN where missing).
        ``evidence`` (float64[n]) is what the model says beyond its bias, log-odds."""
        n, packs, indicators = len(features), len(self.packs), len(self.indicators)
        out = _Out(
            np.empty((n, indicators), dtype=np.uint8),
            np.empty((n, indicators)),
            np.empty((n, packs, 2)),
            np.empty((n, packs, 2)),
            np.empty((n, packs)),
            np.empty((n, packs, 2), dtype=np.bool_),
            np.empty((n, packs, 2), dtype=np.bool_),
            np.empty((n, packs), dtype=np.bool_),
            np.empty((n, packs, 2), dtype=np.bool_),
        )
        _packs_kernel(
            features, evidence, self._bounds, self._applies, self._silent, self._silent_of_payee,
            self._of_indicator, self._of_pack, self._strong, out,
        )  # fmt: skip
        return PackResults(*out)

    def spoken(self, pack: int, role: Role) -> Sequence[tuple[int, Indicator]]:
        """The indicators of a pack that speak of a role, each with its place among all."""
        return self._spoken[pack, role]

    def finding(self, results: PackResults, row: int, pack: int, role: Role) -> Finding:
        """What ``pack`` says of the ``role`` of a payment: evidence, and what is missing, in the order of the pack."""
        chosen, outcome = self.packs[pack], results.outcome[row].tolist()
        spoken, side = self._spoken[pack, role], ROLES.index(role)
        hits = [(at, each) for at, each in spoken if outcome[at] == HIT]
        told = [(each, _evidence(each, float(results.measured[row, at]))) for at, each in hits]
        subject = results.subjects.get((row, pack, role))
        added = float(results.added[row, pack]) if subject is None else 0.0
        silent = subject is not None or bool(results.silent[row, pack, side])
        return Finding(
            pack=chosen.name,
            pack_hash=chosen.hash,
            role=role,
            queue=next((each.queue for _, each in hits if each.queue), chosen.queue),
            headline=chosen.headline,
            score=float(results.risk[row, pack, side]),
            prior=chosen.prior,
            model=added,
            evidence=tuple(evidence for each, evidence in told if each.raises),
            counter_evidence=tuple(evidence for each, evidence in told if not each.raises),
            missing=tuple(each.id for at, each in spoken if outcome[at] == MISSING),
            would_end=_would_end(chosen, [each for _, each in hits], added, silent),
            immediate=any(each.immediate for _, each in hits),
            subject=subject,
        )


def _evidence(indicator: Indicator, measured: float) -> Evidence:
    """An indicator that hit."""
    feature = FEATURES[INDEX[indicator.measure.feature]]
    return Evidence(
        indicator=indicator.id,
        family=indicator.family,
        feature=feature.name,
        measured=measured,
        threshold=indicator.measure.threshold,
        unit=feature.unit,
        window=feature.window,
        weight=indicator.weight,
        reason=indicator.reason.format(measured=plain(measured), threshold=plain(indicator.measure.threshold)),
        source=f"{indicator.source.text} [{indicator.source.tag}]",
    )


def _would_end(pack: Pack, hits: list[Indicator], added: float, silent: bool) -> tuple[str, ...]:
    """The fewest indicators without which the pack would not ask: immediate ones first, then the heaviest."""
    rest = [each for each in hits if not each.immediate]
    ended = [each for each in hits if each.immediate]
    if not silent and _asks(pack, rest, added):
        ways = _ways_to_end(pack, rest, added)
        fewest: list[Indicator] = min(ways, key=lambda way: (len(way), -sum(each.weight for each in way)))
        ended += fewest
    return tuple(each.id for each in sorted(ended, key=lambda each: (not each.immediate, -each.weight)))


def plain(number: float) -> str:
    """A number for reading: three digits, or all of its whole part; no exponent, no zeros at the end.

    >>> plain(0.8333), plain(12.345), plain(1234.5), plain(-0.5), plain(0.0)
    ('0.833', '12.3', '1234', '-0.5', '0')
    """
    size = abs(number)
    text = f"{number:.{0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3}f}"
    if float(text) == 0.0:
        return "0"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _asks(pack: Pack, hits: Sequence[Indicator], added: float) -> bool:
    """Whether these hits, none of them immediate, make ``pack`` ask; ``added`` is the model's part."""
    raising = [each for each in hits if each.raises]
    families = {each.family for each in raising}
    limits = pack.combination
    return (
        len(raising) >= limits.indicators_min
        and len(families) >= limits.families_min
        and bool(families & STRONG_FAMILIES)
        and _score(pack, hits) + added >= limits.score_min
    )


def _score(pack: Pack, hits: Iterable[Indicator]) -> float:
    score = pack.prior
    for each in hits:
        score += each.weight
    return score


def _ways_to_end(pack: Pack, hits: Sequence[Indicator], added: float) -> list[list[Indicator]]:
    """For each part of the combination, the fewest hits without which it fails; a score that counter-evidence and
    model alone keep up has no such way."""
    limits = pack.combination
    heaviest = sorted((each for each in hits if each.raises), key=lambda each: -each.weight)
    ways = [heaviest[: len(heaviest) - limits.indicators_min + 1]]
    for taken in range(1, len(heaviest) + 1):
        left = [each for each in hits if each not in heaviest[:taken]]
        if _score(pack, left) + added < limits.score_min:
            ways.append(heaviest[:taken])
            break
    groups = [[each for each in heaviest if each.family == family] for family in {each.family for each in heaviest}]
    smallest = sorted(groups, key=lambda group: (len(group), -sum(each.weight for each in group), group[0].family))
    ways.append([each for group in smallest[: len(smallest) - limits.families_min + 1] for each in group])
    ways.append([each for each in heaviest if each.family in STRONG_FAMILIES])
    return ways


class Conditions(NamedTuple):
    """Groups of conditions, those of a group side by side."""

    starts: NDArray[np.int64]
    """[groups + 1]: where each group begins, and the last one ends."""
    features: NDArray[np.int64]
    thresholds: NDArray[np.float64]
    below: NDArray[np.bool_]


def flat(groups: list[tuple[Condition, ...]]) -> Conditions:
    """Groups of conditions as arrays."""
    every = [bound for group in groups for bound in group]
    return Conditions(
        np.cumsum([0, *map(len, groups)], dtype=np.int64),
        np.array([INDEX[bound.feature] for bound in every], dtype=np.int64),
        np.array([bound.threshold for bound in every], dtype=np.float64),
        np.array([bound.below is not None for bound in every], dtype=np.bool_),
    )


def _role_bits(roles: Iterable[Role]) -> int:
    return sum(1 << ROLES.index(role) for role in roles)


@njit(cache=True)
def _outcome(x: Any, conditions: Conditions, group: int) -> int:
    """Of a group ``MISSING`` when any of its features is, else ``HIT`` when all of its conditions hold."""
    holds = True
    for b in range(conditions.starts[group], conditions.starts[group + 1]):
        value, threshold = x[conditions.features[b]], conditions.thresholds[b]
        if np.isnan(value):
            return MISSING
        holds = holds and (value < threshold if conditions.below[b] else value >= threshold)
    return HIT if holds else NO_HIT


@njit(cache=True)
def _silence(x: Any, conditions: Conditions, group: int) -> bool:
    """Whether a group keeps a pack silent: some of it is measured, and all that is measured holds. What is not measured
    ends no silence, which protects who may be a victim."""
    measured = False
    for b in range(conditions.starts[group], conditions.starts[group + 1]):
        value, threshold = x[conditions.features[b]], conditions.thresholds[b]
        if np.isnan(value):
            continue
        measured = True
        if not (value < threshold if conditions.below[b] else value >= threshold):
            return False
    return measured


@njit(cache=True)
def _packs_kernel(
    features: Any, evidence: Any, bounds: Conditions, applies: Conditions, silent: Conditions,
    silent_of_payee: Conditions, of_indicator: Any, of_pack: Any, strong: np.uint64, out: _Out,
) -> None:  # fmt: skip
    packs, indicators = len(of_pack), len(of_indicator)
    count = np.zeros((packs, 2), dtype=np.int64)
    families = np.zeros((packs, 2), dtype=np.uint64)
    immediate = np.zeros((packs, 2), dtype=np.bool_)
    for i in range(features.shape[0]):
        x, score, risk, silences = features[i], out.score[i], out.risk[i], out.silent[i]
        count[:] = 0
        families[:] = 0
        immediate[:] = False
        for p in range(packs):
            score[p, :] = of_pack[p].prior
        for j in range(indicators):
            indicator = of_indicator[j]
            outcome = out.outcome[i, j] = _outcome(x, bounds, j)
            out.measured[i, j] = x[bounds.features[bounds.starts[j]]]
            if outcome != HIT:
                continue
            p = indicator.pack
            for role in range(2):
                if indicator.roles >> role & 1:
                    score[p, role] += indicator.weight
                    if indicator.raises:
                        count[p, role] += 1
                        families[p, role] |= indicator.family
                        immediate[p, role] |= indicator.immediate
        for p in range(packs):
            pack, applied = of_pack[p], _outcome(x, applies, p) == HIT
            out.applied[i, p] = applied
            has_narrower = silent_of_payee.starts[p + 1] > silent_of_payee.starts[p]
            silences[p, 0] = _silence(x, silent, p)
            silences[p, 1] = silences[p, 0] and (not has_narrower or _silence(x, silent_of_payee, p))
            told = min(max(abs(evidence[i]) - pack.model_beyond, 0.0), pack.model_limit)
            out.added[i, p] = pack.model_weight * (told if evidence[i] >= 0.0 else -told)
            for role in range(2):
                risk[p, role] = score[p, role] + out.added[i, p]
                met = (
                    count[p, role] >= pack.indicators_min
                    and bits(families[p, role]) >= pack.families_min
                    and families[p, role] & strong != 0
                    and risk[p, role] >= pack.score_min
                    and not silences[p, role]
                )
                out.immediate[i, p, role] = immediate[p, role]
                out.review[i, p, role] = applied and (met or immediate[p, role])

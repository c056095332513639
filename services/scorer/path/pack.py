"""Typology packs: what published indicators say, as data, and their evaluation over a batch.

A pack speaks of a subject, the payer or the payee of a payment. Its score is a sum of log-odds in a fixed order: the
prior, then the weight of each indicator that hits, from first to last. Indicators with a weight above zero are
evidence; those below speak for an innocent reading and are shown beside it. The pack asks for a review when its
*combination* is met and the score, with what the model adds, reaches ``score_min``: several indicators, of several
families, and never of corridor, channel or text alone. An indicator without its feature is ``missing``, never "no".
"""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import orjson
from msgspec import Meta, Struct
from numba import njit
from numpy.typing import NDArray

from services.contract.identity import hash_of
from services.contract.types import Evidence, Family, Finding, Role
from services.scorer.path.features import FEATURES, INDEX
from services.scorer.path.ruleset import Condition, RulesetError

NO_HIT, HIT, MISSING = 0, 1, 2
ROLES: tuple[Role, Role] = ("payer", "payee")
STRONG_FAMILIES: frozenset[Family] = frozenset({"relationship", "beneficiary", "network", "temporal", "amount"})
"""Corridor, channel and text alone never make an alert: at least one indicator of these families must be there."""
WEIGHT_MAX = 10.0
Tag = Literal["V", "V2", "M", "D"]
"""Read in the publisher's page; in a secondary page; from memory; ours, and not published."""


class PackError(ValueError):
    """A pack cannot be used. The message names the pack, the indicator and the key."""


class Source(Struct, frozen=True, forbid_unknown_fields=True):
    """Where an indicator comes from."""

    text: Annotated[str, Meta(min_length=1)]
    tag: Tag
    url: str = ""


class Indicator(Struct, frozen=True, forbid_unknown_fields=True):
    """One indicator: hits when ``measure`` and every one of ``conditions`` holds.

    ``reason`` is shown to people; ``{measured}`` and ``{threshold}`` in it are filled in.
    """

    id: Annotated[str, Meta(min_length=1)]
    statement: Annotated[str, Meta(min_length=1)]
    family: Family
    subjects: Annotated[tuple[Role, ...], Meta(min_length=1)]
    measure: Condition
    weight: float
    reason: Annotated[str, Meta(min_length=1)]
    source: Source
    conditions: tuple[Condition, ...] = ()
    immediate: bool = False
    """Goes straight to people, whatever else there is."""
    queue: str = ""
    """Instead of the pack's queue, when it hits."""

    @property
    def bounds(self) -> tuple[Condition, ...]:
        """The measure, then the conditions."""
        return (self.measure, *self.conditions)

    @property
    def raises(self) -> bool:
        """Whether it is evidence, rather than counter-evidence."""
        return self.weight > 0.0


class Combination(Struct, frozen=True, forbid_unknown_fields=True):
    """What must come together."""

    indicators_min: Annotated[int, Meta(ge=3)]
    families_min: Annotated[int, Meta(ge=2)]
    score_min: float


class ModelShare(Struct, frozen=True, forbid_unknown_fields=True):
    """What the learned model may add to the score: its evidence (log-odds without its bias) within ``limit``."""

    weight: Annotated[float, Meta(ge=0, le=1)] = 0.0
    limit: Annotated[float, Meta(ge=0, le=20)] = 4.0


class Omitted(Struct, frozen=True, forbid_unknown_fields=True):
    """A published indicator that the pack does not use, and why."""

    id: str
    reason: Annotated[str, Meta(min_length=1)]


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    name: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]*$")]
    version: Annotated[int, Meta(ge=1, lt=2**53)]
    title: str
    queue: Annotated[str, Meta(min_length=1)]
    label: Annotated[str, Meta(min_length=1)]
    headline: Annotated[str, Meta(min_length=1)]
    prior: float
    applies: tuple[Condition, ...]
    combination: Combination
    limits: Annotated[tuple[str, ...], Meta(min_length=1)]
    indicator: Annotated[tuple[Indicator, ...], Meta(min_length=1)]
    model: ModelShare = ModelShare()
    omitted: tuple[Omitted, ...] = ()
    silent_when: tuple[Condition, ...] = ()
    """When all of these hold the pack does not ask, but for what is immediate: the payment fits another reading."""


@dataclass(frozen=True, slots=True)
class Pack:
    """A pack that has been checked. ``hash`` covers all of its content, a deployer's overrides included."""

    name: str
    version: int
    title: str
    queue: str
    label: str
    headline: str
    prior: float
    applies: tuple[Condition, ...]
    combination: Combination
    limits: tuple[str, ...]
    indicators: tuple[Indicator, ...]
    model: ModelShare
    omitted: tuple[Omitted, ...]
    silent_when: tuple[Condition, ...]
    hash: str


def parse_pack(text: str, override: dict[str, Any] | None = None) -> Pack:
    """Read and check a pack from TOML.

    ``override`` is a deployer's: ``prior``, ``combination``, ``model``, and ``indicator.<id>`` tables with ``weight``,
    ``measure`` or ``conditions``; it is part of the hash.

    Raises
    ------
    PackError
        When the text is not TOML, a key is missing or unknown, or the pack could never speak, or on too little.
    """
    try:
        raw = tomllib.loads(text)
        file = msgspec.convert(_overridden(raw, override or {}), _File)
    except tomllib.TOMLDecodeError as error:
        raise PackError(f"not TOML: {error}") from None
    except msgspec.ValidationError as error:
        raise PackError(str(error)) from None
    _check(file)
    content = orjson.dumps([raw, override or {}], option=orjson.OPT_SORT_KEYS)
    fields = {name: getattr(file, name) for name in file.__struct_fields__ if name != "indicator"}
    return Pack(**fields, indicators=file.indicator, hash=hash_of(content))


def _overridden(raw: dict[str, Any], override: dict[str, Any]) -> dict[str, Any]:
    merged = dict(raw)
    for key, value in override.items():
        if key == "indicator":
            known = {each.get("id") for each in raw.get("indicator", ())}
            for identity, changes in value.items():
                if identity not in known or set(changes) - {"weight", "measure", "conditions"}:
                    raise PackError(f"override: indicator.{identity}: no such indicator, or more than may be changed")
            merged[key] = [each | value.get(each.get("id"), {}) for each in raw.get("indicator", ())]
        elif key in ("combination", "model"):
            merged[key] = raw.get(key, {}) | value
        elif key == "prior":
            merged[key] = value
        else:
            raise PackError(f"override: {key}: only prior, combination, model and indicator may be changed")
    return merged


def _check(file: _File) -> None:
    """What the shape alone does not promise."""
    numbers = {"prior": file.prior, "combination.score_min": file.combination.score_min}
    for key, number in numbers.items():
        if not math.isfinite(number):
            raise PackError(f"{file.name}: {key}: not a finite number")
    ids = [each.id for each in file.indicator]
    for indicator in file.indicator:
        where = f"{file.name}: indicator {indicator.id}"
        if ids.count(indicator.id) > 1:
            raise PackError(f"{where}: two have the same id")
        if not 0.0 < abs(indicator.weight) <= WEIGHT_MAX:
            raise PackError(f"{where}: weight: not 0, and at most {WEIGHT_MAX:g} either way")
        if indicator.immediate and not indicator.raises:
            raise PackError(f"{where}: immediate: only evidence can be")
        _check_bounds(where, indicator.bounds)
    raising = [each.raises for each in file.indicator]
    if raising != sorted(raising, reverse=True):
        raise PackError(f"{file.name}: indicator: counter-evidence (a weight below 0) stands after the evidence")
    _check_bounds(f"{file.name}: applies", file.applies)
    _check_bounds(f"{file.name}: silent_when", file.silent_when)
    for role in ROLES:
        spoken = [each for each in file.indicator if role in each.subjects and each.raises]
        if not all(each.immediate for each in spoken):
            families = {each.family for each in spoken}
            if len(spoken) < file.combination.indicators_min or len(families) < file.combination.families_min:
                raise PackError(f"{file.name}: combination: can never be met by what speaks of a {role}")
            if not families & STRONG_FAMILIES:
                raise PackError(f"{file.name}: only corridor, channel or text speaks of a {role}")


def _check_bounds(where: str, bounds: tuple[Condition, ...]) -> None:
    for bound in bounds:
        if bound.feature not in INDEX:
            raise PackError(f"{where}: there is no feature {bound.feature!r}")
        try:
            threshold = bound.threshold
        except RulesetError as error:
            raise PackError(f"{where}: {error}") from None
        if (bound.at_least is None) == (bound.below is None) or not math.isfinite(threshold):
            raise PackError(f"{where}: {bound.feature}: give one finite at_least or below")


@dataclass(frozen=True, slots=True)
class PackResults:
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


class Packs:
    """Packs, ready to be evaluated together."""

    def __init__(self, packs: tuple[Pack, ...]) -> None:
        self.packs = packs
        self.hash = hash_of(orjson.dumps([pack.hash for pack in packs]))
        self.indicators = [(at, each) for at, pack in enumerate(packs) for each in pack.indicators]
        families = sorted({each.family for _, each in self.indicators})
        strong = sum(1 << at for at, family in enumerate(families) if family in STRONG_FAMILIES)
        bounds = [each.bounds for _, each in self.indicators]
        applies = [pack.applies for pack in packs]
        self._bounds = _flat(bounds)
        self._applies = _flat(applies)
        self._silent = _flat([pack.silent_when for pack in packs])
        self._of_indicator = np.array(
            [
                (
                    at,
                    1 << families.index(each.family),
                    sum(1 << ROLES.index(role) for role in each.subjects),
                    each.immediate,
                )
                for at, each in self.indicators
            ],
            dtype=np.int64,
        ).reshape(-1, 4)
        self._weights = np.array([each.weight for _, each in self.indicators])
        self._of_pack = np.array(
            [(p.prior, p.combination.score_min, p.model.weight, p.model.limit) for p in packs]
        ).reshape(-1, 4)
        self._limits = np.array(
            [(p.combination.indicators_min, p.combination.families_min, strong) for p in packs], dtype=np.int64
        ).reshape(-1, 3)

    def evaluate(self, features: NDArray[np.float64], evidence: NDArray[np.float64]) -> PackResults:
        """Run every indicator of every pack on every payment.

        Parameters
        ----------
        features
            float64[n, k], NaN where missing.
        evidence
            float64[n]: what the model says beyond its bias, log-odds.
        """
        n, packs, indicators = len(features), len(self.packs), len(self.indicators)
        results = PackResults(
            np.empty((n, indicators), dtype=np.uint8),
            np.empty((n, indicators)),
            np.empty((n, packs, 2)),
            np.empty((n, packs, 2)),
            np.empty((n, packs)),
            np.empty((n, packs, 2), dtype=np.bool_),
        )
        _packs_kernel(
            features, evidence, *self._bounds, *self._applies, *self._silent,
            self._of_indicator, self._weights, self._of_pack, self._limits,
            results.outcome, results.measured, results.score, results.risk, results.added, results.review,
        )  # fmt: skip
        return results

    def finding(self, results: PackResults, row: int, pack: int, role: Role) -> Finding:
        """What ``pack`` says of the ``role`` of a payment."""
        at, chosen = ROLES.index(role), self.packs[pack]
        return Finding(
            pack=chosen.name,
            pack_hash=chosen.hash,
            role=role,
            queue=self.queue(results, row, pack, role),
            headline=chosen.headline,
            score=float(results.risk[row, pack, at]),
            prior=chosen.prior,
            model=float(results.added[row, pack]),
            evidence=self.evidence(results, row, pack, role),
            counter_evidence=self.counter_evidence(results, row, pack, role),
            missing=self.missing(results, row, pack, role),
            would_end=self.would_end(results, row, pack, role),
            immediate=self._is_immediate(results, row, pack, role),
        )

    def evidence(self, results: PackResults, row: int, pack: int, role: Role) -> tuple[Evidence, ...]:
        """The indicators of ``pack`` that hit and speak of ``role``, in the order of the pack."""
        return tuple(
            self._evidence(results, row, at)
            for at, (owner, each) in enumerate(self.indicators)
            if owner == pack and role in each.subjects and results.outcome[row, at] == HIT and each.raises
        )

    def counter_evidence(self, results: PackResults, row: int, pack: int, role: Role) -> tuple[Evidence, ...]:
        """What speaks for an innocent reading."""
        return tuple(
            self._evidence(results, row, at)
            for at, (owner, each) in enumerate(self.indicators)
            if owner == pack and role in each.subjects and results.outcome[row, at] == HIT and not each.raises
        )

    def missing(self, results: PackResults, row: int, pack: int, role: Role) -> tuple[str, ...]:
        """The indicators that could not be measured."""
        return tuple(
            each.id
            for at, (owner, each) in enumerate(self.indicators)
            if owner == pack and role in each.subjects and results.outcome[row, at] == MISSING
        )

    def queue(self, results: PackResults, row: int, pack: int, role: Role) -> str:
        """The queue of the review: the pack's, or that of an indicator which has its own."""
        for at, (owner, each) in enumerate(self.indicators):
            if owner == pack and role in each.subjects and results.outcome[row, at] == HIT and each.queue:
                return each.queue
        return self.packs[pack].queue

    def would_end(self, results: PackResults, row: int, pack: int, role: Role) -> tuple[str, ...]:
        """The fewest indicators, heaviest first, without which the pack would not ask for a review."""
        hits = [
            each
            for at, (owner, each) in enumerate(self.indicators)
            if owner == pack and role in each.subjects and results.outcome[row, at] == HIT and each.raises
        ]
        limits, risk = self.packs[pack].combination, float(results.risk[row, pack, ROLES.index(role)])
        left = sorted(hits, key=lambda each: (not each.immediate, -each.weight))
        ended: list[str] = []
        while left and (
            left[0].immediate
            or (
                len(left) >= limits.indicators_min
                and len({each.family for each in left}) >= limits.families_min
                and risk >= limits.score_min
            )
        ):
            first = left.pop(0)
            risk -= first.weight
            ended.append(first.id)
        return tuple(ended)

    def _is_immediate(self, results: PackResults, row: int, pack: int, role: Role) -> bool:
        return any(
            owner == pack and role in each.subjects and each.immediate and results.outcome[row, at] == HIT
            for at, (owner, each) in enumerate(self.indicators)
        )

    def _evidence(self, results: PackResults, row: int, at: int) -> Evidence:
        indicator = self.indicators[at][1]
        feature = FEATURES[INDEX[indicator.measure.feature]]
        measured = float(results.measured[row, at])
        return Evidence(
            indicator=indicator.id,
            family=indicator.family,
            feature=feature.name,
            measured=measured,
            threshold=indicator.measure.threshold,
            unit=feature.unit,
            window=feature.window,
            weight=indicator.weight,
            reason=indicator.reason.format(measured=f"{measured:.3g}", threshold=f"{indicator.measure.threshold:.3g}"),
            source=f"{indicator.source.text} [{indicator.source.tag}]",
        )


_Flat = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_]]


def _flat(groups: list[tuple[Condition, ...]]) -> _Flat:
    """Groups of conditions as arrays: starts int64[groups + 1], features int64[b], thresholds, whether below."""
    every = [bound for group in groups for bound in group]
    return (
        np.cumsum([0, *map(len, groups)], dtype=np.int64),
        np.array([INDEX[bound.feature] for bound in every], dtype=np.int64),
        np.array([bound.threshold for bound in every], dtype=np.float64),
        np.array([bound.below is not None for bound in every], dtype=np.bool_),
    )


@njit(cache=True)
def _outcome(x: Any, start: int, stop: int, features: Any, thresholds: Any, below: Any) -> int:
    """``MISSING`` when any of the features is, else ``HIT`` when all conditions hold."""
    holds = True
    for b in range(start, stop):
        value = x[features[b]]
        if np.isnan(value):
            return MISSING
        holds = holds and (value < thresholds[b] if below[b] else value >= thresholds[b])
    return HIT if holds else NO_HIT


@njit(cache=True)
def _packs_kernel(
    x: Any, evidence: Any, starts: Any, features: Any, thresholds: Any, below: Any,
    applies_starts: Any, applies_features: Any, applies_thresholds: Any, applies_below: Any,
    silent_starts: Any, silent_features: Any, silent_thresholds: Any, silent_below: Any,
    of_indicator: Any, weights: Any, of_pack: Any, limits: Any,
    outcome: Any, measured: Any, score: Any, risk: Any, added: Any, review: Any,
) -> None:  # fmt: skip
    packs, indicators = of_pack.shape[0], weights.shape[0]
    count = np.zeros((packs, 2), dtype=np.int64)
    families = np.zeros((packs, 2), dtype=np.int64)
    immediate = np.zeros((packs, 2), dtype=np.int64)
    for i in range(x.shape[0]):
        count[:] = 0
        families[:] = 0
        immediate[:] = 0
        for p in range(packs):
            score[i, p, 0] = score[i, p, 1] = of_pack[p, 0]
        for j in range(indicators):
            found = _outcome(x[i], starts[j], starts[j + 1], features, thresholds, below)
            outcome[i, j] = found
            measured[i, j] = x[i, features[starts[j]]]
            if found != HIT:
                continue
            p = of_indicator[j, 0]
            for role in range(2):
                if of_indicator[j, 2] >> role & 1:
                    score[i, p, role] += weights[j]
                    if weights[j] > 0.0:
                        count[p, role] += 1
                        families[p, role] |= of_indicator[j, 1]
                        immediate[p, role] |= of_indicator[j, 3]
        for p in range(packs):
            applies = _outcome(
                x[i], applies_starts[p], applies_starts[p + 1], applies_features, applies_thresholds, applies_below
            )
            silent = (
                silent_starts[p + 1] > silent_starts[p]
                and _outcome(
                    x[i], silent_starts[p], silent_starts[p + 1], silent_features, silent_thresholds, silent_below
                )
                == HIT
            )
            added[i, p] = of_pack[p, 2] * min(max(evidence[i], -of_pack[p, 3]), of_pack[p, 3])
            for role in range(2):
                risk[i, p, role] = score[i, p, role] + added[i, p]
                met = (
                    count[p, role] >= limits[p, 0]
                    and _bits(families[p, role]) >= limits[p, 1]
                    and families[p, role] & limits[p, 2] != 0
                    and risk[i, p, role] >= of_pack[p, 1]
                    and not silent
                )
                review[i, p, role] = applies == HIT and (met or immediate[p, role] != 0)


@njit(cache=True)
def _bits(word: int) -> int:
    count = 0
    while word != 0:
        word &= word - 1
        count += 1
    return count

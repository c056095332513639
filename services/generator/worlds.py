"""Worlds: parameters drawn per family and number, so that no stream is like the next, and some are like none before.

A family says which classes of innocents, source systems and sub-types of LSAC payers can occur, and a world of it draws
which do, how many, and every number that no publication fixes (``worlds.toml``, with the basis of each). Published
numbers (V, V2) are kept. Held-out families have what no training family has: a test on them is one on what learning
never saw. Results on synthetic data show that the software works as specified, not that it finds offenders.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar
from zlib import crc32

import msgspec
import numpy as np

from services.contract.errors import TocsinError
from services.generator.chance import Generator, generator, lognormal
from services.generator.parameters import (
    LsacLaw,
    Parameters,
    Place,
    Range,
    RoutineLaw,
    Shares,
    SubTypeLaw,
    SystemLaw,
    shipped_parameters,
)

_WORLDS_SOURCE = 204
NUMBER_MAX = 1 << 20
Texts: TypeAlias = tuple[str, ...]
T = TypeVar("T")


class WorldError(TocsinError, ValueError):
    """A world that does not exist. The message starts with ``world``."""


class FamilyLaw(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What can occur in the worlds of a family."""

    name: str
    held_out: bool
    homes: Texts
    destinations: Texts
    classes: Texts
    systems: Texts
    sub_types: Texts
    vocabularies: Texts


class SystemRanges(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A source system before a world draws it; see ``SystemLaw``."""

    name: str
    weight: float
    coverage: dict[str, Range | Literal["any"]]
    fee: bool
    reference: str = "none"
    relation: str = "none"
    purpose: str = "none"
    offset_minutes: int | None = None
    terminal: bool = False
    batch_hours: int = 0
    opened_default: bool = False


class SubTypeRanges(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A sub-type before a world draws it: ``law`` replaces numbers of the world's ``LsacLaw``."""

    name: str
    weight: float
    like: Literal["flat_cheap", "escalator", "sporadic"]
    n: tuple[int, int]
    law: dict[str, Any] = msgspec.field(default_factory=dict)


class Worlds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``worlds.toml`` says. ``class_`` are classes of innocents besides those of ``parameters.toml``."""

    family: tuple[FamilyLaw, ...]
    drawn: dict[str, Range]
    factor: dict[str, Range]
    lsac: dict[str, Range]
    amounts_aud: Shares
    homes: dict[str, Place]
    destinations: dict[str, Place]
    rates_per_eur: dict[str, float]
    hours: dict[str, tuple[float, ...]]
    vocabularies: dict[str, dict[str, Texts]]
    words: dict[str, Texts]
    system: tuple[SystemRanges, ...]
    class_: tuple[RoutineLaw, ...] = msgspec.field(name="class")
    sub_type: tuple[SubTypeRanges, ...] = ()


@lru_cache
def shipped_worlds() -> Worlds:
    """The families that ship."""
    content = Path(__file__).with_name("worlds.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(content), Worlds)


def families(held_out: bool) -> tuple[str, ...]:
    """The families to learn from, or those held out for tests.

    >>> len(families(held_out=False)) >= 6, len(families(held_out=True)) >= 4
    (True, True)
    """
    return tuple(each.name for each in shipped_worlds().family if each.held_out == held_out)


def family_of(name: str) -> FamilyLaw:
    """The family of that name. Raises ``WorldError`` if there is none."""
    for each in shipped_worlds().family:
        if each.name == name:
            return each
    raise WorldError(f"world: one of {', '.join(each.name for each in shipped_worlds().family)}, and a number")


@lru_cache(maxsize=64)
def parameters_of(profile: str, world: str | None) -> Parameters:
    """The parameters of a profile, or those that ``world`` (``family/number``) draws from them."""
    base = shipped_parameters(profile)
    if world is None:
        return base
    family, _, number = world.partition("/")
    if not number.isdecimal() or int(number) >= NUMBER_MAX:
        raise WorldError(f"world: {world!r} is no family/number, such as {families(held_out=False)[0]}/3")
    return draw_world(family, int(number), base)


def draw_world(family: str, number: int, base: Parameters) -> Parameters:
    """World ``number`` of a family: ``base`` with everything that no publication fixes drawn anew.

    >>> from services.generator.parameters import shipped_parameters
    >>> world = draw_world("harbour", 3, shipped_parameters())
    >>> world == draw_world("harbour", 3, shipped_parameters()), world.lsac.n == shipped_parameters().lsac.n
    (True, True)
    """
    law = family_of(family)
    return _Draw(law, base, generator(crc32(law.name.encode()), _WORLDS_SOURCE, number)).world()


class _Draw:
    """One world being drawn. What is drawn, and in which order, is what the world is."""

    def __init__(self, family: FamilyLaw, base: Parameters, rng: Generator) -> None:
        self._family, self._base, self._rng, self._worlds = family, base, rng, shipped_worlds()

    def world(self) -> Parameters:
        base, worlds, even = self._base, self._worlds, self._even
        homes = self._places(self._family.homes, {**base.homes, **worlds.homes}, "home")
        destinations = self._places(
            self._family.destinations, {**base.destinations, **worlds.destinations}, "destination"
        )
        rates = {**base.rates_per_eur, **worlds.rates_per_eur}
        used = {each.currency for each in (*homes.values(), *destinations.values())} | {"EUR", "AUD"}
        lsac = self._lsac()
        routine = self._routines()
        return msgspec.structs.replace(
            base,
            homes=homes,
            destinations=destinations,
            rates_per_eur={code: rate for code, rate in rates.items() if code in used},
            hours={**base.hours, **worlds.hours},
            words=self._words(),
            routine=routine,
            lsac=lsac,
            sub_types=self._sub_types(lsac),
            systems=self._systems(),
            rates={**base.rates, "fsec": even("fsec_rate"), "romance": even("romance_rate")},
            noise=msgspec.structs.replace(base.noise, late=even("late")),
            received_told_share=1.0,
            offset_told_share=1.0,
            device_told_share=1.0,
            **{name: even(name) for name in _PLAIN},
        )

    def _even(self, name: str) -> float:
        return float(self._rng.uniform(*self._worlds.drawn[name]))

    def _of_lsac(self, name: str) -> float:
        return float(self._rng.uniform(*self._worlds.lsac[name]))

    def _log_even(self, low: float, high: float, n: int = 1) -> list[float]:
        drawn: list[float] = np.exp(self._rng.uniform(np.log(low), np.log(high), n)).tolist()
        return drawn

    def _factor(self, name: str) -> float:
        return self._log_even(*self._worlds.factor[name])[0]

    def _some(self, names: Iterable[T], name: str) -> list[T]:
        """As many of ``names`` as the range ``name`` says, in their order."""
        each = list(names)
        low, high = self._worlds.drawn[name]
        count = min(len(each), int(self._rng.integers(int(low), int(high) + 1)))
        return [each[at] for at in sorted(self._rng.permutation(len(each))[:count].tolist())]

    def _spread(self, shares: Mapping[str, float], sigma: float) -> Shares:
        """``shares``, each by a factor of its own, adding up to one."""
        factors = lognormal(self._rng, 1.0, sigma, len(shares)).tolist()
        weights = {name: share * factor for (name, share), factor in zip(shares.items(), factors, strict=True)}
        whole = sum(weights.values())
        return {name: weight / whole for name, weight in weights.items()}

    def _places(self, names: Texts, laws: Mapping[str, Place], side: str) -> dict[str, Place]:
        chosen = self._some(names, f"{side}s")
        weights = self._spread({name: laws[name].weight for name in chosen}, self._even("place_spread"))
        levels = np.log(self._log_even(*self._worlds.drawn[f"{side}_level"], len(chosen)))
        levels -= float(np.dot(levels, list(weights.values())))
        return {
            name: msgspec.structs.replace(laws[name], weight=weights[name], level=float(np.exp(level)))
            for name, level in zip(chosen, levels.tolist(), strict=True)
        }

    def _words(self) -> dict[str, Texts]:
        """A base of plain words; one or two vocabularies of the family say theirs instead or as well."""
        words = {**self._base.words, **self._worlds.words}
        for name in self._some(self._family.vocabularies, "vocabularies"):
            for theme, texts in self._worlds.vocabularies[name].items():
                words[theme] = texts if self._rng.random() < 0.5 else (*words[theme], *texts)
        return words

    def _systems(self) -> tuple[SystemLaw, ...]:
        laws = {each.name: each for each in self._worlds.system}
        chosen = self._some(self._family.systems, "systems")
        weights = self._spread({name: laws[name].weight for name in chosen}, self._even("system_spread"))
        return tuple(self._system(laws[name], weights[name]) for name in chosen)

    def _system(self, law: SystemRanges, weight: float) -> SystemLaw:
        fee = (self._even("fee_fixed"), self._even("fee_share"))
        coverage = {}
        for field, between in law.coverage.items():
            low, high = _ANY[int(self._rng.integers(0, len(_ANY)))] if between == "any" else between
            coverage[field] = float(self._rng.uniform(low, high))
        fields = {name: getattr(law, name) for name in _AS_IT_IS}
        return SystemLaw(weight=weight, coverage=coverage, fee=fee if law.fee else (0.0, 0.0), **fields)

    def _routines(self) -> tuple[RoutineLaw, ...]:
        """The classes of innocents of the world."""
        laws = {each.name: each for each in (*self._base.routine, *self._worlds.class_)}
        occurs = self._rng.random(len(self._family.classes)) < self._even("classes")
        chosen = [laws[name] for name, here in zip(self._family.classes, occurs.tolist(), strict=True)
                  if here or name == "diaspora"]  # fmt: skip
        rails = self._rails()
        diaspora = self._even("diaspora_share")
        shares = {each.name: each.share for each in chosen if each.name != "diaspora"}
        shares = self._spread(shares, self._even("class_spread")) if shares else {}
        shares = {name: share * (1.0 - diaspora) for name, share in shares.items()} | {"diaspora": diaspora}
        return tuple(self._routine(each, shares[each.name], rails) for each in chosen)

    def _rails(self) -> dict[str, float]:
        """By which factor each rail is liked in this world."""
        names = sorted({name for each in self._base.routine for name in each.rails} | {"voucher"})
        factors = lognormal(self._rng, 1.0, self._even("rail_spread"), len(names)).tolist()
        self._rail_factors = dict(zip(names, factors, strict=True))
        return self._rail_factors

    def _routine(self, law: RoutineLaw, share: float, rails: Mapping[str, float]) -> RoutineLaw:
        even, factor = self._even, self._factor
        published = law.name == "diaspora"
        median = law.amount[0] * (1.0 if published else factor("amount"))
        none, untold = even("none_share"), even("untold_relation")
        family = law.december > 1.0 or "family" in law.relations
        return msgspec.structs.replace(
            law,
            share=share,
            amount=(median, law.amount[1] * factor("sigma")),
            irregular_per_month=law.irregular_per_month * factor("pace"),
            recipients_extra=law.recipients_extra * factor("recipients") if law.payee != "circle" else 0.0,
            life_days=law.life_days * factor("life"),
            life_sigma=max(law.life_sigma, even("life_sigma")),
            pace_sigma=max(law.pace_sigma, even("pace_sigma")),
            payee="person" if law.payee == "family" else law.payee,
            round_share=float(np.clip(law.round_share + even("round_shift"), 0.05, 0.98)),
            hours_mix=self._hours(law.hours),
            rails={name: each * rails[name] for name, each in law.rails.items()},
            two_rails=even("two_rails"),
            cadence=self._spread(law.cadence, even("cadence_spread")),
            references=_with_none(self._spread(law.references, even("theme_spread")), none),
            relations=_with_none(law.relations, untold),
            sitting=law.sitting + (even("sitting") if law.payee != "circle" else 0.0),
            price_points=max(law.price_points, even("price_points")) if law.within else 0.0,
            elsewhere=min(0.6, law.elsewhere + even("elsewhere")),
            skip=even("skip"),
            cash_out_share=even("cash_out_share") if law.payee in ("family", "person", "pool") else 0.0,
            december=even("december") if family else 1.0,
            emergency=3.0 if family else 1.0,
            beside=law.beside or _BESIDE.get(law.name, 0.0),
        )

    def _hours(self, usual: str) -> Shares:
        night, other = self._even("night_share"), self._even("other_hours")
        mix = {usual: 1.0 - night - other}
        for profile, share in (("late_shift", 0.4 * night), ("night", 0.3 * night), ("around_clock", 0.3 * night),
                               ("evening", 0.4 * other), ("early", 0.3 * other), ("daytime", 0.3 * other)):  # fmt: skip
            mix[profile] = mix.get(profile, 0.0) + share
        return mix

    def _lsac(self) -> LsacLaw:
        law, of, base = self._base.lsac, self._of_lsac, self._base
        night, evening = of("night"), of("evening")
        excuse, none, handle = of("excuse"), of("none"), of("handle")
        variant = list(self._spread(self._worlds.amounts_aud, 0.0))
        weights = [self._worlds.amounts_aud[name] for name in variant]
        chosen = variant[int(self._rng.choice(len(variant), p=np.array(weights) / sum(weights)))]
        extra = of("beneficiaries")
        family, friend, partner = of("told_family"), of("told_friend"), of("told_partner")
        return msgspec.structs.replace(
            law,
            level=of("level") if chosen in ("base", "chat_log", "heavy") else 1.0,
            amounts_aud=dict.fromkeys(base.lsac.amounts_aud, law.amounts_aud[chosen]),
            hours={"night": night, "evening": evening, "day": 1.0 - night - evening},
            hours_shape=of("hours_shape"),
            gap_regular_days=(law.gap_regular_days[0] * of("gap_regular"), law.gap_regular_days[1]),
            gap_sporadic_days=(law.gap_sporadic_days[0] * of("gap_sporadic"), law.gap_sporadic_days[1]),
            gap_prolific_days=(of("gap_prolific_days"), law.gap_prolific_days[1]),
            relation_life_days=(of("relation_life_days"), law.relation_life_days[1]),
            beneficiaries=tuple((n, 1.0 + (mean - 1.0) * extra) for n, mean in law.beneficiaries),
            payers_per_facilitator=(of("payers_per_facilitator"), *law.payers_per_facilitator[1:]),
            dwell_hours=(of("dwell_hours"), law.dwell_hours[1]),
            references={"excuse": excuse, "none": none, "handle": handle, "other": 0.1},
            relations={"family": family, "friend": friend, "partner": partner, "none": 1.0 - family - friend - partner},
            rails=dict(law.rails),
            shared_phone=of("shared_token"),
            shared_device=of("shared_token"),
            shared_pickup=of("shared_token"),
            **{name: of(name) for name in _LSAC_PLAIN},
        )

    def _sub_types(self, law: LsacLaw) -> tuple[SubTypeLaw, ...]:
        """All sub-types of the family, by weights of the world; 35 % of relations are with facilitators in sum (V)."""
        laws = {each.name: each for each in self._worlds.sub_type}
        names = self._family.sub_types
        weights = self._spread({name: laws[name].weight for name in names}, self._even("sub_type_spread"))
        own = {name: laws[name].law["facilitator_share"] for name in names if "facilitator_share" in laws[name].law}
        taken = sum(weights[name] for name in own)
        left = law.facilitator_share - sum(weights[name] * share for name, share in own.items())
        rest = max(0.0, left / (1.0 - taken)) if taken < 1.0 else law.facilitator_share
        rails = {name: share * self._rail_factors.get(name, 1.0) for name, share in law.rails.items()}
        made = []
        for name in names:
            ranges = laws[name]
            changed = {**msgspec.to_builtins(law), "rails": rails, "facilitator_share": rest, **ranges.law}
            changed["level"] = law.level * ranges.law.get("level", 1.0)
            made.append(SubTypeLaw(name, weights[name], ranges.like, ranges.n, msgspec.convert(changed, LsacLaw)))
        return tuple(made)


_ANY: tuple[Range, ...] = ((0.0, 0.05), (0.1, 0.9), (0.9, 1.0))
_PLAIN = (
    "second_routine_share", "lsac_routine_share", "second_account_share", "rotation_share", "rotation_days",
    "corridor_spread", "churn_share", "household_share", "fee", "family_minor_share", "lexicon_share",
)  # fmt: skip
_LSAC_PLAIN = ("session", "round_share", "price_point_share", "multi_country_share", "minor_share", "two_rails")
_AS_IT_IS = (
    "name", "reference", "relation", "purpose", "offset_minutes", "terminal", "batch_hours", "opened_default"
)  # fmt: skip
_BESIDE = {"diaspora": 1.0, "micro_remitter": 0.7, "charity_sponsor": 1.0, "freelancer_hire": 0.4, "tutor_hire": 0.5}
"""Weights as a second routine of classes that ``parameters.toml`` lists. D."""


def _with_none(shares: Shares, none: float) -> Shares:
    """``shares`` of which a part ``none`` is left out."""
    whole = sum(shares.values())
    left = {name: share / whole * (1.0 - none) for name, share in shares.items()}
    return left | {"none": left.get("none", 0.0) + none}

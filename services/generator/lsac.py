"""LSAC payers: series of payments whose sizes, gaps, hours and beneficiaries follow the published figures.

Results on this data show that the software works as specified, not that it finds offenders: the distributions come from
about ten published numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import msgspec
import numpy as np

from services.contract.units import DAY_MS, HOUR_MS
from services.generator.accounts import AGENT, MERCHANT, PAYER, SECOND, account, pooled
from services.generator.chance import Floats, Generator, Ints, choice_of, generator, lognormal, pick
from services.generator.drafts import Draft, Drafts
from services.generator.facilitators import Beneficiary, assign, beneficiaries_count, new_account
from services.generator.parameters import AmountMix, LsacLaw, Shares, SubTypeLaw
from services.generator.people import World
from services.generator.places import NOT_ROUND, ROUND_RECEIVED, ROUND_SENT
from services.generator.rows import RAILS, source
from services.generator.truth import Notes

_AUD = "AUD"
HOUR_RANGES = {"night": (21.0, 27.0), "evening": (17.0, 21.0), "day": (7.0, 17.0)}


@dataclass(slots=True)
class Series:
    """The payments of one payer, in order: days since the first, amounts (EUR), and which begin a session."""

    days: Floats
    eur: Floats
    begins: list[bool]


def draw_n(law: LsacLaw, rng: Generator, n: int) -> Ints:
    """Lifetime numbers of payments of ``n`` payers.

    >>> from services.generator.parameters import shipped_parameters
    >>> from services.generator.chance import generator
    >>> drawn = draw_n(shipped_parameters().lsac, generator(1, 1), 200_000)
    >>> round(float((drawn >= 2).mean()), 2)
    0.58
    """
    mu, sigma, cap = law.n
    return np.minimum(np.ceil(np.exp(mu + sigma * rng.standard_normal(n))), cap).astype(np.int64)


def draw_sub_type(law: LsacLaw, rng: Generator, n: int) -> str:
    """Sporadic only with few payments, and so often then that the shares of payers come out as given."""
    mu, sigma, _ = law.n
    few = 0.5 * (1.0 + math.erf((math.log(law.sporadic_n_max) - mu) / sigma / math.sqrt(2.0)))
    if n <= law.sporadic_n_max and rng.random() < law.sub_types["sporadic"] / few:
        return "sporadic"
    return "flat_cheap" if rng.random() < law.flat_share else "escalator"


def drawn_sub_type(laws: tuple[SubTypeLaw, ...], rng: Generator, n: int) -> SubTypeLaw | None:
    """One of a drawn world's sub-types that payers with ``n`` payments may have, by weight; without any, nothing."""
    if not laws:
        return None
    fitting = [each for each in laws if each.n[0] <= n <= each.n[1]]
    weights = np.array([each.weight for each in fitting])
    return fitting[int(rng.choice(len(fitting), p=weights / weights.sum()))]


def draw_series(law: LsacLaw, mix: AmountMix, aud_per_eur: float, rng: Generator, n: int, sub_type: str) -> Series:
    """The payments of one payer, not yet placed in the horizon."""
    median, sigma = law.gap_regular_days
    if sub_type == "sporadic":
        median, sigma = law.gap_sporadic_days
    elif n > law.prolific_n_min:
        median, sigma = law.gap_prolific_days
    beta = rng.uniform(*law.escalation_gap) if sub_type == "escalator" else 0.0
    days, begins, at = np.zeros(n), [True] * n, 0
    while at < n:
        size = int(rng.integers(law.session_n[0], law.session_n[1] + 1)) if rng.random() < law.session else 1
        if at:
            gap = float(lognormal(rng, median, sigma, 1)[0]) * at**-beta
            days[at] = days[at - 1] + max(law.gap_floor_hours / 24.0, gap)
        for further in range(at + 1, min(n, at + size)):
            days[further] = days[further - 1] + rng.uniform(0.05, law.session_hours / size) / 24.0
            begins[further] = False
        at += size
    return Series(days, _amounts(law, mix, rng, n, sub_type) / aud_per_eur, begins)


def _amounts(law: LsacLaw, mix: AmountMix, rng: Generator, n: int, sub_type: str) -> Floats:
    """Amounts in AUD. A payer returns to its price points; an escalator's rise with the number of its payments."""
    flat = sub_type == "flat_cheap"
    weights = np.array(mix.flat_weights if flat else rest_weights(mix, law.flat_share))
    part = np.searchsorted(np.cumsum(weights / weights.sum()), rng.random(n), side="right").clip(0, 2)
    amounts: Floats = np.array(mix.medians)[part] * np.exp(np.array(mix.sigmas)[part] * rng.standard_normal(n))
    for at in range(1, n):
        if rng.random() < law.price_point_share:
            amounts[at] = amounts[int(rng.integers(0, at))]
    if sub_type == "escalator" and n > 1:
        rise = np.log(np.arange(1, n + 1)) * rng.uniform(*law.escalation_amount)
        amounts *= np.exp(rise - rise.mean())
    return amounts


def rest_weights(mix: AmountMix, flat_share: float) -> tuple[float, float, float]:
    """Weights of the payers that are not flat-cheap, such that all payments together have the mix's."""
    first, second, third = (
        max(0.0, (whole - flat_share * flat) / (1.0 - flat_share))
        for whole, flat in zip(mix.weights, mix.flat_weights, strict=True)
    )
    return first, second, third


def n_moments(law: LsacLaw) -> tuple[float, float, float]:
    """Mean and deviation of the number of payments, and the share of payers with two or more.

    >>> from services.generator.parameters import shipped_parameters
    >>> [round(each, 2) for each in n_moments(shipped_parameters().lsac)]
    [10.78, 39.84, 0.58]
    """
    mu, sigma, cap = law.n
    k = np.arange(1, cap)
    above = np.array([0.5 * math.erfc((math.log(each) - mu) / sigma / math.sqrt(2.0)) for each in k.tolist()])
    mean = 1.0 + float(above.sum())
    square = 1.0 + float(((2 * k + 1) * above).sum())
    return mean, math.sqrt(square - mean**2), float(above[0])


def mix_share(mix: AmountMix, low: float, high: float) -> float:
    """The share of a mixture of lognormals between two amounts."""

    def below(amount: float) -> float:
        parts = zip(mix.weights, mix.medians, mix.sigmas, strict=True)
        return sum(w * 0.5 * math.erfc(-(math.log(amount / m)) / s / math.sqrt(2.0)) for w, m, s in parts)

    return below(high) - below(low)


def split_mix(law: LsacLaw, mix: AmountMix) -> tuple[AmountMix, AmountMix]:
    """The mixtures of the flat-cheap payers and of the rest."""
    rest = rest_weights(mix, law.flat_share)
    return msgspec.structs.replace(mix, weights=mix.flat_weights), msgspec.structs.replace(mix, weights=rest)


def mix_moments(mix: AmountMix) -> tuple[float, float, float]:
    """Median, mean and deviation of a mixture of lognormals.

    >>> from services.generator.parameters import shipped_parameters
    >>> [round(each) for each in mix_moments(shipped_parameters().lsac.amounts_aud["base"])[:2]]
    [77, 170]
    """
    low, high = 0.01, 1e6
    while high / low > 1.0001:
        middle = math.sqrt(low * high)
        low, high = (middle, high) if mix_share(mix, 1e-9, middle) < 0.5 else (low, middle)
    parts = list(zip(mix.weights, mix.medians, mix.sigmas, strict=True))
    mean = sum(w * m * math.exp(s * s / 2.0) for w, m, s in parts)
    square = sum(w * m * m * math.exp(2.0 * s * s) for w, m, s in parts)
    return low, mean, math.sqrt(square - mean * mean)


def placed(law: LsacLaw, rng: Generator, series: Series, days: int) -> Floats:
    """Days of the horizon on which the series falls; pressed together if too long, and cut off if still too long."""
    room, length = days - 2.0, float(series.days[-1])
    if length > room:
        closest = law.gap_mean_days_min * sum(series.begins) / length
        return series.days * min(1.0, max(room / length, closest))
    return series.days + rng.uniform(0.0, room - length)


def own_hours(law: LsacLaw, rng: Generator) -> Shares:
    """The parts of the day in which one payer pays; payers differ the more, the smaller ``hours_shape``."""
    if not law.hours_shape:
        return law.hours
    factors = rng.gamma(law.hours_shape, 1.0, len(law.hours)).tolist()
    return {name: share * (factor + 1e-6) for (name, share), factor in zip(law.hours.items(), factors, strict=True)}


def plan_lsac(world: World, drafts: Drafts, notes: Notes) -> None:
    """Plan every LSAC payer with its beneficiaries and side signals."""
    law = world.configuration.parameters.lsac
    rng = generator(world.seed, source("lsac"))
    payers = world.people.of("lsac").tolist()
    numbers = draw_n(law, rng, len(payers)).tolist()
    kinds = [drawn_sub_type(world.configuration.parameters.sub_types, rng, n) for n in numbers]
    laws = [law if kind is None else kind.law for kind in kinds]
    slots = [beneficiaries_count(each, rng, n) for each, n in zip(laws, numbers, strict=True)]
    found = assign(world, rng, payers, slots, [each.facilitator_share for each in laws])
    for payer, n, kind, own, beneficiaries in zip(payers, numbers, kinds, laws, found, strict=True):
        like = draw_sub_type(law, rng, n) if kind is None else kind.like
        notes.sub_types[payer], notes.lifetime[payer] = like if kind is None else kind.name, n
        _Payer(world, rng, payer, own, beneficiaries, notes).plan(drafts, n, like)


class _Payer:
    """Plans the payments of one payer."""

    def __init__(
        self, world: World, rng: Generator, payer: int, law: LsacLaw, beneficiaries: list[Beneficiary], notes: Notes
    ) -> None:
        self._world, self._rng, self._payer, self._beneficiaries = world, rng, payer, beneficiaries
        self._law, self._hard, self._hours = law, world.configuration.hard, own_hours(law, rng)
        self._accounts = [account(PAYER, payer)]
        if self._hard:
            home = int(world.people.home[payer])
            self._accounts.append(new_account(world, rng, home, "lsac_second_account"))
        elif world.people.two_accounts[payer]:
            self._accounts.append(account(SECOND, payer))
        notes.persons |= dict.fromkeys(self._accounts[1:], self._accounts[0])
        rails = choice_of(RAILS, self._law.rails)
        self._rails = [RAILS[code] for code in rails.draw(rng, 2).tolist()]
        if rng.random() >= self._law.two_rails:
            self._rails[1] = self._rails[0]
        self._relation = pick(rng, self._law.relations)

    def plan(self, drafts: Drafts, n: int, sub_type: str) -> None:
        configuration, parameters, rng = self._world.configuration, self._world.configuration.parameters, self._rng
        series = draw_series(
            self._law, self._law.amounts_aud[configuration.amounts], parameters.rates_per_eur[_AUD], rng, n, sub_type
        )
        series.eur *= self._law.level
        series.eur[0] *= self._law.first_factor
        days = placed(self._law, rng, series, configuration.days)
        payees = self._payees(days, series.begins)
        references = self._references(n)
        case, time_ms, previous = drafts.new_case(), 0, 0.0
        for at in range(n):
            if series.begins[at]:
                time_ms = self._begin_ms(float(days[at]))
            else:
                time_ms += int((days[at] - previous) * DAY_MS)
            previous = float(days[at])
            payee, facilitator = payees[at]
            drafts.add(
                Draft(
                    time_ms, self._accounts[int(rng.random() < 0.5) % len(self._accounts)], payee,
                    float(series.eur[at]) * (rng.uniform(0.93, 1.07) if self._hard else 1.0), "lsac", "lsac",
                    self._rails[int(rng.random() < 0.3)], self._rounding(), int(references[at]),
                    relation=self._relation, purpose="FAMI" if rng.random() < 0.12 else "none", case=case,
                )
            )  # fmt: skip
            if facilitator:
                self._cash_out(drafts, time_ms, payee, float(series.eur[at]), case)
        if configuration.profile != "remitter":
            self._side_signals(drafts, days)

    def _begin_ms(self, day: float) -> int:
        """A moment of that day at an hour of the payer's own clock."""
        if self._law.payday and self._rng.random() < self._law.payday:
            day = self._payday(day)
        part_of_day = pick(self._rng, {"day": 1.0} if self._hard else self._hours)
        hour = self._rng.uniform(*HOUR_RANGES[part_of_day])
        offset = int(self._world.places.offset_minutes[self._world.people.home[self._payer]])
        configuration = self._world.configuration
        time_ms = configuration.start_ms + int(day) * DAY_MS + int(hour * HOUR_MS) - offset * 60_000
        # What falls off the edge of the horizon moves one day inwards.
        if time_ms < configuration.start_ms:
            return time_ms + DAY_MS
        return time_ms - DAY_MS if time_ms >= configuration.end_ms and day < configuration.days else time_ms

    def _payday(self, day: float) -> float:
        """A day after that month's payday, within the horizon."""
        configuration = self._world.configuration
        first = configuration.month_start(configuration.month_of(int(day))) - configuration.first_day
        return min(first.days + self._rng.uniform(24.0, 29.0), configuration.days - 1.0)

    def _rounding(self) -> int:
        if self._hard or self._rng.random() >= self._law.round_share:
            return NOT_ROUND
        return ROUND_RECEIVED if self._rng.random() < self._law.round_received_share else ROUND_SENT

    def _references(self, n: int) -> Ints:
        words, rng = self._world.words, self._rng
        if self._hard:
            return words.of_theme(rng, "unique", n)
        shares = dict(self._law.references)
        shares["lexicon"] = shares["other"] * self._law.lexicon_in_other
        shares["other"] -= shares["lexicon"]
        return words.draw(rng, words.chooser(shares), n)

    def _payees(self, days: Floats, begins: list[bool]) -> list[tuple[int, bool]]:
        """Whom each payment goes to: a relation begins, lasts a while and is replaced; a session has one payee."""
        rng, count, n = self._rng, len(self._beneficiaries), len(days)
        starts = np.sort(np.concatenate([[0], rng.choice(np.arange(1, n), count - 1, replace=False)])).astype(int)
        lives = lognormal(rng, *self._law.relation_life_days, count)
        chosen: list[tuple[int, bool]] = []
        for at in range(n):
            known = int(np.searchsorted(starts, at, side="right"))
            if begins[at] or not chosen or at in starts[1:]:
                alive = [k for k in range(known) if days[at] <= days[starts[k]] + lives[k]]
                newest = at in starts or not alive
                who = self._beneficiaries[known - 1 if newest else alive[int(rng.integers(0, len(alive)))]]
                other = who.accounts[int(rng.integers(0, len(who.accounts)))]
                chosen.append((who.accounts[0] if rng.random() < 0.8 else other, who.facilitator))
            else:
                chosen.append(chosen[-1])
        return chosen

    def _cash_out(self, drafts: Drafts, time_ms: int, payee: int, eur: float, case: int) -> None:
        """The facilitator takes most of it out at an agent after a short while."""
        rng = self._rng
        dwell_ms = max(60_000, int(float(lognormal(rng, *self._law.dwell_hours, 1)[0]) * HOUR_MS))
        agent = pooled(AGENT, self._world.accounts.place(payee), int(rng.integers(0, 400)))
        drafts.add(
            Draft(
                time_ms + dwell_ms, payee, agent, eur * rng.uniform(0.80, 0.985), "cash_out", "lsac_cash_out",
                "wallet", ROUND_SENT, category="6010", case=case,
            )
        )  # fmt: skip

    def _side_signals(self, drafts: Drafts, days: Floats) -> None:
        """Purchases beside the transfers, as merchants' categories; innocents make the same ones."""
        rng, law = self._rng, self._law
        for chance, category, eur, spread in (
            (law.cam_tokens, "5967", 18.0, 2.0),
            (law.vpn, "4816", 9.0, 40.0),
            (law.capture_software, "5734", 35.0, 40.0),
        ):
            if rng.random() < chance:
                for day in days[: 1 + int(rng.poisson(2.0))]:
                    self._purchase(drafts, float(day) + rng.normal(0.0, spread), category, eur)
        if len(days) >= 5 and rng.random() < law.travel_after_5:
            for category, eur in (("4511", 700.0), ("7011", 250.0)):
                self._purchase(drafts, float(days[4:][-1]) + rng.uniform(3.0, 80.0), category, eur)

    def _purchase(self, drafts: Drafts, day: float, category: str, eur_median: float) -> None:
        rng, home = self._rng, int(self._world.people.home[self._payer])
        merchant = pooled(MERCHANT, home, int(rng.integers(0, 1_000)))
        drafts.add(
            Draft(
                self._begin_ms(max(0.0, day)), self._accounts[0], merchant,
                float(lognormal(rng, eur_median, 0.5, 1)[0]), "side_signal", rail="card", category=category,
            )
        )  # fmt: skip

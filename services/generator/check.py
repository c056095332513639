"""Each parameter beside what a stream shows of it, with the deviation that chance explains."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from services.generator.chance import Floats, Ints
from services.generator.configuration import Configuration
from services.generator.facilitators import beneficiaries_mean
from services.generator.labels import payment_id
from services.generator.lsac import HOUR_RANGES, mix_moments, mix_share, n_moments, split_mix
from services.generator.measures import Measures, independent
from services.generator.parameters import LsacLaw, RoutineLaw
from services.generator.people import cases
from services.generator.rhythm import JITTER_DAYS
from services.generator.routine import PAYDAYS
from services.generator.rows import KINDS, RAILS, RELATIONS, TYPOLOGIES, source
from services.generator.truth import AccountTruth
from services.generator.twins import months_unlike
from services.generator.victims import fsec_largest

ERRORS_ALLOWED = 4.5
"""Standard errors that a deviation may have: few runs have one of two hundred parameters beyond it by chance."""
_MEDIAN_ERROR = 1.2533  # of a median, relative to that of a mean: sqrt(pi / 2)

Themes: TypeAlias = Mapping[str, tuple[str, ...]]
"""Themes of texts by what a law calls them."""
_LSAC_THEMES: Themes = {
    "excuse": ("food", "medical", "school", "housing", "family"),
    "none": ("none",),
    "handle": ("handle",),
    "other": ("other", "lexicon"),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One parameter. ``tolerance`` bounds ``|shown - specified|``; ``within`` is ``None`` with too little to say."""

    parameter: str
    specified: float
    shown: float
    tolerance: float
    basis: str
    n: int

    @property
    def within(self) -> bool | None:
        """Whether the stream shows what was specified."""
        if self.n < 1 or not math.isfinite(self.shown):
            return None
        return bool(abs(self.shown - self.specified) <= self.tolerance + 1e-9)


def findings(measures: Measures) -> list[Finding]:
    """All parameters that a stream can show, in the order of the specification."""
    parts = (_payers, _lsac, _controls, _routines, _domestic, _others, _labels, _noise)
    return [finding for part in parts for finding in part(measures)]


def _share(name: str, specified: float, shown: float, n: float, basis: str, slack: float = 0.0) -> Finding:
    """A share among ``n`` independent things. A share that is rare may be off by a few of them."""
    error = math.sqrt(max(specified * (1.0 - specified), 1e-12) / max(1.0, n))
    return Finding(name, specified, float(shown), ERRORS_ALLOWED * error + slack + 3.0 / max(1.0, n), basis, int(n))


def _shares(
    name: str, law: Mapping[str, float], shown: Mapping[str, float], n: float, basis: str, slack: float = 0.0
) -> Iterator[Finding]:
    whole = sum(law.values())
    for key, value in law.items():
        yield _share(f"{name}.{key}", value / whole, shown.get(key, 0.0), n, basis, slack)


def _codes(
    name: str, law: Mapping[str, float], counts: Ints, codes: Iterable[str], n: float, basis: str
) -> Iterator[Finding]:
    """The shares of ``codes``, one for each of ``counts``."""
    shown = dict(zip(codes, (counts / max(1, counts.sum())).tolist(), strict=True))
    return _shares(name, law, shown, n, basis)


def _round(measures: Measures, name: str, specified: float, basis: str, slack: float) -> Finding:
    odd, even = measures.round[source(name)].tolist()
    return _share(f"{name}.round_share", specified, even / max(1, odd + even), odd + even, basis, slack)


def _payers(measures: Measures) -> Iterator[Finding]:
    configuration, people = measures.stream.configuration, measures.world.people
    parameters, abroad = configuration.parameters, measures.cross_border_payers
    lsac = len(people.of("lsac"))
    yield Finding("lsac payers", round(configuration.lsac_share * abroad), lsac, 1.0, "D", abroad)
    ordinary = len(people.abroad)
    for law in parameters.routine:
        shown = len(people.of(law.name)) / ordinary
        # A small run deals three payers to each routine.
        yield _share(f"{law.name}.payers", law.share, shown, ordinary, "D", slack=4.0 / ordinary)


def _lsac(measures: Measures) -> Iterator[Finding]:
    law, configuration = measures.stream.configuration.parameters.lsac, measures.stream.configuration
    accounts = [each for each in measures.stream.accounts() if each.lifetime_payments is not None]
    numbers = np.array([each.lifetime_payments for each in accounts], dtype=np.float64)
    if not len(numbers):
        return
    mean, deviation, repeaters = n_moments(law)
    n = len(numbers)
    few = 2.0 if n < 30 else 1.0  # so heavy a tail is not normal in small cohorts
    yield Finding(
        "lsac.n mean", mean, float(numbers.mean()), few * ERRORS_ALLOWED * deviation / math.sqrt(n), "D fitted to V", n
    )
    yield _share("lsac.n two or more", repeaters, float((numbers >= 2).mean()), n, "D fitted to V2")
    shown = {name: sum(each.sub_type == name for each in accounts) / n for name in law.sub_types}
    yield from _shares("lsac.sub_types", law.sub_types, shown, n, "V, split D")
    yield from _lsac_amounts(measures, law)
    themes = {} if configuration.hard else _LSAC_THEMES
    yield from _told(measures, law, "lsac", _effective(measures), themes, ("V2, D", "V, split D"))
    yield from _lsac_payees(measures, law, accounts)
    if not configuration.hard:
        hours = measures.hours[source("lsac")]
        whole = max(1, int(hours.sum()))
        parts = {name: [each % 24 for each in range(int(low), int(high))] for name, (low, high) in HOUR_RANGES.items()}
        shown = {name: float(hours[each].sum()) / whole for name, each in parts.items()}
        # The second payment of a session may fall into the next part of the day.
        yield from _shares("lsac.hours", law.hours, shown, whole / 2.0, "direction V, split D", slack=0.05)


def _effective(measures: Measures) -> float:
    """Independent payers that a share of LSAC payments is worth."""
    rows = measures.stream.plan.rows
    return independent(np.unique(rows["payer"][rows["source"] == source("lsac")], return_counts=True)[1])


def _lsac_amounts(measures: Measures, law: LsacLaw) -> Iterator[Finding]:
    configuration = measures.stream.configuration
    mix, rows = law.amounts_aud[configuration.amounts], measures.stream.plan.rows
    mine = rows[rows["source"] == source("lsac")]
    aud = measures.world.places.eur_of(mine) * configuration.parameters.rates_per_eur["AUD"]
    if not len(aud):
        return
    n = len(aud)
    worth, payers = n / 4.0, _effective(measures)  # price points repeat, and sub-types differ
    median, mean, deviation = mix_moments(mix)
    flat, rest = (mix_moments(each) for each in split_mix(law, mix))
    spread, basis = float(np.std(np.log(aud))), "D" if configuration.amounts == "base" else "V, V2, D"
    error = math.hypot(_MEDIAN_ERROR * spread * median / math.sqrt(worth), _half(flat[0], rest[0], payers))
    shown = float(np.median(aud))
    yield Finding("lsac.amount median (AUD)", median, shown, ERRORS_ALLOWED * error + 0.05 * median, basis, n)
    error = math.hypot(deviation / math.sqrt(worth), _half(flat[1], rest[1], payers))
    yield Finding("lsac.amount mean (AUD)", mean, float(aud.mean()), ERRORS_ALLOWED * error + 0.05 * mean, basis, n)
    for top in (200.0, 500.0):
        specified = mix_share(mix, 10.0, top)
        flat_share, rest_share = (mix_share(each, 10.0, top) for each in split_mix(law, mix))
        between = ERRORS_ALLOWED * _half(flat_share, rest_share, payers)
        # Rounding moves what lies near a bound across it, or onto it.
        inside = float(((aud >= 9.9) & (aud <= top * 1.02)).mean())
        yield _share(f"lsac.amount in 10-{top:.0f} AUD", specified, inside, worth, basis, slack=0.02 + between)
    yield _round(measures, "lsac", 0.0 if configuration.hard else law.round_share, "V2, D", slack=0.06)


def _half(flat: float, rest: float, payers: float) -> float:
    """The error that comes from which sub-types the payers happen to have."""
    return abs(flat - rest) / 2.0 / math.sqrt(payers)


def _lsac_payees(measures: Measures, law: LsacLaw, payers: list[AccountTruth]) -> Iterator[Finding]:
    special = [each for each in measures.stream.accounts() if each.role == "payee" and each.typology == "lsac"]
    direct = [each for each in special if each.population == "direct_beneficiary"]
    paid = sum(each.payments or 0 for each in special)
    by_facilitators = sum(each.payments or 0 for each in special if each.population == "facilitator")
    n = independent(np.array([each.payments or 0 for each in special]))
    yield _share("lsac.facilitator_share", law.facilitator_share, by_facilitators / max(1, paid), n, "V")
    minors = sum(each.minor for each in direct) / max(1, len(direct))
    yield _share("lsac.minor_share", law.minor_share, minors, len(direct), "D")
    many = [each for each in payers if (each.payments or 0) >= 20]
    if many:
        counts = np.array([each.counterparties for each in many], dtype=np.float64)
        mean = float(np.mean([beneficiaries_mean(law, each.payments or 1) for each in many]))
        # Besides the negative binomial: a facilitator has up to four accounts.
        error = ERRORS_ALLOWED * max(float(counts.std()), mean * 0.6) / math.sqrt(len(many))
        shown = float(counts.mean())
        yield Finding("lsac.beneficiaries of 20 payments", mean, shown, error + 0.3 * mean, "V, D", len(many))


def _controls(measures: Measures) -> Iterator[Finding]:
    """The same destinations for all, and twins that differ from their payer in nothing but rhythm."""
    parameters, people = measures.stream.configuration.parameters, measures.world.people
    destinations = parameters.destinations
    law, offset = {code: place.weight for code, place in destinations.items()}, measures.world.places.homes_count
    for name, members in (("lsac", people.of("lsac")), ("ordinary payers", people.abroad)):
        counts = np.bincount(people.destination[members] - offset, minlength=len(destinations))
        yield from _codes(f"destinations of {name}", law, counts, destinations, len(members), "D")
    twins = people.of("lsac_twin")
    unlike = sum(
        people.home[twin] != people.home[people.twin_of[twin]]
        or people.destination[twin] != people.destination[people.twin_of[twin]]
        for twin in twins.tolist()
    )
    yield Finding("twins of another corridor", 0.0, float(unlike), 0.0, "D", len(twins))
    months = float(months_unlike(measures.world, measures.stream.plan.rows, measures.stream.plan.notes.persons))
    yield Finding("twins' months of another total", 0.0, months, 0.0, "D", len(twins))


def _routines(measures: Measures) -> Iterator[Finding]:
    people, days = measures.world.people, measures.stream.configuration.days
    for law in measures.stream.configuration.parameters.routine:
        at, members = source(law.name), people.of(law.name)
        n = measures.effective_payers(law.name)
        active = float((people.last_day[members] - people.first_day[members]).sum())
        if not measures.payments[at] or days < 28:
            continue
        specified = payments_per_month(law, _months_due(measures.stream.configuration))
        shown = float(measures.by_payer[members].sum()) / active * 30.44
        edge = 0.05 + _events(law, measures.stream.configuration)
        per_payer = ERRORS_ALLOWED * specified * 0.9 / math.sqrt(max(1.0, n))
        yield Finding(f"{law.name}.per_month", specified, shown, per_payer + edge * specified, "D", int(n))
        median, sigma = law.amount
        rise = math.log(law.rising) * _risen(people.last_day[members] - people.first_day[members])
        logs = float(measures.log_by_payer[members].sum() / max(1, measures.by_payer[members].sum()))
        error = ERRORS_ALLOWED * sigma / math.sqrt(max(1.0, n)) + 0.04
        basis = "V2, D" if law.name == "diaspora" else "D"
        yield Finding(f"{law.name}.amount log mean", math.log(median) + rise, logs, error, basis, int(n))
        themes: Themes = {theme: (theme,) for theme in law.references}
        basis = "basic needs V2, D" if law.name == "diaspora" else "D"
        yield from _told(measures, law, law.name, n, themes, ("D", basis))
        if law.within > 0.0:
            yield _round(measures, law.name, law.round_share, "D", slack=0.04)


def _risen(active: Ints) -> float:
    """How far amounts that rise for a year have risen, over all active days: 0 to 1."""
    days = np.maximum(active, 1).astype(np.float64)
    area = np.where(days <= 365.0, days**2 / 730.0, days - 182.5)
    return float(area.sum() / days.sum())


def _told(
    measures: Measures, law: RoutineLaw | LsacLaw, name: str, n: float, themes: Themes, bases: tuple[str, str]
) -> Iterator[Finding]:
    """Rails, references (of ``themes``) and relationships of a source, ``bases`` being those of the first two."""
    at = source(name)
    yield from _codes(f"{name}.rails", law.rails, measures.rails[at], RAILS, n, bases[0])
    if themes:
        # Urgent help has words of its own.
        slack = 0.02 if isinstance(law, RoutineLaw) and law.emergency > 1.0 else 0.0
        shown = {theme: measures.theme_share(name, each) for theme, each in themes.items()}
        payments = float(measures.payments[at])
        yield from _shares(f"{name}.references", law.references, shown, payments, bases[1], slack)
    yield from _codes(f"{name}.relations", law.relations, measures.relations[at], [*RELATIONS, "none"], n, "D")


def _domestic(measures: Measures) -> Iterator[Finding]:
    configuration = measures.stream.configuration
    if configuration.profile == "remitter":
        return
    for law in configuration.parameters.domestic:
        at = source(law.name)
        n = int(measures.payments[at])
        pace = 1.0 if law.payee == "self" else configuration.parameters.domestic_pace
        expected = law.per_month * pace * configuration.payers * configuration.days / 30.44
        slack = 0.12 * expected if law.payee == "self" else 0.02 * expected
        error = ERRORS_ALLOWED * math.sqrt(expected) + slack
        yield Finding(f"{law.name}.payments", expected, n, error, "D", n)
        logs: Floats = measures.log_sum[at] / max(1, n)
        worth = n if law.payee not in ("self", "biller") else configuration.payers / 4
        error = ERRORS_ALLOWED * law.amount[1] / math.sqrt(max(1, worth)) + 0.08
        yield Finding(f"{law.name}.amount log mean", math.log(law.amount[0]), float(logs), error, "D", n)
        yield _share(f"{law.name}.rejected", law.rejected, measures.declined[at] / max(1, n), n, "D")


def _others(measures: Measures) -> Iterator[Finding]:
    configuration, plan = measures.stream.configuration, measures.stream.plan
    for name in configuration.parameters.rates:
        typology = TYPOLOGIES.index("romance_fraud" if name == "romance" else name)
        shown = len(np.unique(plan.cases[plan.rows["typology"] == typology]))
        yield Finding(f"{name} cases", cases(configuration, name), shown, 0.0, "D", configuration.payers)
    law, (first, total, hours) = configuration.parameters.fsec, fsec_largest(measures.world, plan.rows)
    for name, bound, shown_most in (
        ("fsec.first above its bound (EUR)", law.first_max_eur, first),
        ("fsec.total above its bound (EUR)", law.total_max_eur, total),
        ("fsec.span above its bound (h)", law.within_hours, hours),
    ):
        yield Finding(name, 0.0, max(0.0, shown_most - bound), 0.0, "V2", 1)


def _labels(measures: Measures) -> Iterator[Finding]:
    law, plan = measures.stream.configuration.parameters.labels, measures.stream.plan
    ordinary = int(measures.kinds[0]) - int((plan.rows["typology"] != 0).sum())
    shown = measures.labels_innocent / max(1, ordinary)
    yield _share("labels.innocent_share", law.innocent_share, shown, ordinary, "D", slack=0.02 * law.innocent_share)
    wrong = measures.labels_innocent_wrong / max(1, measures.labels_innocent)
    yield _share("labels.innocent_error", law.innocent_error, wrong, measures.labels_innocent, "D")
    case_of = {payment_id(pid): case for pid, case in zip(plan.rows["pid"].tolist(), plan.cases.tolist(), strict=True)}
    by_source: dict[str, set[int]] = {"analyst": set(), "authority": set()}
    for label in plan.labels:
        by_source.setdefault(label.source, set()).add(case_of[label.payment_id])
    n = len(np.unique(plan.cases[plan.cases >= 0]))
    yield _share("labels.alerted_share", law.alerted_share, len(by_source["analyst"]) / max(1, n), n, "D")
    yield _share("labels.confirmed_share", law.confirmed_share, len(by_source["authority"]) / max(1, n), n, "D")


def _noise(measures: Measures) -> Iterator[Finding]:
    if not measures.stream.configuration.noise:
        return
    law, n = measures.stream.configuration.parameters.noise, int(measures.kinds[0])
    shown = dict(zip(KINDS, (measures.kinds / max(1, n)).tolist(), strict=True))
    yield _share("noise.late", law.late, measures.late / max(1, n), n, "D")
    yield _share("noise.duplicate", law.duplicate, shown["repeat"], n, "D")
    updates = law.returned + law.attempted
    yield _share("noise.status_updates", updates, shown["status_update"], n, "D", slack=0.03 * updates)
    yield _share("noise.malformed", law.malformed, shown["malformed"], n, "D")


def payments_per_month(law: RoutineLaw, monthly: float = 1.0) -> float:
    """Payments per payer and month (30.44 days) that a routine's cadence comes to, seasons apart.

    ``monthly`` is what a monthly cadence comes to in a horizon that cuts months off.
    """
    rates = {
        "monthly": monthly,
        "fortnightly": 30.44 / 14.0,
        "weekly": 30.44 / 7.0,
        "irregular": law.irregular_per_month,
    }
    regular = sum(share * rates[name] for name, share in law.cadence.items()) / sum(law.cadence.values())
    return regular * (1.0 - law.skip) * (1.0 + law.second_recipient)


def _months_due(configuration: Configuration) -> float:
    """Monthly payments that fall into the horizon, a month of 30.44 days: late paydays may lie beyond its end."""
    starts = [(configuration.month_start(at) - configuration.first_day).days for at in range(-1, configuration.months)]
    late = [payday - 1 + jitter for payday in range(*PAYDAYS) for jitter in range(JITTER_DAYS["monthly"])]
    due = [0 <= start + each < configuration.days for start in starts for each in late]
    return sum(due) / len(late) / (configuration.days / 30.44)


def _events(law: RoutineLaw, configuration: Configuration) -> float:
    """What December and emergencies may add, as a share."""
    decembers = sum(configuration.month_start(at).month == 12 for at in range(configuration.months))
    return (law.december - 1.0) * decembers / configuration.months * 1.2 + (law.emergency - 1.0) * 0.02

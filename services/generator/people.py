"""Who the payers are: population, home, destination, tenure. Drawn once; memory is a few dozen bytes a payer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from services.generator.accounts import Accounts
from services.generator.chance import Bools, Choice, Generator, Ints, generator, lognormal, share_of
from services.generator.configuration import Configuration
from services.generator.places import Places
from services.generator.rows import of_routine, source
from services.generator.words import Words

_PEOPLE_SOURCE, _SETTLED_SOURCE = 201, 205
_SYSTEMS_BY_HOME = 1.0
DOMESTIC_ONLY = -1
"""Population of a bank's payers who never pay abroad."""


@dataclass
class People:
    """All payers, by number.

    ``population`` is a code of ``ALL_SOURCES`` or ``DOMESTIC_ONLY``; ``first_day`` and ``last_day`` bound what a payer
    does by routine; ``twin_of`` is the LSAC payer that a twin mirrors, by number, else -1; ``owner`` is the payer
    whose recipients a payer pays, mostly itself; ``circle`` is the savings circle, else -1.

    Only in a drawn world: ``second`` is the population of a payer's second routine, else -1; ``elsewhere`` another
    destination; ``system`` the source system of its accounts; ``two_accounts`` whether it pays from two.
    """

    population: NDArray[np.int8]
    home: Ints
    destination: Ints
    first_day: Ints
    last_day: Ints
    twin_of: Ints
    owner: Ints
    circle: Ints
    circle_places: Ints
    second: NDArray[np.int8]
    elsewhere: Ints
    system: NDArray[np.int8]
    two_accounts: Bools

    def of(self, name: str) -> Ints:
        """The payers of one population, ascending."""
        return np.flatnonzero(self.population == source(name))

    @cached_property
    def abroad(self) -> Ints:
        """The payers of a cross-border routine, ascending: those to whom other things may happen as well."""
        return np.flatnonzero(of_routine(self.population))


@dataclass(slots=True)
class World:
    """What every part of the generator works on."""

    configuration: Configuration
    places: Places
    words: Words
    people: People
    accounts: Accounts

    @property
    def seed(self) -> int:
        """The seed of the run."""
        return self.configuration.seed


def groups(keys: Ints, count: int) -> tuple[Ints, Ints, Ints]:
    """Positions ordered by their key, and, of each key below ``count``: where its positions begin, and how many."""
    order = np.argsort(keys, kind="stable")
    sizes = np.bincount(keys, minlength=count)
    return order, np.cumsum(sizes) - sizes, sizes


def cases(configuration: Configuration, name: str) -> int:
    """How many cases of a typology or of its look-alike a run has: its rate times the payers, and at least one."""
    parameters = configuration.parameters
    rate = parameters.rates.get(name, 0.0) or parameters.look_alikes.get(name, 0.0)
    return max(1, round(rate * configuration.payers)) if rate > 0.0 else 0


def build_world(configuration: Configuration) -> World:
    """The world of a run, before anything happens in it."""
    parameters = configuration.parameters
    places = Places(parameters, configuration.swap_seed)
    rng = generator(configuration.seed, _PEOPLE_SOURCE)
    n = configuration.payers
    population, twin_of = _populations(configuration, rng)
    people = People(
        population=population,
        home=places.home_choice.draw(rng, n),
        destination=places.destination_choice.draw(rng, n),
        first_day=np.zeros(n, dtype=np.int64),
        last_day=np.full(n, configuration.days, dtype=np.int64),
        twin_of=twin_of,
        owner=np.arange(n, dtype=np.int64),
        circle=np.full(n, -1, dtype=np.int64),
        circle_places=np.zeros(0, dtype=np.int64),
        second=np.full(n, -1, dtype=np.int8),
        elsewhere=np.zeros(n, dtype=np.int64),
        system=np.zeros(n, dtype=np.int8),
        two_accounts=np.zeros(n, dtype=np.bool_),
    )
    if parameters.drawn:
        people.destination[:] = _corridors(people.home, places, parameters.corridor_spread, configuration.seed)
    _set_tenure(people, configuration, rng)
    twins = np.flatnonzero(twin_of >= 0)
    people.home[twins], people.destination[twins] = people.home[twin_of[twins]], people.destination[twin_of[twins]]
    _share_relatives(people, parameters.household_share)
    _form_circles(people, configuration, rng)
    if parameters.drawn:
        _settle(people, configuration, places)
    accounts = Accounts(configuration, places, people.home, people.destination, people.circle_places)
    return World(configuration, places, Words(parameters), people, accounts)


def _populations(configuration: Configuration, rng: Generator) -> tuple[NDArray[np.int8], Ints]:
    parameters, n = configuration.parameters, configuration.payers
    share = 1.0 if configuration.profile == "remitter" else parameters.cross_border_share
    abroad = rng.permutation(n)[: max(20, round(share * n))]
    wanted = round(configuration.lsac_share * len(abroad))
    lsac = max(1, wanted) if configuration.lsac_share > 0.0 else 0
    counts = {
        "lsac": lsac,
        "lsac_twin": lsac,
        "fsec_victim": cases(configuration, "fsec"),
        "romance_victim": cases(configuration, "romance"),
    }
    planned = np.repeat([source(name) for name in counts], list(counts.values()))
    population = np.full(n, DOMESTIC_ONLY, dtype=np.int8)
    population[abroad[: len(planned)]] = planned
    ordinary = np.sort(abroad[len(planned) :])
    laws = parameters.routine
    chooser = Choice([source(law.name) for law in laws], [law.share for law in laws])
    population[ordinary] = chooser.draw(rng, len(ordinary))
    # Even a small run has a few of everybody: the first ordinary payers are dealt out, three to each routine.
    dealt = ordinary[: 3 * len(laws)]
    population[dealt] = [source(laws[i % len(laws)].name) for i in range(len(dealt))]
    twin_of = np.full(n, -1, dtype=np.int64)
    twin_of[abroad[lsac : 2 * lsac]] = abroad[:lsac]
    return population, twin_of


def _set_tenure(people: People, configuration: Configuration, rng: Generator) -> None:
    """A share of payers begins or stops within the horizon."""
    n, days = configuration.payers, configuration.days
    churn = rng.random(n)
    when = (rng.random(n) * days).astype(np.int64)
    half = configuration.parameters.churn_share / 2.0
    people.first_day[churn < half] = when[churn < half]
    stops = (churn >= half) & (churn < 2.0 * half)
    people.last_day[stops] = when[stops] + 1


def _corridors(home: Ints, places: Places, spread: float, seed: int) -> Ints:
    """The destination of each payer of a drawn world: each home has its own weights of destinations."""
    rng, destination = generator(seed, _SETTLED_SOURCE, 1), np.zeros_like(home)
    for each in range(places.homes_count):
        members = np.flatnonzero(home == each)
        destination[members] = places.destination_choice.spread(rng, spread).draw(rng, len(members))
    return destination


def _settle(people: People, configuration: Configuration, places: Places) -> None:
    """What only payers of a drawn world have: a source system, a second routine, a second account."""
    parameters, n = configuration.parameters, configuration.payers
    rng = generator(configuration.seed, _SETTLED_SOURCE)
    weights = np.array([system.weight for system in parameters.systems])
    # Each country has its usual systems.
    for home in range(places.homes_count):
        members = np.flatnonzero(people.home == home)
        usual = weights * lognormal(rng, 1.0, _SYSTEMS_BY_HOME, len(weights))
        people.system[members] = Choice(range(len(weights)), usual.tolist()).draw(rng, len(members))
    twins = np.flatnonzero(people.twin_of >= 0)
    people.system[twins] = people.system[people.twin_of[twins]]
    people.elsewhere[:] = places.destination_choice.draw(rng, n)
    people.two_accounts[:] = rng.random(n) < parameters.second_account_share
    beside = [law for law in parameters.routine if law.beside > 0.0]
    if beside:
        chooser = Choice([source(law.name) for law in beside], [law.beside for law in beside])
        second, chance = chooser.draw(rng, n), np.zeros(n)
        chance[people.abroad] = parameters.second_routine_share
        for name in ("lsac", "lsac_twin", "romance_victim"):
            chance[people.of(name)] = parameters.lsac_routine_share
        also = (rng.random(n) < chance) & (second != people.population)
        people.second[also] = second[also]


def _share_relatives(people: People, share: float) -> None:
    """Some pay the relatives of another payer to the same country, from wherever either lives."""
    diaspora = people.of("diaspora")
    ordered = diaspora[np.argsort(people.destination[diaspora], kind="stable")]
    follows = np.flatnonzero(share_of(ordered, 0x5157) < share)
    follows = follows[follows > 0]
    same = people.destination[ordered[follows]] == people.destination[ordered[follows - 1]]
    people.owner[ordered[follows[same]]] = ordered[follows[same] - 1]


def _form_circles(people: People, configuration: Configuration, rng: Generator) -> None:
    """Savings circles of neighbours: members of one home, and some of them of one destination too."""
    law, members = configuration.parameters.circles, people.of("savings_circle")
    members = members[np.lexsort((people.destination[members], people.home[members]))]
    places: list[int] = []
    at = 0
    while at < len(members):
        size = int(rng.integers(law.members[0], law.members[1] + 1))
        chosen = members[at : at + size]
        chosen = chosen[people.home[chosen] == people.home[chosen[0]]]
        people.circle[chosen] = len(places)
        abroad = rng.random() < law.abroad_share
        places.append(int(people.destination[chosen[0]] if abroad else people.home[chosen[0]]))
        at += len(chosen)
    people.circle_places = np.array(places, dtype=np.int64)

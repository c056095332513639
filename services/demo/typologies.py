"""General typologies at a low rate, and for each the innocent pattern that looks most like it.

A case is a handful of payments that belong together. Sizes follow section 5.4 of the generator specification. Each
suspicious kind has an innocent twin that is more frequent than it: no rule that only knows the shape can be right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from services.contract.types import Status
from services.demo.background import HOUR_MS
from services.demo.drafts import Draft, minor_of
from services.demo.population import DAY_MS, Population

Make = Callable[[Population, np.random.Generator, int], Iterator[Draft]]
"""A case that begins at a moment (ms). Drafts in no order, none before that moment."""

THRESHOLD_EUR = 10_000.0


@dataclass(frozen=True, slots=True)
class Case:
    """A kind of case: its share of all payments, and how many payments one has on average."""

    name: str
    suspicious: bool
    share: float
    payments_mean: float
    make: Make


def _eur(rng: np.random.Generator, median: float, sigma: float) -> float:
    return float(np.exp(rng.normal(np.log(median), sigma)))


def _hours(rng: np.random.Generator, most: float) -> int:
    return int(rng.random() * most * HOUR_MS)


def _payee(population: Population, rng: np.random.Generator, payer: int, at_ms: int) -> int:
    """Somebody new to the payer: a known person, a new account at home, or one abroad."""
    kind = rng.random()
    if kind < 0.45:
        return int(rng.choice(population.people))
    if kind < 0.85:
        return population.fresh(population.accounts.homes[payer], at_ms)
    return population.abroad(at_ms=at_ms)


def structuring(population: Population, rng: np.random.Generator, at_ms: int) -> Iterator[Draft]:
    """3 to 12 transfers within a week, each at 80 to 99 % of the reporting threshold."""
    payer = population.person()
    payees = [_payee(population, rng, payer, at_ms) for _ in range(rng.integers(1, 4))]
    for _ in range(rng.integers(3, 13)):
        minor = minor_of(population.accounts, payer, THRESHOLD_EUR * rng.uniform(0.80, 0.99), _step(rng, 0, 10, 50))
        time_ms = at_ms + int(rng.random() * 7 * DAY_MS)
        yield Draft(
            time_ms,
            payer,
            int(rng.choice(payees)),
            minor,
            "bank",
            _word(rng, _invoice(rng), "loan", None),
        )


def trader(population: Population, rng: np.random.Generator, at_ms: int) -> Iterator[Draft]:
    """A small firm pays its suppliers large invoices, some just below the same threshold. Innocent."""
    payer = int(rng.choice(population.employers))
    payees = [int(rng.choice(population.employers)) for _ in range(3)]
    for _ in range(rng.integers(3, 10)):
        minor = minor_of(population.accounts, payer, rng.uniform(4_000.0, 14_000.0))
        time_ms = at_ms + int(rng.random() * 7 * DAY_MS)
        yield Draft(time_ms, payer, int(rng.choice(payees)), minor, "bank", _invoice(rng), "SUPP")


def mule(population: Population, rng: np.random.Generator, at_ms: int) -> Iterator[Draft]:
    """5 to 40 payers to one account within 72 h, at least 85 % of it out within 24 h to 1 to 6 accounts."""
    payers = {population.person() for _ in range(min(40, 4 + int(_eur(rng, 6.0, 0.6))))}
    home = population.accounts.homes[next(iter(sorted(payers)))]
    account = population.fresh(home, at_ms) if rng.random() < 0.6 else int(rng.choice(population.people))
    span_ms, received, last_ms = 6 * HOUR_MS + _hours(rng, 60.0), 0.0, at_ms
    for payer in sorted(payers - {account}):
        eur = _eur(rng, 420.0, 0.7)
        received += eur
        time_ms = at_ms + int(rng.random() * span_ms)
        last_ms = max(last_ms, time_ms)
        minor, rail = minor_of(population.accounts, payer, eur, _step(rng, 0, 0, 10)), _word(rng, "bank", "wallet")
        yield Draft(time_ms, payer, account, minor, rail or "bank", _word(rng, "savings", "order", None))
    outs = int(rng.integers(1, 7))
    for _ in range(outs):
        minor = minor_of(population.accounts, account, received * rng.uniform(0.86, 0.98) / outs)
        out_ms = last_ms + HOUR_MS // 4 + _hours(rng, 20.0)
        yield Draft(out_ms, account, _payee(population, rng, account, at_ms), minor, "bank", None)


def collection(population: Population, rng: np.random.Generator, at_ms: int) -> Iterator[Draft]:
    """Neighbours collect for a funeral, a leaving gift, a sports club; one of them pays it on. Innocent."""
    organiser = population.person()
    givers = population.neighbours(organiser, 6 + int(_eur(rng, 9.0, 0.6)))
    account = population.fresh(population.accounts.homes[organiser], at_ms) if rng.random() < 0.4 else organiser
    received, last_ms = 0.0, at_ms
    for payer in givers:
        eur = float(rng.choice([10, 15, 20, 25, 30, 50]))
        received += eur
        time_ms = at_ms + int(rng.random() * 3 * DAY_MS)
        last_ms = max(last_ms, time_ms)
        minor = minor_of(population.accounts, payer, eur, 5.0)
        yield Draft(time_ms, payer, account, minor, "wallet", _word(rng, "collection", "gift", None))
    minor = minor_of(population.accounts, account, received * rng.uniform(0.9, 1.0))
    to = int(rng.choice(population.charities if rng.random() < 0.5 else population.merchants))
    yield Draft(last_ms + _hours(rng, 36.0), account, to, minor, "bank", "collection")


def circle(population: Population, rng: np.random.Generator, at_ms: int) -> Iterator[Draft]:
    """A savings circle: everybody pays the same sum to whoever keeps it, who hands the pot to one of them. Innocent."""
    keeper = population.person()
    members = population.neighbours(keeper, int(rng.integers(7, 13)))
    eur = float(rng.choice([50, 100, 100, 200]))
    for payer in members:
        minor = minor_of(population.accounts, payer, eur, 10.0)
        yield Draft(at_ms + _hours(rng, 36.0), payer, keeper, minor, "wallet", _word(rng, "circle", None))
    if members:
        minor = minor_of(population.accounts, keeper, eur * len(members), 10.0)
        yield Draft(at_ms + 2 * DAY_MS + _hours(rng, 10.0), keeper, int(rng.choice(members)), minor, "bank", "circle")


def takeover(population: Population, rng: np.random.Generator, at_ms: int) -> Iterator[Draft]:
    """A new device, and within two hours 1 to 5 large transfers to a new payee."""
    payer, device = population.person(), int(rng.integers(1, 1 << 60))
    payee = _payee(population, rng, payer, at_ms)
    for _ in range(rng.integers(1, 6)):
        minor = minor_of(population.accounts, payer, _eur(rng, 1_300.0, 0.5), _step(rng, 0, 10, 50))
        yield Draft(at_ms + _hours(rng, 2.0), payer, payee, minor, "bank", None, device=device)


def new_phone(population: Population, rng: np.random.Generator, at_ms: int) -> Iterator[Draft]:
    """A new phone, and a large but honest payment to somebody new: a landlord, a car, a travel agent."""
    payer, device = population.person(), int(rng.integers(1, 1 << 60))
    payee = int(rng.choice(population.merchants)) if rng.random() < 0.5 else _payee(population, rng, payer, at_ms)
    for _ in range(rng.integers(1, 4)):
        minor = minor_of(population.accounts, payer, _eur(rng, 700.0, 0.7), _step(rng, 0, 10))
        word = _word(rng, "deposit", "car", "travel", None)
        yield Draft(at_ms + _hours(rng, 30.0), payer, payee, minor, "bank", word, device=device)


def card_testing(population: Population, rng: np.random.Generator, at_ms: int) -> Iterator[Draft]:
    """Tiny authorisations across cards at one merchant within an hour, most refused, then a few large ones."""
    merchant, shop = (int(each) for each in rng.choice(population.merchants, 2))
    cards = [population.person() for _ in range(rng.integers(6, 16))]
    good: list[tuple[int, int]] = []
    for _ in range(rng.integers(20, 36)):
        card, time_ms = cards[int(rng.integers(0, len(cards)))], at_ms + _hours(rng, 1.0)
        refused = bool(rng.random() < 0.8)
        if not refused:
            good.append((card, time_ms))
        minor = minor_of(population.accounts, card, rng.uniform(0.0, 2.0))
        status: Status = "rejected" if refused else "accepted"
        yield Draft(time_ms, card, merchant, minor, "card", None, None, "5999", status, int(rng.integers(1, 1 << 60)))
    for card, time_ms in good[: int(rng.integers(1, 4))]:
        minor = minor_of(population.accounts, card, _eur(rng, 480.0, 0.6))
        yield Draft(time_ms + HOUR_MS // 3 + _hours(rng, 2.0), card, shop, minor, "card", None, None, "5732")


def forgotten_code(population: Population, rng: np.random.Generator, at_ms: int) -> Iterator[Draft]:
    """Somebody mistypes a code once or more, succeeds, and later that day buys something dear. Innocent."""
    payer, (first, second) = population.person(), rng.choice(population.merchants, 2)
    minor = minor_of(population.accounts, payer, _eur(rng, 8.0, 0.9))
    tries = int(rng.integers(1, 4))
    for attempt in range(tries + 1):
        status: Status = "accepted" if attempt == tries else "rejected"
        time_ms = at_ms + attempt * 60_000 + _hours(rng, 0.01)
        yield Draft(time_ms, payer, int(first), minor, "card", None, None, "5411", status)
    dear = minor_of(population.accounts, payer, _eur(rng, 260.0, 0.7))
    yield Draft(at_ms + HOUR_MS // 2 + _hours(rng, 8.0), payer, int(second), dear, "card", None, None, "5732")


def burst(population: Population, rng: np.random.Generator, at_ms: int) -> Iterator[Draft]:
    """One payer, 4 to 9 new payees within half a day."""
    payer = population.person()
    for _ in range(rng.integers(4, 10)):
        payee = _payee(population, rng, payer, at_ms)
        minor = minor_of(population.accounts, payer, _eur(rng, 240.0, 0.5), _step(rng, 0, 10, 50))
        yield Draft(at_ms + _hours(rng, 12.0), payer, payee, minor, _word(rng, "wallet", "bank") or "bank", None)


def moving(population: Population, rng: np.random.Generator, at_ms: int) -> Iterator[Draft]:
    """Moving house or travelling: several new payees in a day or two, some of them private. Innocent."""
    payer = population.person()
    for _ in range(rng.integers(3, 8)):
        payee = int(rng.choice(population.merchants)) if rng.random() < 0.6 else _payee(population, rng, payer, at_ms)
        minor = minor_of(population.accounts, payer, _eur(rng, 95.0, 0.9), _step(rng, 0, 5))
        word = _word(rng, "deposit", "van", "room", None)
        yield Draft(at_ms + _hours(rng, 30.0), payer, payee, minor, "wallet", word)


def salary_split(population: Population, rng: np.random.Generator, at_ms: int) -> Iterator[Draft]:
    """Payday: within an hour to savings, partner, children, landlord. New accounts the first time. Innocent."""
    payer = population.person()
    home = population.accounts.homes[payer]
    for _ in range(rng.integers(3, 6)):
        payee = population.fresh(home, at_ms) if rng.random() < 0.4 else int(rng.choice(population.people))
        minor = minor_of(population.accounts, payer, _eur(rng, 260.0, 0.6), 10.0)
        yield Draft(at_ms + _hours(rng, 1.0), payer, payee, minor, "bank", _word(rng, "savings", "rent", None))


def house(population: Population, rng: np.random.Generator, at_ms: int) -> Iterator[Draft]:
    """A house is bought: a deposit, fees, and the price in parts below a daily limit. Innocent."""
    payer = population.person()
    notary = population.fresh(population.accounts.homes[payer], at_ms)
    for _ in range(rng.integers(2, 7)):
        minor = minor_of(population.accounts, payer, rng.uniform(6_000.0, 15_000.0), 50.0)
        yield Draft(at_ms + _hours(rng, 120.0), payer, notary, minor, "bank", _word(rng, "purchase", "deposit"))


def dormant(population: Population, rng: np.random.Generator, at_ms: int) -> Iterator[Draft]:
    """An account asleep for half a year pays large sums to new payees within two days."""
    payer = population.wake()
    if payer is None:
        return
    for _ in range(rng.integers(1, 5)):
        minor = minor_of(population.accounts, payer, _eur(rng, 900.0, 0.6), _step(rng, 0, 10, 50))
        yield Draft(at_ms + _hours(rng, 48.0), payer, _payee(population, rng, payer, at_ms), minor, "bank", None)


def returning(population: Population, rng: np.random.Generator, at_ms: int) -> Iterator[Draft]:
    """A seasonal customer is back after half a year, and shops; sometimes for a larger sum. Innocent."""
    payer = population.wake()
    if payer is None:
        return
    for _ in range(rng.integers(1, 5)):
        payee = int(rng.choice(population.merchants)) if rng.random() < 0.8 else _payee(population, rng, payer, at_ms)
        minor = minor_of(population.accounts, payer, _eur(rng, 110.0, 1.0))
        yield Draft(at_ms + _hours(rng, 48.0), payer, payee, minor, "card", None, None, "5999")


CASES = (
    Case("structuring", True, 0.0008, 7.5, structuring),
    Case("mule", True, 0.0011, 14.0, mule),
    Case("account-takeover", True, 0.0006, 3.0, takeover),
    Case("card-testing", True, 0.0008, 29.5, card_testing),
    Case("new-payee-burst", True, 0.0005, 6.5, burst),
    Case("dormant-wakes", True, 0.0002, 2.5, dormant),
    Case("trader", False, 0.0016, 6.0, trader),
    Case("collection", False, 0.0024, 17.5, collection),
    Case("savings-circle", False, 0.0022, 10.5, circle),
    Case("new-phone", False, 0.0012, 2.0, new_phone),
    Case("forgotten-code", False, 0.0016, 4.0, forgotten_code),
    Case("moving", False, 0.0015, 5.0, moving),
    Case("salary-split", False, 0.0020, 4.0, salary_split),
    Case("house", False, 0.0010, 4.0, house),
    Case("returning", False, 0.0006, 2.5, returning),
)
"""Every kind. Shares are expectations: how many cases a day brings is drawn."""


class Casebook:
    """Which cases begin when: each kind at its rate, from a random phase, so that a small stream has its share too."""

    def __init__(self, rng: np.random.Generator, payments_per_day: float) -> None:
        self._rng = rng
        self._due = rng.random(len(CASES))
        self._per_day = np.array([case.share * payments_per_day / case.payments_mean for case in CASES])

    def cases(self, population: Population, day_ms: int) -> Iterator[Draft]:
        """The payments of all cases that begin on the next day, which starts at ``day_ms``, in no order."""
        rng = self._rng
        self._due += self._per_day
        beginning = np.floor(self._due).astype(np.int64)
        self._due -= beginning
        for case, count in zip(CASES, beginning.tolist(), strict=True):
            for _ in range(count):
                at_ms = day_ms + int(rng.normal(14.0, 4.0) % 24 * HOUR_MS)
                for draft in case.make(population, rng, at_ms):
                    if draft.payer != draft.payee:
                        yield draft._replace(typology=case.name) if case.suspicious else draft


def _word(rng: np.random.Generator, *words: str | None) -> str | None:
    return words[int(rng.integers(0, len(words)))]


def _invoice(rng: np.random.Generator) -> str:
    return f"invoice {rng.integers(1000, 9999)}"


def _step(rng: np.random.Generator, *steps: float) -> float:
    """What a sum is rounded to, EUR's worth; 0: cents."""
    return steps[int(rng.integers(0, len(steps)))]

"""Typologies that happen to ordinary payers: structuring, mules, takeovers, card testing, and AMLworld's patterns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import numpy as np

from services.contract.units import DAY_MS, HOUR_MS
from services.generator.accounts import MERCHANT, PAYER, account, number_of, pooled
from services.generator.chance import Generator, generator, lognormal
from services.generator.drafts import Draft, Drafts
from services.generator.facilitators import new_account
from services.generator.parameters import CasesLaw
from services.generator.people import World, cases
from services.generator.places import NOT_ROUND, ROUND_SENT
from services.generator.rows import source
from services.generator.truth import Notes


class Case:
    """One case being planned, of the source ``origin``. Of the typology ``none`` it is innocent: nothing is noted."""

    def __init__(self, world: World, rng: Generator, drafts: Drafts, notes: Notes, typology: str, origin: str) -> None:
        self.world, self.rng, self.typology = world, rng, typology
        self.law: CasesLaw = world.configuration.parameters.cases
        self._drafts, self._notes, self._ordinary = drafts, notes, world.people.abroad
        self._innocent = typology == "none"
        self._case, self._source = -1 if self._innocent else drafts.new_case(), origin

    def begin_ms(self, span_days: float) -> int:
        """A moment that leaves ``span_days`` before the end of the horizon."""
        configuration = self.world.configuration
        return configuration.start_ms + int(self.rng.uniform(0.0, configuration.days - span_days) * DAY_MS)

    def payers(self, n: int, typology: str | None = None) -> list[int]:
        """``n`` ordinary payers (fewer if there are not as many); noted as belonging to the typology."""
        chosen = self.rng.choice(self._ordinary, min(n, len(self._ordinary)), replace=False).tolist()
        if not self._innocent:
            self._notes.typologies |= dict.fromkeys(chosen, typology or self.typology)
        return [account(PAYER, payer) for payer in chosen]

    def fresh(self, like: int, role: str, abroad: bool = False) -> int:
        """A new account in the country of payer ``like``, or in the one that it sends to."""
        people = self.world.people
        place = int((people.destination if abroad else people.home)[number_of(like)])
        return new_account(self.world, self.rng, place, role)

    def shop(self, like: int) -> int:
        """One of the larger merchants in the country of payer ``like``."""
        return self.pool(MERCHANT, like, 1_000)

    def pool(self, kind: int, like: int, size: int) -> int:
        """One of the ``size`` largest accounts of a kind in the country of payer ``like``."""
        return int(pooled(kind, self.world.people.home[number_of(like)], self.rng.integers(0, size)))

    def stranger(self, like: int, role: str) -> int:
        """Somebody whom payer ``like`` has hardly paid before: a customer, or a new account at home or abroad."""
        kind = self.rng.random()
        if kind < 0.45:
            return int(account(PAYER, self.rng.choice(self._ordinary)))
        return self.fresh(like, role, abroad=kind >= 0.85)

    def sleeper(self, role: str) -> tuple[int, int]:
        """An account that paid half a year and more before the horizon and then no more, and a payer of its country."""
        (like,) = self.payers(1)
        asleep, start_ms = self.fresh(like, role), self.world.configuration.start_ms
        for days in self.rng.uniform(195.0, 260.0, int(self.rng.integers(3, 9))).tolist():
            at_ms, eur = start_ms - days * DAY_MS, self.eur((35.0, 0.7))
            self.pay(at_ms, asleep, self.shop(like), eur, early=True, rail="card", category="5411")
        return asleep, like

    def pay(self, at_ms: float, payer: int, payee: int, eur: float, *, early: bool = False, **told: object) -> None:
        """Plan one payment of the case. One that is ``early`` belongs to nothing yet."""
        typology, number = ("none", -1) if early else (self.typology, self._case)
        chosen: dict[str, object] = {"rail": "bank", "rounding": NOT_ROUND, **told}
        if payer != payee:
            self._drafts.add(
                Draft(int(at_ms), payer, payee, eur, self._source, typology, case=number, **chosen),  # type: ignore[arg-type]
                early=early,
            )

    def word(self, theme: str, share: float = 0.6) -> int:
        """A reference of ``theme``, or none."""
        return self.reference({theme: share, "none": 1.0 - share})

    def reference(self, themes: Mapping[str, float]) -> int:
        """A reference of one of ``themes``, by weight."""
        return self.world.words.one(self.rng, themes)

    def eur(self, law: tuple[float, float]) -> float:
        """A lognormal amount."""
        return float(lognormal(self.rng, *law, 1)[0])


def structuring(case: Case) -> None:
    """3 to 12 transfers within a week, each just below a threshold."""
    law, rng = case.law, case.rng
    (payer,) = case.payers(1)
    payees = [case.fresh(payer, "structuring_payee", abroad=bool(rng.random() < 0.6)) for _ in range(3)]
    begin_ms = case.begin_ms(law.structuring_days)
    for _ in range(int(rng.integers(law.structuring_n[0], law.structuring_n[1] + 1))):
        eur = law.threshold_eur * rng.uniform(*law.structuring_share)
        at_ms = begin_ms + rng.uniform(0.0, law.structuring_days) * DAY_MS
        case.pay(at_ms, payer, payees[int(rng.integers(0, 3))], eur, reference=case.word("trade"))


def mule(case: Case) -> None:
    """Many payers to one account within three days; most of it leaves within a day, to a few accounts."""
    law, rng = case.law, case.rng
    n = int(np.clip(lognormal(rng, 9.0, 0.7, 1)[0], *law.mule_payers))
    payers = case.payers(n, "mule_victim")
    mule = case.fresh(payers[0], "mule")
    begin_ms, received, last_ms = case.begin_ms(5.0), 0.0, 0.0
    span_ms = rng.uniform(6.0, law.mule_hours) * HOUR_MS
    for payer in payers:
        eur, at_ms = case.eur((420.0, 0.7)), begin_ms + rng.random() * span_ms
        received, last_ms = received + eur, max(last_ms, at_ms)
        case.pay(at_ms, payer, mule, eur, rail=str(rng.choice(["bank", "wallet"])), reference=case.word("refund"))
    outs = int(rng.integers(law.mule_out_accounts[0], law.mule_out_accounts[1] + 1))
    for _ in range(outs):
        eur = received * rng.uniform(*law.mule_out_share) / outs
        at_ms = last_ms + rng.uniform(0.2, law.mule_out_hours - 1.0) * HOUR_MS
        case.pay(at_ms, mule, case.fresh(payers[0], "mule_receiver", abroad=bool(rng.random() < 0.5)), eur)


def account_takeover(case: Case) -> None:
    """A new device, and within two hours 1 to 5 large transfers to somebody new."""
    law, rng = case.law, case.rng
    (payer,) = case.payers(1)
    payee, device = case.fresh(payer, "takeover_payee", abroad=bool(rng.random() < 0.5)), int(rng.integers(1, 1 << 60))
    begin_ms = case.begin_ms(1.0)
    for _ in range(int(rng.integers(law.takeover_n[0], law.takeover_n[1] + 1))):
        at_ms = begin_ms + rng.uniform(0.0, law.takeover_hours) * HOUR_MS
        rounding = ROUND_SENT if rng.random() < 0.5 else NOT_ROUND
        case.pay(at_ms, payer, payee, case.eur(law.takeover_eur), device=device, rounding=rounding)


def card_testing(case: Case) -> None:
    """Tiny authorisations across cards at one merchant within an hour, most declined, then a few large ones."""
    law, rng = case.law, case.rng
    low, high = law.testing_n
    n = int(np.exp(rng.uniform(np.log(low), np.log(high))))
    cards = case.payers(max(5, n // 4), "card_testing_victim")
    # A remitter sees cards only where they fund a transfer: then it is itself the merchant.
    remitter = case.world.configuration.profile == "remitter"
    small, large = ("4829", "4829") if remitter else ("5999", "5732")
    merchant, shop = case.shop(cards[0]), case.shop(cards[0])
    begin_ms, good = case.begin_ms(1.0), []
    for _ in range(n):
        card, at_ms = cards[int(rng.integers(0, len(cards)))], begin_ms + rng.random() * HOUR_MS
        declined = rng.random() < law.testing_rejected
        if not declined:
            good.append(card)
        case.pay(
            at_ms, card, merchant, rng.uniform(0.0, law.testing_eur_max), rail="card", category=small,
            status="rejected" if declined else "accepted",
        )  # fmt: skip
    for card in good[: int(rng.integers(1, 4))]:
        at_ms = begin_ms + rng.uniform(1.1, 5.0) * HOUR_MS
        case.pay(at_ms, card, shop, case.eur((480.0, 0.6)), rail="card", category=large)


def gather_scatter(case: Case) -> None:
    """Several accounts to one within days, and on to several others."""
    rng = case.rng
    payers = case.payers(int(rng.integers(4, 12)))
    middle, begin_ms = case.fresh(payers[0], "gatherer"), case.begin_ms(12.0)
    amounts = [case.eur(case.law.pattern_eur) for _ in payers]
    for payer, eur in zip(payers, amounts, strict=True):
        case.pay(begin_ms + rng.uniform(0.0, 5.0) * DAY_MS, payer, middle, eur, reference=case.word("trade"))
    outs = int(rng.integers(3, 10))
    for _ in range(outs):
        eur, payee = sum(amounts) * 0.95 / outs, case.fresh(payers[0], "scatter_receiver")
        case.pay(begin_ms + rng.uniform(5.5, 11.0) * DAY_MS, middle, payee, eur)


def cycle(case: Case) -> None:
    """The same money around a ring and back to where it began, a little less each time."""
    rng = case.rng
    (first,) = case.payers(1)
    ring = [first, *(case.fresh(first, "cycle_member") for _ in range(int(rng.integers(2, 7)))), first]
    at_ms, eur = float(case.begin_ms(15.0)), 3.0 * case.eur(case.law.pattern_eur)
    for payer, payee in pairwise(ring):
        case.pay(at_ms, payer, payee, eur, reference=case.word("trade", 0.4))
        at_ms += rng.uniform(0.1, 2.0) * DAY_MS
        eur *= rng.uniform(0.95, 0.995)


def bipartite(case: Case) -> None:
    """Every account of one side pays several of the other."""
    rng = case.rng
    payers = case.payers(int(rng.integers(3, 7)))
    payees = [case.fresh(payers[0], "bipartite_receiver") for _ in range(int(rng.integers(3, 7)))]
    begin_ms = case.begin_ms(8.0)
    for payer in payers:
        for at in rng.choice(len(payees), int(rng.integers(2, len(payees) + 1)), replace=False).tolist():
            case.pay(begin_ms + rng.uniform(0.0, 7.0) * DAY_MS, payer, payees[at], case.eur(case.law.pattern_eur))


def stack(case: Case) -> None:
    """Two layers of bipartite payments: what the middle receives, it passes on."""
    rng = case.rng
    payers = case.payers(int(rng.integers(3, 6)))
    middle = [case.fresh(payers[0], "stack_middle") for _ in range(int(rng.integers(2, 5)))]
    last = [case.fresh(payers[0], "stack_receiver") for _ in range(int(rng.integers(2, 5)))]
    begin_ms = case.begin_ms(10.0)
    for payer in payers:
        for account_ in middle:
            case.pay(begin_ms + rng.uniform(0.0, 4.0) * DAY_MS, payer, account_, case.eur(case.law.pattern_eur))
    for account_ in middle:
        for payee in last:
            case.pay(begin_ms + rng.uniform(4.5, 9.0) * DAY_MS, account_, payee, case.eur(case.law.pattern_eur))


def new_payee_burst(case: Case) -> None:
    """One payer, 4 to 9 new payees within half a day."""
    rng = case.rng
    (payer,) = case.payers(1)
    begin_ms = case.begin_ms(1.0)
    for _ in range(int(rng.integers(4, 10))):
        at_ms, rail = begin_ms + rng.uniform(0.0, 12.0) * HOUR_MS, str(rng.choice(["wallet", "bank"]))
        case.pay(at_ms, payer, case.stranger(payer, "burst_payee"), case.eur((240.0, 0.5)), rail=rail)


def dormant_wakes(case: Case) -> None:
    """An account asleep for half a year pays large sums to new payees within two days."""
    rng = case.rng
    payer, like = case.sleeper("dormant_wakes")
    begin_ms = case.begin_ms(3.0)
    for _ in range(int(rng.integers(1, 5))):
        at_ms, payee = begin_ms + rng.uniform(0.0, 48.0) * HOUR_MS, case.stranger(like, "dormant_payee")
        case.pay(at_ms, payer, payee, case.eur((900.0, 0.6)), rounding=ROUND_SENT if rng.random() < 0.6 else NOT_ROUND)


PATTERNS = (
    structuring, mule, account_takeover, card_testing, gather_scatter, cycle, bipartite, stack, new_payee_burst,
    dormant_wakes,
)  # fmt: skip
"""What plans one case of a typology, in the order of their seeds. Each has the name of its typology."""


def plan_cases(world: World, drafts: Drafts, notes: Notes) -> None:
    """Plan every case of the other typologies."""
    plan_all(PATTERNS, "case", world, drafts, notes)


def plan_all(
    planned: Sequence[Callable[[Case], None]], origin: str, world: World, drafts: Drafts, notes: Notes
) -> None:
    """Plan as many cases of each kind as a run has; of the source ``look_alike`` they are innocent."""
    for at, plan in enumerate(planned):
        rng = generator(world.seed, source(origin), at)
        for _ in range(cases(world.configuration, plan.__name__)):
            typology = "none" if origin == "look_alike" else plan.__name__
            plan(Case(world, rng, drafts, notes, typology, origin))

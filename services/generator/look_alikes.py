"""What looks like a typology and is innocent: a rule that knows only the shape is wrong more often than right.

Each kind is more frequent than what it looks like, in the worlds that have them (``look_alikes`` of the parameters).
"""

from __future__ import annotations

from services.contract.units import DAY_MS, HOUR_MS
from services.generator.accounts import CHARITY, EVERYDAY
from services.generator.drafts import Drafts
from services.generator.patterns import Case, plan_all
from services.generator.people import World
from services.generator.places import NOT_ROUND, ROUND_SENT
from services.generator.truth import Notes


def trader(case: Case) -> None:
    """A small firm pays its suppliers large invoices, some just below the threshold. Like structuring."""
    rng, (like,) = case.rng, case.payers(1)
    firm, suppliers, begin_ms = case.shop(like), [case.shop(like) for _ in range(3)], case.begin_ms(7.0)
    for _ in range(int(rng.integers(3, 10))):
        at_ms, payee = begin_ms + rng.uniform(0.0, 7.0) * DAY_MS, suppliers[int(rng.integers(0, 3))]
        case.pay(at_ms, firm, payee, rng.uniform(4_000.0, 14_000.0), reference=case.word("trade"), purpose="OTHR")


def house(case: Case) -> None:
    """A house is bought: a deposit, fees, and the price in parts below a daily limit. Like structuring."""
    rng, (payer,) = case.rng, case.payers(1)
    notary, begin_ms = case.fresh(payer, EVERYDAY), case.begin_ms(5.0)
    for _ in range(int(rng.integers(2, 7))):
        at_ms, eur = begin_ms + rng.uniform(0.0, 5.0) * DAY_MS, rng.uniform(6_000.0, 15_000.0)
        case.pay(at_ms, payer, notary, eur, rounding=ROUND_SENT, reference=case.word("trade"))


def collection(case: Case) -> None:
    """Many give for a funeral, a leaving gift, a sports club; one of them pays it on. Like a mule."""
    rng = case.rng
    organiser, *givers = case.payers(min(40, 7 + int(case.eur((9.0, 0.6)))))
    keeper = case.fresh(organiser, EVERYDAY) if rng.random() < 0.4 else organiser
    begin_ms, received, last_ms = case.begin_ms(5.0), 0.0, 0.0
    for payer in givers:
        eur, at_ms = float(rng.choice([10, 15, 20, 25, 30, 50])), begin_ms + rng.random() * 3 * DAY_MS
        received, last_ms = received + eur, max(last_ms, at_ms)
        case.pay(at_ms, payer, keeper, eur, rail="wallet", rounding=ROUND_SENT, reference=case.word("refund"))
    charity = case.pool(CHARITY, organiser, 60)
    to = charity if rng.random() < 0.5 else case.shop(organiser)
    case.pay(last_ms + rng.uniform(0.2, 36.0) * HOUR_MS, keeper, to, received * rng.uniform(0.9, 1.0))


def new_phone(case: Case) -> None:
    """A new phone, and large but honest payments to somebody new: a landlord, a car. Like a takeover."""
    rng, (payer,) = case.rng, case.payers(1)
    device, begin_ms = int(rng.integers(1, 1 << 60)), case.begin_ms(2.0)
    payee = case.shop(payer) if rng.random() < 0.5 else case.stranger(payer, EVERYDAY)
    for _ in range(int(rng.integers(1, 4))):
        at_ms, rounding = begin_ms + rng.uniform(0.0, 30.0) * HOUR_MS, ROUND_SENT if rng.random() < 0.5 else NOT_ROUND
        case.pay(
            at_ms, payer, payee, case.eur((700.0, 0.7)), device=device, rounding=rounding, reference=case.word("trade")
        )


def forgotten_code(case: Case) -> None:
    """A code is mistyped, then right, and later that day something dear is bought. Like card testing."""
    rng, (payer,) = case.rng, case.payers(1)
    first, second, begin_ms = case.shop(payer), case.shop(payer), case.begin_ms(1.0)
    eur, tries = case.eur((8.0, 0.9)), int(rng.integers(1, 4))
    for attempt in range(tries + 1):
        status = "accepted" if attempt == tries else "rejected"
        at_ms = begin_ms + (attempt + rng.random() / 2.0) * 60_000
        case.pay(at_ms, payer, first, eur, rail="card", category="5411", status=status)
    at_ms = begin_ms + rng.uniform(0.5, 8.5) * HOUR_MS
    case.pay(at_ms, payer, second, case.eur((260.0, 0.7)), rail="card", category="5732")


def moving(case: Case) -> None:
    """Somebody moves house or travels: several new payees in a day or two. Like a burst."""
    rng, (payer,) = case.rng, case.payers(1)
    begin_ms = case.begin_ms(2.0)
    for _ in range(int(rng.integers(3, 8))):
        payee = case.shop(payer) if rng.random() < 0.6 else case.stranger(payer, EVERYDAY)
        at_ms, reference = begin_ms + rng.uniform(0.0, 30.0) * HOUR_MS, case.word("housing")
        case.pay(at_ms, payer, payee, case.eur((95.0, 0.9)), rail="wallet", reference=reference)


def salary_split(case: Case) -> None:
    """Within an hour to savings, partner, children, landlord; the first time all are new. Like a burst."""
    rng, (payer,) = case.rng, case.payers(1)
    begin_ms = case.begin_ms(1.0)
    for _ in range(int(rng.integers(3, 6))):
        at_ms, payee = begin_ms + rng.random() * HOUR_MS, case.stranger(payer, EVERYDAY)
        case.pay(at_ms, payer, payee, case.eur((260.0, 0.6)), rounding=ROUND_SENT, reference=case.word("family"))


def returning(case: Case) -> None:
    """A seasonal customer is back after half a year, and shops. Like an account that wakes."""
    rng, (payer, like) = case.rng, case.sleeper(EVERYDAY)
    begin_ms = case.begin_ms(3.0)
    for _ in range(int(rng.integers(1, 5))):
        payee = case.shop(like) if rng.random() < 0.8 else case.stranger(like, EVERYDAY)
        at_ms = begin_ms + rng.uniform(0.0, 48.0) * HOUR_MS
        case.pay(at_ms, payer, payee, case.eur((110.0, 1.0)), rail="card", category="5999")


_LOOK_ALIKES = (trader, house, collection, new_phone, forgotten_code, moving, salary_split, returning)


def plan_look_alikes(world: World, drafts: Drafts, notes: Notes) -> None:
    """Plan every innocent case."""
    plan_all(_LOOK_ALIKES, "look_alike", world, drafts, notes)

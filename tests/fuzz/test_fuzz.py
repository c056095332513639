"""A seeded part of the million, each time; ``python -m tests.fuzz.run`` does all of it."""

from __future__ import annotations

import random
from collections import Counter

from services.contract.codec import decode_payment
from services.scorer.path.hops import PayerHop
from services.scorer.path.records import Record
from tests.fuzz import hops, seeds
from tests.fuzz.mutate import mutated
from tests.fuzz.run import WEIGHTS, run, targets

RECORDS, RECORDS_LARGE = 20_000, 200_000


def test_of_many_mutated_records_nothing_escapes_and_each_has_one_fate(large: bool) -> None:
    records = RECORDS_LARGE if large else RECORDS
    fates = run(records, seed=11)
    assert sum(each.total() for each in fates.values()) == records
    for name, results in fates.items():
        assert results["used"], f"{name}: no record came through, so nothing behind the first check was tried"
        assert results.total() > results["used"], f"{name}: no record was refused"


def test_the_same_seed_gives_the_same_records_and_fates() -> None:
    assert run(1_000, seed=5) == run(1_000, seed=5) != run(1_000, seed=6)


def test_every_seed_is_used_as_it_is() -> None:
    """Or what the mutations start from would be refused anyway."""
    assert set(WEIGHTS) <= {target.name for target in targets()}
    payments = hops.HopTarget("", lambda: PayerHop(seeds.ruleset(), "payments.v1", 0, 1), hops.payment_record)
    log = [Record(0, seeds.APPENDED_MS, each.key, each.value, each.headers) for each in seeds.payments()]
    assert payments.take(log) == Counter(used=len(log))


def test_mutations_reach_far() -> None:
    """Most are still JSON, and many still payments: bytes drawn at random would test one line of a parser."""
    draw = random.Random(3)
    of = [each.value for each in seeds.payments()]
    kinds = Counter(type(decode_payment(mutated(draw.choice(of), of, draw))).__name__ for _ in range(2_000))
    assert kinds["Payment"] > 400
    assert kinds["Rejection"] > 400

"""Small logs of remittances, and what the kernels say of them: for tests of features by their meaning."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import count
from typing import Any

import pytest

from services.contract.identity import digest64
from services.contract.payment import Party, Payment
from services.scorer.path.features.registry import INDEX, PAYER_HOP
from tests.scorer.path.logs import DAY_MS, NO_HORIZON, START_MS, payment
from tests.scorer.path.runs import payee_log, payee_matrix, payer_matrix, run_payee, run_payer

SMALL, LARGE = 5_000, 50_000
"""50 EUR lies in the small band, 500 EUR does not."""
NIGHT, DAY = 0, 720
"""Offsets from UTC, in minutes: the log starts at 22:13 UTC."""
NAN = math.nan


def remittance(day: float, payee: str | Party = "B", payer: str | Party = "A", **changes: Any) -> Payment:
    """A small remittance from Sweden to the Philippines, by day and with nothing else to say, on the ``day``-th day."""
    plain: dict[str, Any] = {
        "event_time_ms": START_MS + round(day * DAY_MS),
        "amount_minor": SMALL,
        "payer": Party(payer, country="SE") if isinstance(payer, str) else payer,
        "payee": Party(payee, country="PH") if isinstance(payee, str) else payee,
        "utc_offset_minutes": DAY,
        "reference": "for you",
    }
    return payment(0, **{**plain, **changes})


def domestic(day: float, payee: str = "shop", **changes: Any) -> Payment:
    """A payment of the same payer that crosses no border."""
    return remittance(day, Party(payee, country="SE"), **changes)


def numbered(log: Sequence[Payment]) -> list[Payment]:
    """The same log with ids of its own."""
    return [payment_with_id(each, f"p-{at}") for at, each in enumerate(log)]


def payment_with_id(like: Payment, payment_id: str) -> Payment:
    return Payment(**{**{name: getattr(like, name) for name in like.__struct_fields__}, "payment_id": payment_id})


def values(log: Sequence[Payment], name: str) -> list[float]:
    """The feature for each payment of a log in which every payment goes on (or has an id of its own choosing)."""
    given = numbered(log) if all(each.payment_id == "p-0" for each in log) else list(log)
    run = run_payer(given, NO_HORIZON)
    if INDEX[name] < len(PAYER_HOP):
        found = payer_matrix(run)[:, INDEX[name]]
    else:
        found = payee_matrix(run_payee(payee_log(given, run, NO_HORIZON), NO_HORIZON))[:, INDEX[name] - len(PAYER_HOP)]
    return [float(each) for each in found]


def last(log: Sequence[Payment], name: str) -> float:
    """The feature for the last payment: what the earlier ones make of it."""
    return values(log, name)[-1]


def same(expected: float | list[float]) -> object:
    return pytest.approx(expected, rel=1e-9, abs=1e-9, nan_ok=True)


def alike(text: str, kinds: int) -> str:
    """Another text whose digest cannot be told from that of ``text`` among so many kinds."""
    texts = (f"{text}-{at}" for at in count())
    return next(each for each in texts if digest64(each) % kinds == digest64(text) % kinds)


def unlike(texts: Sequence[str], kinds: int, wanted: int) -> list[str]:
    """The first of ``texts`` that can be told apart."""
    found: dict[int, str] = {}
    for text in texts:
        found.setdefault(digest64(text) % kinds, text)
    assert len(found) >= wanted
    return list(found.values())[:wanted]


PAYEES = unlike([f"B{at}" for at in range(200)], 64, 20)
"""Accounts that 6 bits tell apart."""
IN_PESOS: dict[str, Any] = {"received_amount_minor": 5, "received_currency": "PHP"}
"""Another currency than remittances are paid in here."""
AGAINST_CORRIDOR = ("amount_against_corridor", "round_against_corridor")
B, C, D = PAYEES[:3]


def asked(log: Sequence[Payment], after_days: float = 0.0) -> float:
    at_ms = max(each.event_time_ms for each in log) + round(after_days * DAY_MS)
    return last([*log, remittance(0, event_time_ms=at_ms)], "remit_signs")

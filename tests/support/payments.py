"""Seeded logs of ``payments.v1`` with everything that is nasty in them, and what is to become of each record."""

from __future__ import annotations

import random
from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from services.contract.codec import decode_payment, encode
from services.contract.partitioner import partitions_of
from services.contract.payment import Party, Payment, Status

Fate = Literal["decided", "repeat", "status_update", "dead"]

START_MS = 1_600_000_000_000
DAY_MS = 86_400_000
_REPEAT_WITHIN_MS = 2 * DAY_MS
"""A repeat comes while the payer's ids are surely remembered."""
_TENANTS = ("default", "default", "default", "north", "south")
_COUNTRIES = (None, "SE", "SE", "DE", "GB", "PH", "KE", "TH")
_CURRENCIES = ("EUR", "EUR", "EUR", "SEK", "GBP", "JPY", "KWD", "BTN")
_STATUSES: tuple[Status, ...] = ("accepted", "accepted", "accepted", "accepted", "attempted", "rejected", "returned")
_REFERENCES = (None, "", "  ", "rent", "för dig \U0001f381", "school\tfees")


class Entry(NamedTuple):
    """A record to be sent, and its fate. ``identity`` is tenant and payment id of what is to be decided."""

    key: bytes | None
    value: bytes | None
    fate: Fate
    identity: tuple[str, str] = ("", "")


@dataclass(frozen=True)
class Expected:
    """What a log must give: each payment once, and how many records of every other fate."""

    decided: Counter[tuple[str, str]]
    fates: Counter[Fate]


def expected_of(log: Sequence[Entry]) -> Expected:
    """What ``log`` must give."""
    decided = Counter(entry.identity for entry in log if entry.fate == "decided")
    return Expected(decided, Counter(entry.fate for entry in log))


def routed(log: Sequence[Entry], partitions: int) -> list[int]:
    """The partition of ``payments.v1`` that a processor's own producer chooses for each record."""
    chosen: np.ndarray[tuple[int, ...], np.dtype[np.int64]] = partitions_of([e.key or b"" for e in log], partitions)
    return [int(each) for each in chosen]


def payment_log(seed: int, length: int, *, accounts: int = 1_500, days: int = 90, clean: bool = False) -> list[Entry]:
    """``length`` records over ``days`` of event time.

    Most are payments to be decided; among them are repeats, later statuses, late payments, absent optional fields,
    several tenants with the same account names, accounts on both sides, and, unless ``clean``, records that cannot be
    processed.
    """
    draw = random.Random(seed)
    log: list[Entry] = []
    recent: dict[tuple[str, str], deque[Payment]] = defaultdict(lambda: deque(maxlen=6))
    now_ms = START_MS
    for at in range(length):
        now_ms += int(draw.expovariate(1.0) * days * DAY_MS / length)
        chance = draw.random()
        if chance < 0.02 and not clean:
            log.append(_broken(draw, _payment(draw, f"{seed}-{at}", now_ms, accounts)))
            continue
        payment = _payment(draw, f"{seed}-{at}", now_ms, accounts)
        earlier = recent[payment.tenant, payment.payer.account]
        while earlier and now_ms - earlier[0].event_time_ms > _REPEAT_WITHIN_MS:
            earlier.popleft()
        if chance < 0.10 and earlier:
            log.append(_again(draw, draw.choice(earlier)))
            continue
        earlier.append(payment)
        log.append(_entry(draw, payment))
    return log


def payment_ids(seed: int, length: int, account: str, *, tenant: str = "default") -> list[Entry]:
    """``length`` plain payments of one payer to payees of their own: for canaries and probes."""
    return [
        Entry(
            account.encode(),
            encode(
                Payment(
                    payment_id=f"probe-{seed}-{at}",
                    event_time_ms=START_MS + at * 3_600_000,
                    amount_minor=2_500,
                    currency="EUR",
                    payer=Party(account, country="SE"),
                    payee=Party(f"{account}-payee-{at % 7}", country="PH"),
                    tenant=tenant,
                )
            ),
            "decided",
            (tenant, f"probe-{seed}-{at}"),
        )
        for at in range(length)
    ]


def _account(draw: random.Random, accounts: int) -> str:
    """Few accounts are in most payments; the names have one to four bytes a character."""
    number = min(int(draw.paretovariate(0.5)) - 1, draw.randrange(accounts))
    return f"konto-å{number}" if number % 5 == 0 else f"SE{number:016d}"


def _payment(draw: random.Random, name: str, now_ms: int, accounts: int) -> Payment:
    late_ms = draw.randrange(3 * DAY_MS) if draw.random() < 0.08 else 0
    received = draw.random() < 0.2
    told = draw.random() < 0.6
    return Payment(
        payment_id=f"payment-{name}",
        event_time_ms=now_ms - late_ms,
        amount_minor=draw.choice((0, 1, 999, 1_000, 5_000, 20_000, 850_000, draw.randrange(100, 2_000_000))),
        currency=draw.choice(_CURRENCIES),
        payer=Party(
            _account(draw, accounts),
            country=draw.choice(_COUNTRIES),
            opened_ms=START_MS - draw.randrange(4_000) * DAY_MS if told else None,
            device="device-1" if told else None,
        ),
        payee=Party(_account(draw, accounts), country=draw.choice(_COUNTRIES)),
        tenant=draw.choice(_TENANTS),
        utc_offset_minutes=draw.choice((None, 0, 60, -300, 345)),
        received_amount_minor=draw.randrange(1, 9_000_000) if received else None,
        received_currency="PHP" if received else None,
        rail="remitter" if told else None,
        status=draw.choice(_STATUSES),
        reference=draw.choice(_REFERENCES),
        merchant_category="4829" if told else None,
    )


def _entry(draw: random.Random, payment: Payment) -> Entry:
    value = encode(payment)
    if draw.random() < 0.1:  # unknown fields and blanks are the processor's own business
        value = value[:-1] + b', "x_own": {"a": [1, 2.50, null], "b": "\\u00e5"} }\n'
    return Entry(payment.payer.account.encode(), value, "decided", (payment.tenant, payment.payment_id))


def _again(draw: random.Random, payment: Payment) -> Entry:
    """The same payment once more, as it was or in another status."""
    if draw.random() < 0.7:
        return Entry(payment.payer.account.encode(), encode(payment), "repeat")
    other = next(each for each in ("returned", "rejected") if each != payment.status)
    fields = {name: getattr(payment, name) for name in payment.__struct_fields__} | {"status": other}
    return Entry(payment.payer.account.encode(), encode(Payment(**fields)), "status_update")


def _broken(draw: random.Random, payment: Payment) -> Entry:
    """A record that cannot be processed, made of one that could."""
    key, value = payment.payer.account.encode(), encode(payment)
    broken = draw.choice(
        [
            (key, value[: draw.randrange(1, len(value))]),
            (None, value),
            (b"somebody else", value),
            (key, None),
            (key, b""),
            (key, draw.randbytes(draw.randrange(1, 200))),
            (key, value.replace(b'"currency":"', b'"currency":"?')),
            (key, value.replace(b'"payment_id":', b'"payment_id":7,"was":')),
        ]
    )
    return Entry(broken[0], broken[1], "dead")


def is_readable(entry: Entry) -> bool:
    """Whether the contract's decoder and the key rule accept the record."""
    payment = decode_payment(entry.value)
    return isinstance(payment, Payment) and entry.key == payment.payer.account.encode()

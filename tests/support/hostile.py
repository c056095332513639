"""Records that somebody wrote to harm: bytes that are no text, depths, bombs, and names that nobody may repeat."""

from __future__ import annotations

import math
from typing import Any

import orjson
from aiokafka import AIOKafkaProducer

from services import kafka
from services.contract.codec import encode
from services.contract.label import Label
from services.contract.payment import Party, Payment
from services.runtime.settings import Settings
from tests.support.payments import DAY_MS, START_MS, Entry

CANARY = "canary-9d41"
"""Begins every name, text and id that stands in what is planted: no log line, metric or traceback may hold it."""
PLANTED_ACCOUNT = f"{CANARY}-planted"
"""Planted reviews are about it: some are of the right form, and nobody can tell."""
PLANTED_PAYMENTS = (f"{CANARY}-nobody", f"{CANARY}-payment_id")
"""Planted decisions and labels name them: some are of the right form, and may meet."""
PLANTED = ("x-planted", b"yes")
"""Header of whatever is written to a topic by somebody other than its owner: comparisons know it by that."""
DEPTH = 100_000
BOMB_BYTES = 80_000_000
SMALL_BOMB_BYTES = 5_000_000
_NOT_UTF8 = b"\xff\xfe\xc3("


def canary_payment(at: int, **changed: Any) -> Payment:
    """A payment whose every free text says so."""
    fields: dict[str, Any] = {
        "payment_id": f"{CANARY}-id-{at}",
        "event_time_ms": START_MS + at * 60_000,
        "amount_minor": 9_000_00,
        "currency": "EUR",
        "payer": Party(f"{CANARY}-payer", country="SE", phone=f"{CANARY}-phone", device=f"{CANARY}-device"),
        "payee": Party(f"{CANARY}-payee-{at}", country="PH"),
        "reference": f"{CANARY}-reference",
        "tenant": f"{CANARY}-tenant",
    }
    return Payment(**fields | changed)


def canary_entries(count: int) -> list[Entry]:
    """As many of them, to be decided like any other."""
    payments = [canary_payment(at) for at in range(count)]
    return [
        Entry(each.payer.account.encode(), encode(each), "decided", (each.tenant, each.payment_id)) for each in payments
    ]


def canary_label(at: int) -> bytes:
    """The label of a canary payment."""
    known = START_MS + at * 60_000 + DAY_MS
    return encode(Label(f"{CANARY}-label-{at}", f"{CANARY}-id-{at}", "suspicious", known, tenant=f"{CANARY}-tenant"))


def hostile_values(good: bytes) -> list[bytes]:
    """What a JSON object ``good`` becomes in bad hands. Every one names the canary; none is a record of its kind."""
    name = f'"{CANARY}-reference"'.encode()
    return [
        b'{"reference":' + name + b',"x":"' + _NOT_UTF8 + b'"}',
        good[:-1] + b',"x":"' + _NOT_UTF8 + CANARY.encode() + b'"}',
        good.replace(b'"', b'"' + _NOT_UTF8 + CANARY.encode(), 1),
        b'{"reference":' + name + b',"x":' + b"[" * DEPTH + b"]" * DEPTH + b"}",
        good[:-1] + b',"x":' + b'{"a":' * DEPTH + name + b"}" * (DEPTH + 1),
        b"[" * DEPTH,
        name,
        b'{"' + CANARY.encode() + b'":' + name,
        good[: len(good) // 2] + CANARY.encode(),
        b'{"version":' + b"9" * 5_000 + b',"reference":' + name + b"}",
    ]


def typed_wrongly(good: bytes) -> list[bytes]:
    """``good`` with the canary, or nothing, in the place of each of its values, one after the other.

    A few are records of its kind all the same: ``good`` is to be one that nobody has a use for.
    """
    fields: dict[str, Any] = orjson.loads(good)
    return [
        orjson.dumps({**fields, name: value})
        for name in fields
        for value in (f"{CANARY}-{name}", [f"{CANARY}-{name}"], {CANARY: CANARY}, None)
    ]


def bomb(good: bytes, size: int) -> bytes:
    """``good`` with a text beside it, ``size`` bytes in all that pack to a thousandth."""
    head = good[:-1] + b',"x":"' + CANARY.encode()
    return head + b"0" * (size - len(head) - 2) + b'"}'


def not_finite(good: bytes, name: str) -> list[bytes]:
    """``good``, whose field ``name`` holds numbers, with one of them out of bounds."""
    fields: dict[str, Any] = orjson.loads(good)
    numbers = fields[name]
    found = []
    for text in ("1e999", "-1e999", "NaN", "Infinity", "1e308", str(-math.pi)):
        marked = "@" if isinstance(numbers, float | int) else ["@", *numbers[1:]]
        found.append(orjson.dumps({**fields, name: marked}).replace(b'"@"', text.encode()))
    return found


async def send_packed(
    settings: Settings, topic: str, records: list[tuple[bytes | None, bytes | None]], partition: int = 0
) -> list[int]:
    """Write records that only fit packed; returns their offsets."""
    sending = AIOKafkaProducer(
        **kafka.connection(settings),
        compression_type="gzip",
        max_batch_size=2 * BOMB_BYTES,
        max_request_size=2 * BOMB_BYTES,
    )
    await sending.start()
    try:
        written = [
            await sending.send_and_wait(topic, value, key, partition=partition, headers=[PLANTED])
            for key, value in records
        ]
    finally:
        await sending.stop()
    return [each.offset for each in written]

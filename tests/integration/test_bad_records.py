"""A hundred thousand records that cannot be processed, among some that can: none stops a worker, none is lost."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable

import orjson
import pytest
from aiokafka import AIOKafkaProducer, ConsumerRecord
from aiokafka.record.util import calc_crc32c

from services.contract.codec import RECORD_BYTES_MAX, encode
from services.contract.dead_letter import BEGINNING_BYTES, read_dead_letter
from services.contract.fields import EVENT_TIME_MS_MAX
from services.contract.payment import Party, Payment
from tests.support.deployment import Deployment, Logs, producer, read_logs, send, settled
from tests.support.payments import START_MS, Entry, payment_ids, routed

pytestmark = pytest.mark.kafka

SEED = 4
BAD, BAD_LARGE = 20_000, 100_000
GOOD_EVERY = 25
BOMB_BYTES = 80_000_000
"""Some 80 KB on the wire."""
REASONS = {
    "empty", "oversized", "not_json", "not_a_payment", "field_missing", "field_invalid", "key_mismatch",
    "event_time_in_future",
}  # fmt: skip


def good_payment(name: str) -> Payment:
    """A plain payment."""
    return Payment(name, START_MS, 2_500, "EUR", Party(f"payer-{hash_of(name)}", country="SE"), Party("payee-1"))


def hash_of(name: str) -> int:
    """A small number that depends on the name alone."""
    return sum(name.encode()) % 97


def entry(payment: Payment, value: bytes, *, good: bool = False) -> Entry:
    """A record under its payer's key."""
    fate, identity = ("decided", (payment.tenant, payment.payment_id)) if good else ("dead", ("", ""))
    return Entry(payment.payer.account.encode(), value, fate, identity)  # type: ignore[arg-type]


Bad = Callable[[random.Random, Payment, bytes], tuple[bytes | None, bytes | None]]


def replaced(old: bytes, new: bytes) -> Bad:
    """The payment with one thing spelled otherwise."""
    return lambda draw, payment, value: (payment.payer.account.encode(), value.replace(old, new, 1))


def keyed(key: bytes | None) -> Bad:
    """The payment under another key."""
    return lambda draw, payment, value: (key, value)


def valued(value: bytes | None) -> Bad:
    """Another value under the payment's key."""
    return lambda draw, payment, _: (payment.payer.account.encode(), value)


def random_bytes(draw: random.Random, payment: Payment, value: bytes) -> tuple[bytes | None, bytes | None]:
    return draw.randbytes(draw.randrange(8)), draw.randbytes(draw.randrange(1, 80))


def truncated(draw: random.Random, payment: Payment, value: bytes) -> tuple[bytes | None, bytes | None]:
    return payment.payer.account.encode(), value[: draw.randrange(1, len(value))]


def flipped(draw: random.Random, payment: Payment, value: bytes) -> tuple[bytes | None, bytes | None]:
    """One byte of a name of a required field is another one."""
    at = value.index(b"event_time_ms") + draw.randrange(13)
    other = draw.choice(b'ABCXYZ\x00\xff"\\')
    return payment.payer.account.encode(), value[:at] + bytes([other]) + value[at + 1 :]


CHEAP: tuple[Bad, ...] = (
    *(random_bytes, truncated, flipped) * 6,
    *(keyed(None), keyed(b""), keyed(b"somebody"), valued(None), valued(b""), valued(b"null"), valued(b"[]")),
    replaced(b'"EUR"', b'"EUX"'),
    replaced(b":2500", b":-2500"),
    replaced(b":2500", b":25.00"),
    replaced(b":2500", b":NaN"),
    replaced(b":2500", b":9007199254740993"),
    replaced(b'"payee":{', b'"payee":[],"x":{'),
    replaced(b'"SE"', b'"\xc3\x28"'),
    replaced(str(START_MS).encode(), str(EVENT_TIME_MS_MAX).encode()),
    replaced(str(START_MS).encode(), b"99999999999999999999"),
)


def costly_records(draw: random.Random) -> list[Entry]:
    """Giants, depths and repeats of names, with the limits on both sides."""
    payment = good_payment("costly")
    value = encode(payment)
    room = RECORD_BYTES_MAX - len(value) - len(b',"x":""')

    def filled(length: int) -> bytes:
        return value[:-1] + b',"x":"' + bytes(draw.choices(b"abcdefgh0123", k=length)) + b'"}'

    def nested(depth: int, opening: bytes = b"[", closing: bytes = b"]") -> bytes:
        return value[:-1] + b',"x":' + opening * depth + b"1" + closing * depth + b"}"

    bad = [
        *(filled(room + 1) for _ in range(8)),
        filled(400_000),
        b"\x00" * 900_000,
        draw.randbytes(1_000_000),
        draw.randbytes(1_040_000),
        *(nested(depth) for depth in (300, 900, 990, 1_010, 1_023, 50_000)),
        nested(400, b'{"a":', b"}"),
    ]
    odd: tuple[Callable[[bytes], bytes], ...] = (
        lambda v: v[:-1] + b',"x":"' + b"a" * (room - 10) + b'"}',
        lambda v: v.replace(b'"payment_id"', b'"payment_id":7,"payment_id"'),
        lambda v: v.replace(b'"payer"', b'"payer":"nobody","payer"'),
        lambda v: v.replace(b'"amount_minor"', b'"amount_minor":-1.5,"amount_minor"'),
        lambda v: v.replace(b'"payment_id"', b'"payment\\u005fid"'),
        lambda v: v[:-1] + b',"x":' + b"[" * 240 + b"]" * 240 + b"}",
        lambda v: b" \n" + v + b"\r\n\t ",
    )
    of_odd = [(each, good_payment(f"odd-{number}")) for number, each in enumerate(odd)]
    good = [entry(payment, change(encode(payment)), good=True) for change, payment in of_odd]
    long_key = Entry(b"k" * 100_000, value, "dead")
    return [*(entry(payment, each) for each in bad), long_key, *good]


def mixed_log(seed: int, records: int) -> list[Entry]:
    """The bad records, the costly ones among them, and a good one after every ``GOOD_EVERY``."""
    draw = random.Random(seed)
    costly = costly_records(draw)
    log = list(costly)
    template = good_payment("template")
    value = encode(template)
    for at in range(records - sum(each.fate == "dead" for each in costly)):
        log.append(Entry(*draw.choice(CHEAP)(draw, template, value), "dead"))
        if at % GOOD_EVERY == 0:
            good = good_payment(f"good-{at}")
            log.append(entry(good, encode(good), good=True))
    draw.shuffle(log)
    return log


def test_a_flood_of_bad_records_is_put_aside_and_every_good_one_is_decided(deployment: Deployment, large: bool) -> None:
    asyncio.run(flood(deployment, BAD_LARGE if large else BAD))


async def flood(deployment: Deployment, records: int) -> None:
    log = mixed_log(SEED, records)
    bomb = Entry(b"bomb", b"7" * BOMB_BYTES, "dead")
    worker = deployment.worker()
    worker.start()
    async with producer(deployment.settings) as sending:
        await send(sending, deployment, log)
    async with producer(deployment.settings, compression_type="gzip", max_batch_size=2 * BOMB_BYTES) as sending:
        await send(sending, deployment, [bomb])
    async with producer(deployment.settings, compression_type=None) as sending:
        misnamed = await send_misnamed(sending, deployment)
    await settled(deployment)

    topics = deployment.settings.topics
    sent = await read_logs(deployment, topics.payments)
    assert sum(map(len, sent)) == len(log) + 2
    bad = Counter((each.key, each.value) for each in (*log, bomb) if each.fate == "dead")
    assert_put_aside(await read_logs(deployment, topics.dead_letters), sent, bad, topics.payments.name)
    assert_decided(await read_logs(deployment, topics.decisions), [*log, misnamed])

    more = payment_ids(SEED, 50, "afterwards")
    async with producer(deployment.settings) as sending:
        await send(sending, deployment, more)
    await settled(deployment)
    assert_decided(await read_logs(deployment, topics.decisions), [*log, misnamed, *more])
    worker.stop()
    assert worker.starts == 1


async def send_misnamed(sending: AIOKafkaProducer, deployment: Deployment) -> Entry:
    """Send a good payment that has a header whose name is no text. aiokafka would not: so the bytes are changed."""
    payment = good_payment("misnamed")
    sent = entry(payment, encode(payment), good=True)
    batch = sending.create_batch()
    batch.append(timestamp=None, key=sent.key, value=sent.value, headers=[("a-name-of-a-header", b"x")])
    data = bytearray(bytes(batch._builder.build()).replace(b"a-name-of-a-header", b"\xff-name-of-a-header"))
    assert b"\xff-name" in data
    data[17:21] = calc_crc32c(bytes(data[21:])).to_bytes(4, "big")
    batch._buffer = data
    (partition,) = routed([sent], deployment.settings.partitions)
    await (await sending.send_batch(batch, deployment.settings.topics.payments.name, partition=partition))
    return sent


def assert_put_aside(dead: Logs, sent: Logs, bad: Counter[tuple[bytes | None, bytes | None]], topic: str) -> None:
    """Every bad record is in the dead-letter topic once, as it came, with its origin in the headers; of the bomb its
    beginning."""
    origins = set()
    found: Counter[tuple[bytes | None, bytes | None]] = Counter()
    for partition, log in enumerate(dead):
        for record in log:
            letter = read_dead_letter(list(record.headers))
            original: ConsumerRecord = sent[letter.partition][letter.offset]
            assert (letter.topic, letter.partition) == (topic, partition)
            assert letter.reason in REASONS
            assert original.offset == letter.offset
            value = original.value or b""
            kept = value if letter.size is None else value[:BEGINNING_BYTES]
            assert (record.key, record.value) == (original.key, kept)
            assert letter.size == (BOMB_BYTES if original.key == b"bomb" else None)
            assert record.timestamp == original.timestamp
            origins.add((partition, letter.offset))
            found[original.key, original.value] += 1
    assert len(origins) == sum(map(len, dead))
    missing, surplus = bad - found, found - bad
    assert not missing, f"{sum(missing.values())} were not put aside, such as {list(missing)[:3]}"
    assert not surplus, f"{sum(surplus.values())} should have been decided, such as {list(surplus)[:3]}"


def assert_decided(decisions: Logs, log: list[Entry]) -> None:
    """Every good record of ``log`` has one decision, and no other has."""
    found: Counter[tuple[str, str]] = Counter()
    for record in (each for part in decisions for each in part):
        decision = orjson.loads(record.value)
        found[decision["tenant"], decision["payment_id"]] += 1
    assert found == Counter(each.identity for each in log if each.fate == "decided")

"""Whatever the bytes, a batch is read as by the contract's types: the same rows, texts, digests and rejections."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.contract.codes import COUNTRIES, CURRENCY_EXPONENT
from services.contract.events import PAYMENT_LABEL, Headers, cloud_event
from services.contract.identity import Digests
from services.contract.partitioner import partition_of
from services.contract.units import DAY_MS
from services.scorer.path.decode import Reading, decode
from services.scorer.path.decoding.fields import OF_PARTY, OF_PAYMENT
from services.scorer.path.features.private import KeyedList, PrivateLists, keyed_hash
from services.scorer.path.features.references import Texts
from services.scorer.path.intake import Intake
from services.scorer.path.records import Record
from tests.fuzz.mutate import mutated
from tests.scorer.path.decode_twin import PARTITION, TOPIC, Fate, decoded, expected
from tests.scorer.path.logs import PARAMETERS

SEEDED = settings(
    derandomize=True, deadline=None, max_examples=300, suppress_health_check=list(HealthCheck), database=None
)
EVENT_MS = 1_700_000_000_000
PRIVATE = PrivateLists(
    KeyedList(b"k", [keyed_hash(b"k", "payee")]), KeyedList(b"k", [keyed_hash(b"k", "rent")]), Texts(Digests(b"secret"))
)
AT_HOME = next(count for count in range(PARTITION + 1, 99) if partition_of(b"payer", count) == PARTITION)
"""Partitions, of as many as the payer's is the one that is read."""
STRICT = Intake(AT_HOME, behind_ms_max=DAY_MS)
READINGS = [
    Reading(PARAMETERS.eur_per_minor_unit(), private, intake)
    for private, intake in ((PrivateLists(), Intake()), (PRIVATE, Intake()), (PRIVATE, STRICT))
]
LABEL_HEADERS = cloud_event(PAYMENT_LABEL, "x")


class Members(list[tuple[str, Any]]):
    """An object's fields in the order that they are written in, as often as they come."""


class Raw(str):
    """JSON as it is to be written."""


IDS = ("a", "payee", "x" * 128, "x" * 129, "", "é" * 128, "é" * 129, "\U0001f3e6" * 128, "\U0001f3e6" * 129, "\x7f",
       "\x1f", "a\n", " a", "\u2028", '"', "\\", "/", "\ufeff", "东京")  # fmt: skip
TEXTS = (*IDS, "rent", "Rent, for SCHOOL", "@moon", "  ", "\u2003", "x" * 1_000, "x" * 1_001, "\U0001f3e6" * 1_000,
         "é" * 1_001, "y" * 35, "y" * 36, "é" * 35, "é" * 36, "none", "family", "\ud800")  # fmt: skip
CODES = ("EUR", "CLF", "KWD", "JPY", "USD", "XXX", "eur", "EU", "EURO", "ÉUR", "SE", "XK", "se", "UK", "ZZ", "S", "SEK",
         "Å", "[\\", "accepted", "returned", "Accepted", "5967", "4829", "3005", "7273", "0000", "٣٠٠٥", "596", "59670",
         "-596")  # fmt: skip
NUMBERS = (0, 1, -1, 700, 2**53, 2**53 + 1, 2**63, 10**30, EVENT_MS, 4_102_444_800_000, 4_102_444_800_001, 840, -840,
           841, -841, 60, 1.5, Raw("1.0"), Raw("7e2"), Raw("-0"), Raw("-0.0"), Raw("007"), Raw("1."), Raw(".5"),
           Raw("9999999999999999"), Raw("99999999999999999"), Raw("9" * 400), Raw("1E999"), Raw("+1"))  # fmt: skip
OTHERS: tuple[Any, ...] = (None, True, False, [], [1], [[]], Raw("{}"), Raw('{"account":"a"}'), Raw("NaN"), Raw("tru"),
          Raw("nulll"), Raw('"\\u0061"'),
          Raw('"\\ud83c\\udfe6"'), Raw('"\\ud800"'), Raw('"\\x"'), Raw("'a'"), Raw(""))  # fmt: skip
ANY = st.sampled_from([*TEXTS, *CODES, *NUMBERS, *OTHERS])
GOOD: dict[str, st.SearchStrategy[Any]] = {
    "payment_id": st.sampled_from(["p-1", "é" * 128]),
    "event_time_ms": st.sampled_from(
        [
            EVENT_MS,
            0,
            4_102_444_801,
            EVENT_MS // 1_000,
            EVENT_MS * 1_000,
            *(EVENT_MS + apart for apart in (-DAY_MS - 1, -DAY_MS, DAY_MS, DAY_MS + 1)),
        ]
    ),
    "amount_minor": st.sampled_from([0, 1, 5_000, 12_345, 2**53]),
    "currency": st.sampled_from(sorted(CURRENCY_EXPONENT)),
    "tenant": st.sampled_from(["default", "north", "\U0001f3e6" * 128]),
    "utc_offset_minutes": st.sampled_from([-840, 0, 840]),
    "received_amount_minor": st.sampled_from([0, 7]),
    "received_currency": st.sampled_from(["EUR", "PHP"]),
    "status": st.sampled_from(["attempted", "accepted", "rejected", "returned"]),
    "reference": st.sampled_from(["", " \t", "rent", "for @moon", "Médico!", "x" * 1_000, "\x00\x1f\x7f"]),
    "merchant_category": st.sampled_from(["4829", "5967", "3005", "4722", "5411", "x"]),
    "relationship": st.sampled_from(["none", "family"]),
    "country": st.sampled_from(COUNTRIES),
    "opened_ms": st.sampled_from([0, EVENT_MS]),
    "minor": st.booleans(),
}
"""Of fields that have limits of their own; others are any text."""
PLAIN_TEXT = st.sampled_from(["a", "own", "东京", "y" * 35])


@st.composite
def objects(draw: st.DrawFn, names: tuple[str, ...], needed: tuple[str, ...], first: list[tuple[str, Any]]) -> Members:
    """An object with what it needs and some of what it can have; now and then something is wrong with it."""
    optional = [name for name in names if name not in (*needed, *(name for name, _ in first))]
    told = [*needed, *draw(st.lists(st.sampled_from(optional), unique=True))]
    members = [*first, *((name, draw(GOOD.get(name, PLAIN_TEXT))) for name in told)]
    for _ in range(draw(st.sampled_from([0] * 12 + [1, 1, 2]))):
        if not members:
            break
        kind, at = draw(st.integers(0, 4)), draw(st.integers(0, len(members) - 1))
        if kind == 0:
            members[at] = (members[at][0], draw(ANY))
        elif kind == 1:
            members.insert(at, (draw(st.sampled_from([name for name, _ in members])), draw(ANY)))
        elif kind == 2:
            members.insert(
                at, (draw(st.sampled_from(["x", "", "é", "payment_i", "account", "payer_account"])), draw(ANY))
            )
        elif kind == 3:
            members.insert(at, (draw(st.sampled_from(names)), None))
        else:
            del members[at]
    return Members(draw(st.permutations(members)) if draw(st.booleans()) else members)


@st.composite
def payments(draw: st.DrawFn) -> tuple[bytes | None, bytes]:
    """A payment's key and value, or what could be taken for one."""
    account = draw(st.sampled_from(["payer", "payer", "é" * 128, "payer", "payer", "x" * 129]))
    payer = draw(objects(OF_PARTY, (), [("account", account)]))
    payee = draw(objects(OF_PARTY, ("account",), []))
    members = draw(
        objects(
            tuple(name for name in OF_PAYMENT if name not in ("payer", "payee")),
            ("payment_id", "event_time_ms", "amount_minor", "currency"),
            [("payer", payer), ("payee", payee)],
        )
    )
    if draw(st.booleans()):
        members += [("received_currency", "PHP"), ("received_amount_minor", 900)]
    blank = draw(st.sampled_from([""] * 6 + [" ", " ", "\r\n\t ", "\x0b"]))
    escape = draw(st.sampled_from([0.0] * 5 + [0.1]))
    text = written(members, blank, draw(st.booleans()), random.Random(draw(st.integers(0, 9))), escape)
    wrapped = draw(st.sampled_from([""] * 20 + [",", "}", "\x00", "{"]))
    key = draw(st.sampled_from([account.encode()] * 20 + [None, b"", b"somebody"]))
    return key, f"{blank}{text}{blank}{wrapped}".encode("utf-8", "surrogatepass")


def written(content: Any, blank: str, ascii_only: bool, draw: random.Random, escape: float) -> str:
    """JSON, in which names come as often as they do, and some are written with an escape."""
    if isinstance(content, Raw):
        return str(content)
    if isinstance(content, Members):
        parts = []
        for name, value in content:
            quoted = json.dumps(name, ensure_ascii=ascii_only)
            if name and draw.random() < escape:
                quoted = f'"\\u{ord(name[0]):04x}{name[1:]}"'
            parts.append(f"{blank}{quoted}{blank}:{blank}{written(value, blank, ascii_only, draw, escape)}{blank}")
        return "{" + ",".join(parts) + "}"
    return json.dumps(content, ensure_ascii=ascii_only)


def label(key: bytes) -> Record:
    """A label of a payment of that payer."""
    content = {"payment_id": "p-1", "payer": key.decode(), "payee": "b", "event_time_ms": EVENT_MS, "confirmed": True}
    return Record(0, EVENT_MS, key, json.dumps(content).encode(), LABEL_HEADERS)


@st.composite
def logs(draw: st.DrawFn) -> list[Record]:
    """A few records with payments and labels among them, and what is neither."""
    found: list[Record] = []
    for offset in range(draw(st.integers(1, 6))):
        key, value = draw(payments())
        timestamp = draw(st.sampled_from([EVENT_MS, EVENT_MS, -1, -1, 2**63 - 1, 0]))
        headers: Headers = draw(st.sampled_from([[], [("x", b"y")]]))
        record = Record(offset, timestamp, key, value, headers)
        kind = draw(st.sampled_from(["payment"] * 9 + ["label", "misnamed", "empty"]))
        if kind == "label":
            record = label(draw(st.sampled_from([b"payer", b"b"])))._replace(offset=offset)
        elif kind == "misnamed":
            record = record._replace(headers=LABEL_HEADERS)
        elif kind == "empty":
            record = record._replace(value=draw(st.sampled_from([None, b"", b"{", b"[]", b"\xff"])))
        found.append(record)
    return found


def fates(records: list[Record], reading: Reading) -> list[Fate]:
    """What becomes of each record: by ``decode``, which is to be as expected."""
    found = decoded(records, decode(records, reading, TOPIC, PARTITION))
    assert found == expected(records, reading)
    return found


@SEEDED
@given(logs(), st.sampled_from(READINGS))
def test_a_batch_is_read_as_by_the_contract_record_by_record(log: list[Record], reading: Reading) -> None:
    fates(log, reading)


def plain(**changed: Any) -> bytes:
    """The plainest payment, with some fields of its own."""
    fields = {
        "payment_id": "p-1", "event_time_ms": EVENT_MS, "amount_minor": 700, "currency": "EUR",
        "payer": {"account": "payer"}, "payee": {"account": "b"},
    }  # fmt: skip
    return json.dumps(fields | changed, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


def fate_of(value: bytes, key: bytes = b"payer", timestamp: int = EVENT_MS) -> Fate:
    """Of one record, by deployments that take it whenever it is and wherever it stands."""
    return [fates([Record(0, timestamp, key, value)], reading) for reading in READINGS[:2]][-1][0]


@SEEDED
@given(st.integers())
def test_mutated_payments_are_read_as_by_the_contract(seed: int) -> None:
    draw = random.Random(seed)
    good = [plain(), plain(reference="rent", status="rejected", device="é", payee={"account": "b", "minor": True})]
    fates(
        [Record(at, EVENT_MS, b"payer", mutated(draw.choice(good), good, draw)) for at in range(20)], READINGS[seed % 2]
    )


@pytest.mark.parametrize(
    "value", [plain(), plain(reference="é", payer={"account": "payer", "minor": True, "opened_ms": 0})]
)
def test_each_byte_of_a_payment_may_be_another_or_missing(value: bytes) -> None:
    others = b'"\\{}[],: \n\x00\x1f\x7f\x80\xc3\xe9\xff0-9.etfnx'
    variants = [value[:at] + bytes([byte]) + value[at + 1 :] for at in range(len(value)) for byte in others]
    variants += [value[:at] + value[at + 1 :] for at in range(len(value))]
    variants += [value[:at] + bytes([byte]) + value[at:] for at in range(len(value) + 1) for byte in b'" ,}0\\']
    kinds = {
        fate[0] for fate in fates([Record(at, -1, b"payer", each) for at, each in enumerate(variants)], READINGS[1])
    }
    assert kinds == {"payment", "dead"}


def test_a_text_is_utf_8() -> None:
    """Each first byte beyond ASCII, with a second one on either side of each limit, and too few or too many others."""
    seconds = b"\x7f\x80\x8f\x90\x9f\xa0\xbf\xc0\xff"
    texts = [bytes([first, second]) + b"\x80" * more for first in range(0x80, 0x100) for second in seconds
             for more in range(4)]  # fmt: skip
    texts += [bytes([first]) for first in range(0x80, 0x100)]
    values = [plain(reference="@").replace(b"@", text) for text in texts]
    kinds = [fate[0] for fate in fates([Record(at, -1, b"payer", each) for at, each in enumerate(values)], READINGS[1])]
    assert kinds == ["payment" if is_text(text) else "dead" for text in texts]


def is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


@pytest.mark.parametrize("value", [plain(), plain(reference="é" * 9, tenant="north")])
def test_nothing_beyond_a_record_is_read(value: bytes) -> None:
    """Each cut of a record stands right before what would make it whole."""
    for cut in range(len(value)):
        log = [Record(0, EVENT_MS, b"payer", value[:cut]), Record(1, EVENT_MS, value[cut:], value)]
        assert [fate[0] for fate in fates(log, READINGS[0])] == ["dead", "dead"]


LIMITS = [
    (name, value, is_good)
    for names, values in (
        (("payment_id", "tenant"), (("x" * 128, True), ("é" * 128, True), ("\U0001f3e6" * 129, False), ("", False),
                                    ("a\x7f", False), ("a\n", False), ("\u0080", True))),
        (("rail", "purpose", "merchant_category", "relationship"),
         (("x" * 35, True), ("é" * 35, True), ("é" * 36, False), ("", False), ("\n\x7f", True))),
        (("device",), (("é" * 128, True), ("é" * 129, False), ("", False), ("\x1f", True))),
        (("reference",), (("", True), ("é" * 1_000, True), ("é" * 1_001, False), ("\x00", True))),
        (("event_time_ms",), ((0, False), (-1, False), (4_102_444_800, False), (4_102_444_801, True),
                             (4_102_444_800_000, False), (4_102_444_800_001, False), (EVENT_MS * 1_000, False))),
        (("amount_minor",), ((0, True), (2**53, True), (2**53 + 1, False), (-1, False), (10**30, False))),
        (("utc_offset_minutes",), ((-840, True), (840, True), (-841, False), (841, False), (None, True))),
        (("currency",), (("KWD", True), ("XXX", False), ("kwd", False), (None, False))),
        (("status",), (("returned", True), ("Returned", False), (None, False))),
    )
    for name in names
    for value, is_good in values
]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "is_good"), LIMITS)
def test_limits_are_those_of_the_contract_in_characters(name: str, value: Any, is_good: bool) -> None:
    assert fate_of(plain(**{name: value}))[0] == ("payment" if is_good else "dead")


@pytest.mark.parametrize(
    ("key", "apart_ms", "reason"),
    [
        (b"payer", DAY_MS, None), (b"payer", DAY_MS + 1, "event_time_in_future"), (b"payer", -DAY_MS, None),
        (b"payer", -DAY_MS - 1, "event_time_in_past"), (b"another", 0, "wrong_partition"),
        (b"another", 2 * DAY_MS, "wrong_partition"), (b"b", 0, "key_mismatch"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("spelled", [lambda value: value, lambda value: value.replace(b"tenant", b"t\\u0065nant")])
def test_a_payment_is_taken_where_and_when_it_belongs(
    key: bytes, apart_ms: int, reason: str | None, spelled: Callable[[bytes], bytes]
) -> None:
    account = "payer" if key == b"b" else key.decode()
    assert partition_of(b"another", AT_HOME) != PARTITION
    value = spelled(plain(payer={"account": account}, event_time_ms=EVENT_MS + apart_ms, tenant="north"))
    fate = fates([Record(0, EVENT_MS, key, value)], READINGS[2])[0]
    assert fate[:1] == ("payment",) if reason is None else fate[:2] == ("dead", reason)


def test_every_code_of_the_contract_is_known_and_no_other() -> None:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    countries = [first + second for first in letters for second in letters]
    log = [
        Record(at, -1, b"payer", plain(payee={"account": "b", "country": code})) for at, code in enumerate(countries)
    ]
    known = [code for code, fate in zip(countries, fates(log, READINGS[0]), strict=True) if fate[0] == "payment"]
    assert known == sorted(COUNTRIES)
    currencies = [first + second for first in countries for second in letters]
    log = [Record(at, -1, b"payer", plain(currency=code)) for at, code in enumerate(currencies)]
    known = [code for code, fate in zip(currencies, fates(log, READINGS[0]), strict=True) if fate[0] == "payment"]
    assert known == sorted(CURRENCY_EXPONENT)


def test_plain_payments_are_read_without_the_typed_decoder() -> None:
    """Blanks between, unknown names and letters of any alphabet are plain, or compiled code would be of no use."""
    values = [
        plain(), plain(reference="for ärende", tenant="东京", rail="bank"), json.dumps(json.loads(plain())).encode(),
        plain(own="x", own_number=1.5, own_flag=None), plain(purpose=None, status="rejected"),
        plain(received_amount_minor=1, received_currency="PHP", utc_offset_minutes=-300, merchant_category="5967"),
    ]  # fmt: skip
    log = [Record(at, EVENT_MS, b"payer", value) for at, value in enumerate(values)]
    assert [fate[0] for fate in fates(log, READINGS[1])] == ["payment"] * len(log)
    assert decode(log, READINGS[1], TOPIC, PARTITION).typed == {}


def test_how_a_log_is_cut_into_batches_changes_nothing() -> None:
    draw = random.Random(4)
    log = [Record(at, EVENT_MS, b"payer", mutated(plain(reference="é"), [plain()], draw)) for at in range(400)]
    log[7:9] = [label(b"payer")._replace(offset=7), label(b"payer")._replace(offset=8)]
    whole = fates(log, READINGS[1])
    parts = [fate for start in range(0, len(log), 7) for fate in fates(log[start : start + 7], READINGS[1])]
    assert [fate for fate in parts if fate[0] != "label"] == [fate for fate in whole if fate[0] != "label"]

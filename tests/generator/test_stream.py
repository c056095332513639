"""The stream as such: its bytes, its order, its noise, its memory, and what it never says."""

from __future__ import annotations

import gc
import re
import tracemalloc
from hashlib import sha256
from typing import Any

import msgspec
import orjson
import pytest

from services.contract.codec import Rejection, decode_payment, encode
from services.contract.payment import Party, Payment
from services.generator import Configuration, ConfigurationError, Stream, generate, truth
from services.generator.rows import MALFORMED, PAYMENT, REPEAT, SOURCES, STATUS_UPDATE, TYPOLOGIES, source
from services.generator.stream import CHUNK_ROWS
from tests.generator.conftest import Run

SMALL = Configuration(payers=60, months=1, seed=5, base_rate=0.1)
REMITTER_NEVER = {"salary", "card_retail", "bill", "domestic_p2p", "marketplace", "gaming_creator_tips", "side_signal"}


def digest(configuration: Configuration) -> str:
    hashed = sha256()
    for chunk in generate(configuration):
        hashed.update(b"\n".join(chunk.values))
    for record in truth(configuration):
        hashed.update(msgspec.json.encode(record))
    return hashed.hexdigest()


def test_the_same_configuration_gives_the_same_bytes_and_truth() -> None:
    assert digest(SMALL) == digest(changed(SMALL))


@pytest.mark.parametrize("change", [{"seed": 6}, {"payers": 61}, {"hard": True}, {"swap_seed": 1}, {"base_rate": 0.0}])
def test_anything_that_differs_gives_other_bytes(change: dict[str, Any]) -> None:
    assert digest(changed(SMALL, **change)) != digest(SMALL)


def changed(configuration: Configuration, **change: Any) -> Configuration:
    names = ("payers", "months", "seed", "base_rate", "profile", "hard", "swap_seed", "amounts", "noise")
    return Configuration(**{name: getattr(configuration, name) for name in names} | change)


def test_records_come_in_the_order_of_publication_and_in_bounded_chunks(rich: Run) -> None:
    assert rich.times_ms == sorted(rich.times_ms)
    assert max(rich.chunk_sizes) <= CHUNK_ROWS
    assert len(rich.values) == len(rich.keys) == sum(rich.chunk_sizes)


def test_without_noise_payments_come_in_event_time_order_and_once() -> None:
    values = [value for chunk in generate(changed(SMALL, noise=False)) for value in chunk.values]
    payments = [orjson.loads(value) for value in values]
    times = [payment["event_time_ms"] for payment in payments]
    assert times == sorted(times)
    assert len({payment["payment_id"] for payment in payments}) == len(payments)


def test_every_line_but_the_damaged_ones_is_canonical(rich: Run, bank: Run) -> None:
    for run in (rich, bank):
        for value, kind in zip(run.values, run.kinds, strict=True):
            payment = decode_payment(value)
            if kind == MALFORMED:
                assert isinstance(payment, Rejection), value
            else:
                assert isinstance(payment, Payment), (payment, value)
                assert encode(payment) == value


def test_keys_are_payer_accounts(rich: Run) -> None:
    for value, key, kind in zip(rich.values, rich.keys, rich.kinds, strict=True):
        if kind == PAYMENT:
            assert orjson.loads(value)["payer"]["account"].encode() == key


def test_repeats_are_the_same_bytes_and_returns_the_same_payment(rich: Run) -> None:
    first: dict[str, bytes] = {}
    seen = dict.fromkeys((REPEAT, STATUS_UPDATE, MALFORMED), 0)
    for value, kind in zip(rich.values, rich.kinds, strict=True):
        if kind == PAYMENT:
            first[orjson.loads(value)["payment_id"]] = value
            continue
        seen[kind] += 1
        if kind == REPEAT:
            assert first[orjson.loads(value)["payment_id"]] == value
        elif kind == STATUS_UPDATE:
            returned, before = orjson.loads(value), orjson.loads(first[orjson.loads(value)["payment_id"]])
            assert returned.pop("status") == "returned"
            assert returned == before
    assert min(seen.values()) > 10


def test_late_payments_are_at_most_a_day_late(rich: Run) -> None:
    lags = [
        time_ms - orjson.loads(value)["event_time_ms"]
        for value, kind, time_ms in zip(rich.values, rich.kinds, rich.times_ms, strict=True)
        if kind == PAYMENT
    ]
    assert min(lags) == 0
    assert 20 * 3_600_000 < max(lags) <= 24 * 3_600_000
    assert 0.01 < sum(lag > 0 for lag in lags) / len(lags) < 0.03


def test_every_population_is_there_and_a_remitter_sees_no_wages_or_cards(rich: Run, bank: Run) -> None:
    remitter = {SOURCES[at] for at in rich.measures.payments.nonzero()[0]}
    assert remitter == set(SOURCES) - REMITTER_NEVER - {"look_alike"}
    assert {SOURCES[at] for at in bank.measures.payments.nonzero()[0]} == set(SOURCES) - {"look_alike"}
    populations = {each.population for each in rich.stream.accounts()}
    assert {law.name for law in rich.stream.configuration.parameters.routine} <= populations
    assert {"lsac", "lsac_twin", "fsec_victim", "romance_victim", "facilitator", "direct_beneficiary", "mule",
            "collector"} <= populations  # fmt: skip


def test_every_typology_is_there(rich: Run) -> None:
    assert {each.typology for each in rich.stream.payments()} == set(TYPOLOGIES) - {
        "none",
        "new_payee_burst",
        "dormant_wakes",
    }


def test_truth_never_travels_with_a_payment(rich: Run, bank: Run) -> None:
    allowed, party = set(Payment.__struct_fields__), set(Party.__struct_fields__)
    names = [name for name in (*TYPOLOGIES, *SOURCES) if "_" in name]
    names += [
        "lsac",
        "fsec",
        "diaspora",
        "mule",
        "structuring",
        "bipartite",
        "facilit",
        "victim",
        "benefici",
        "escalator",
    ]
    secret = re.compile("|".join(names).encode())
    opaque = re.compile(r"a[0-9a-f]{16}")
    for run in (rich, bank):
        for payment in run.payments[::4]:
            assert payment.keys() <= allowed
            assert payment["payer"].keys() | payment["payee"].keys() <= party
            assert opaque.fullmatch(payment["payer"]["account"])
            assert opaque.fullmatch(payment["payee"]["account"])
        said = secret.search(b"\n".join(run.values))
        assert said is None, said


def test_a_field_alone_gives_nobody_away(rich: Run) -> None:
    """What linked or flagged beneficiaries are told with, ordinary payees are told with too."""
    special = {each.account for each in rich.stream.accounts() if each.typology == "lsac"}
    ordinary: dict[str, set[str]] = {name: set() for name in ("device", "phone", "pickup", "opened_ms", "minor")}
    for payment in rich.payments:
        payee = payment["payee"]
        if payee["account"] not in special:
            for name in ordinary.keys() & payee.keys():
                ordinary[name].add(payee["account"])
    assert {name: len(found) > 5 for name, found in ordinary.items()} == dict.fromkeys(ordinary, True)


def test_memory_does_not_grow_as_days_pass() -> None:
    stream, held = Stream(Configuration(payers=50, months=2, seed=2, base_rate=0.0)), []
    tracemalloc.start()
    for number, day in enumerate(stream.days()):
        del day
        if number % 5 == 4:
            gc.collect()
            held.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert max(held[6:]) < max(held[:6]) + 30_000


def test_four_times_the_months_are_about_four_times_the_payments() -> None:
    def payments(months: int) -> int:
        stream = Stream(Configuration(payers=150, months=months, seed=2, base_rate=0.0, noise=False))
        return sum(int((day.rows["source"] == source("diaspora")).sum()) for day in stream.days())

    assert 2.6 < payments(4) / payments(1) < 6.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"payers": 10}, "payers: must be"),
        ({"months": 0}, "months: must be"),
        ({"seed": -1}, "seed: must be"),
        ({"base_rate": "often"}, "base_rate: a number or one of unit_test"),
        ({"base_rate": 0.5}, "base_rate: must be 0 to 0.2"),
        ({"profile": "shop"}, "profile: one of bank, remitter, small_bank"),
        ({"amounts": "huge"}, "amounts: one of base"),
        ({"swap_seed": -2}, "swap_seed: must be"),
    ],
)
def test_a_configuration_out_of_range_names_what_is_wrong(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        changed(SMALL, **change)

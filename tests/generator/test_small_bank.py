"""The small bank: often what is rare elsewhere, beside what looks like it, and nothing that gives either away."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace

import orjson
import pytest

from services.contract.codec import decode_payment
from services.contract.payment import Party, Payment
from services.generator import Configuration, Stream
from services.generator.check import findings
from services.generator.parameters import shipped_parameters
from services.generator.rows import PAYMENT, source
from tests.generator.conftest import Run, run_of

DAY_MS = 86_400_000
KINDS = {"structuring", "mule", "account_takeover", "card_testing", "new_payee_burst", "dormant_wakes"}
SMALL_BANK = Configuration(payers=750, months=3, seed=7, base_rate=0.0, profile="small_bank")


@pytest.fixture(scope="module")
def small() -> Run:
    return run_of(SMALL_BANK)


@pytest.fixture(scope="module")
def truth(small: Run) -> dict[str, tuple[str, int]]:
    """Typology and case by payment id."""
    return {each.payment_id: (each.typology, each.case) for each in small.stream.payments()}


def test_it_shows_its_parameters(small: Run) -> None:
    assert [each.parameter for each in findings(small.measures) if each.within is False] == []


def test_suspicious_payments_are_rare_and_of_every_kind(small: Run, truth: dict[str, tuple[str, int]]) -> None:
    assert {typology for typology, _ in truth.values()} == KINDS
    shares = []
    for seed in (7, 8, 9):
        stream = Stream(replace(SMALL_BANK, seed=seed, noise=False))
        shares.append(len(list(stream.payments())) / sum(len(day.rows) for day in stream.days()))
    assert 0.003 <= sum(shares) / len(shares) <= 0.006


def test_innocent_cases_outnumber_what_they_look_like() -> None:
    rates, innocent = (shipped_parameters("small_bank").rates, shipped_parameters("small_bank").look_alikes)
    assert innocent["trader"] + innocent["house"] > 2 * rates["structuring"]
    assert innocent["collection"] > 2 * rates["mule"]
    assert innocent["new_phone"] > 2 * rates["account_takeover"]
    assert innocent["forgotten_code"] > 2 * rates["card_testing"]
    assert innocent["moving"] + innocent["salary_split"] > 2 * rates["new_payee_burst"]
    assert innocent["returning"] > 2 * rates["dormant_wakes"]


def test_look_alikes_are_paid_and_nothing_is_noted_of_them(small: Run) -> None:
    rows = small.stream.plan.rows
    innocent = rows["source"] == source("look_alike")
    assert innocent.sum() > 200
    assert set(rows["typology"][innocent].tolist()) == {0}
    assert set(small.stream.plan.cases[innocent].tolist()) == {-1}
    everyday = [each for each in small.stream.accounts() if each.population == "everyday"]
    assert len(everyday) > 20
    assert {each.typology for each in everyday} == {None}


def test_what_wakes_has_slept_for_half_a_year(small: Run, truth: dict[str, tuple[str, int]]) -> None:
    woken = {
        payment["payer"]["account"]
        for payment in small.payments
        if truth.get(payment["payment_id"], ("", 0))[0] == "dormant_wakes"
    }
    times: dict[str, list[int]] = defaultdict(list)
    for payment in small.payments:
        times[payment["payer"]["account"]].append(payment["event_time_ms"])
    assert woken
    for account in woken:
        before = [each for each in times[account] if each < SMALL_BANK.start_ms]
        after = [each for each in times[account] if each >= SMALL_BANK.start_ms]
        assert 3 <= len(before) <= 8
        assert 1 <= len(after) <= 4
        assert min(after) - max(before) > 190 * DAY_MS
        assert max(after) - min(after) <= 2 * DAY_MS


def test_a_burst_has_several_payees_within_half_a_day(small: Run, truth: dict[str, tuple[str, int]]) -> None:
    cases: dict[int, list[tuple[int, str, str]]] = defaultdict(list)
    for payment in small.payments:
        typology, case = truth.get(payment["payment_id"], ("", -1))
        if typology == "new_payee_burst":
            told = payment["event_time_ms"], payment["payer"]["account"], payment["payee"]["account"]
            cases[case].append(told)
    assert cases
    for found in cases.values():
        times, payers, payees = zip(*found, strict=True)
        assert max(times) - min(times) <= DAY_MS // 2
        assert len(set(payers)) == 1
        assert len(set(payees)) >= 3


def test_no_field_of_a_payment_tells_the_truth(small: Run, truth: dict[str, tuple[str, int]]) -> None:
    """Every name and word that a suspicious payment carries, innocent ones carry too."""
    words: dict[bool, dict[str, set[str]]] = {True: defaultdict(set), False: defaultdict(set)}
    for payment in small.payments:
        seen = words[payment["payment_id"] in truth]
        for name in ("rail", "purpose", "merchant_category", "status", "currency"):
            seen[name].add(str(payment.get(name)))
        seen["reference"].add(str(payment.get("reference")).rstrip("0123456789"))
    for name, suspicious in words[True].items():
        assert suspicious <= words[False][name], name


def test_every_optional_field_is_sometimes_told_and_sometimes_not(small: Run) -> None:
    used: Counter[str] = Counter()
    payments = [value for value, kind in zip(small.values, small.kinds, strict=True) if kind == PAYMENT]
    for value in payments:
        payment = decode_payment(value)
        assert isinstance(payment, Payment)
        used.update(orjson.loads(value).keys())
        used.update(name for party in (payment.payer, payment.payee) for name in _told(party))
    optional = {"received_amount_minor", "purpose", "reference", "merchant_category", "device", "relationship"}
    for name in optional | {"utc_offset_minutes", "received_currency", "status"}:
        assert 0 < used[name] < len(payments), name
    for name in ("country", "agent", "phone", "pickup", "opened_ms", "minor"):
        assert 0 < used[f"party.{name}"] < 2 * len(payments), name


def _told(party: Party) -> list[str]:
    return [f"party.{name}" for name in party.__struct_fields__ if getattr(party, name) is not None]

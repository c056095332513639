"""Payees that share a phone, a device or a pick-up point."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest

from services.contract.payment import Party, Payment
from tests.scorer.path.features.asking import (
    NAN,
    PAYEES,
    B,
    C,
    D,
    domestic,
    last,
    payment_with_id,
    remittance,
    same,
    unlike,
    values,
)
from tests.scorer.path.logs import DAY_MS, START_MS


def sharer(account: str, *, phone: str | None = None, device: str | None = None, pickup: str | None = None) -> Party:
    return Party(account, country="PH", phone=phone, device=device, pickup=pickup)


def counted(*members: int) -> list[float]:
    """Linear counting over 64 bits, of each of so many members."""
    return [64 * math.log(64 / (64 - each)) for each in members]


def linked(log: Sequence[Payment]) -> tuple[list[float], list[float]]:
    return values(log, "payee_linked_payees"), values(log, "payee_linked_payers")


PAYERS = unlike([f"P{at}" for at in range(400)], 64, 40)


@pytest.mark.parametrize("kind", ["phone", "device", "pickup"])
def test_payees_that_tell_one_token_are_linked_from_the_second_on(kind: str) -> None:
    log = [
        remittance(0, sharer(payee, **{kind: "1"}), payer)
        for payee, payer in zip((*PAYEES[:3], PAYEES[0]), (*PAYERS[:2], PAYERS[1], PAYERS[2]), strict=True)
    ]
    payees, payers = linked(log)
    one, two = counted(1, 2)
    assert payees == same([1.0, 1.0 + one, 1.0 + two, 1.0 + two])
    assert payers == same([0.0, one, two, two])


@pytest.mark.parametrize(
    "changes",
    [
        {"payee": sharer("C")},
        {"payee": Party("C", phone="1")},
        {"payee": Party("C", country="SE", phone="1")},
        {"merchant_category": "5411"},
    ],
)
def test_nothing_is_shared_by_what_is_no_remittance_or_tells_no_token(changes: dict[str, Any]) -> None:
    shared = remittance(0, sharer("B", phone="1"))
    asked = remittance(0, **{"payee": sharer("C", phone="1"), **changes})
    log = [shared, asked, remittance(0, sharer(PAYEES[5], phone="1"))]
    payees, payers = linked(log)
    assert [payees[1], payers[1]] == same([NAN, NAN])
    assert [payees[2], payers[2]] == same([1.0 + counted(1)[0], counted(1)[0]])


def test_a_phone_is_no_device_and_another_tenants_token_is_another() -> None:
    log = [
        remittance(0, sharer(B, phone="1")),
        remittance(0, sharer(C, device="1")),
        remittance(0, sharer(D, pickup="1")),
        remittance(0, sharer(C, phone="1"), tenant="other"),
    ]
    assert linked(log) == ([1.0] * 4, [0.0] * 4)


def test_a_payee_with_several_tokens_joins_all_who_share_one_of_them() -> None:
    """B and C by phone, D and E by device; F tells both. Then whoever tells either is linked with all."""
    e, f, g = PAYEES[3:6]
    log = [
        *(remittance(0, sharer(each, phone="1"), PAYERS[at]) for at, each in enumerate((B, C))),
        *(remittance(0, sharer(each, device="2"), PAYERS[2]) for each in (D, e)),
        remittance(0, sharer(f, phone="1", device="2"), PAYERS[3]),
        remittance(0, sharer(g, phone="1")),
        remittance(0, sharer(g, device="2")),
    ]
    payees, payers = linked(log)
    three, four, five = counted(3, 4, 5)
    one, two = counted(1, 2)
    assert payees == same([1.0, 1.0 + one, 1.0, 1.0 + one, 1.0 + four, 1.0 + five, 1.0 + five])
    assert payers == same([0.0, one, 0.0, one, three, four, five])
    assert two < three


def test_a_token_that_is_told_twice_in_one_payment_counts_once() -> None:
    log = [remittance(0, sharer(each, phone="1", device="1", pickup="1"), each) for each in (B, C)]
    assert linked(log)[0] == same([1.0, 1.0 + counted(1)[0]])


MANY = unlike([f"M{at}" for at in range(900)], 64, 40)
"""Accounts whose bits differ; twenty of them are estimated as 23.98, 19 and the one that is paid as 23.54."""


def test_a_counter_that_more_than_24_payees_share_joins_nobody_any_more() -> None:
    log = [remittance(0, sharer(each, pickup="counter")) for each in (*MANY[:22], MANY[0])]
    found = linked(log)[0]
    assert found[:20] == same([1.0 + each for each in counted(*range(20))])
    assert found[20:] == [1.0, 1.0, 1.0]
    assert linked(log)[1][20:] == [0.0, 0.0, 0.0]


def test_a_common_counter_leaves_its_payees_phones_to_themselves() -> None:
    """The counter is common before the phones are met, so they are joined by what they share alone."""
    counter = [remittance(0, sharer(each, pickup="counter")) for each in MANY[:22]]
    phones = [remittance(0, sharer(each, pickup="counter", phone="1")) for each in MANY[30:32]]
    assert linked([*counter, *phones])[0][-2:] == same([1.0, 1.0 + counted(1)[0]])


def test_groups_that_would_be_more_than_24_together_are_left_apart() -> None:
    """Twelve by device, twelve others by phone: who tells both joins the device's group."""
    log = [
        *(remittance(0, sharer(each, device="1")) for each in MANY[:12]),
        *(remittance(0, sharer(each, phone="2")) for each in MANY[12:24]),
        remittance(0, sharer(MANY[30], device="1", phone="2")),
        remittance(0, sharer(MANY[31], device="1")),
        remittance(0, sharer(MANY[31], phone="2")),
    ]
    twelve, thirteen = counted(12, 13)
    assert linked(log)[0][24:] == same([1.0 + twelve, 1.0 + thirteen, 1.0 + thirteen])


@pytest.mark.parametrize(("days", "expected"), [(360, 2.0), (361, 1.0)])
def test_a_group_is_forgotten_after_360_whole_days_of_the_partitions_time(days: int, expected: float) -> None:
    """Whoever makes the time pass: the group was used on day 0, at its beginning, and is asked on that day's end."""
    midnight_ms = START_MS - START_MS % DAY_MS
    log = [
        remittance(0, sharer(B, phone="1"), event_time_ms=midnight_ms),
        *(
            domestic(0, payer=Party(name, country="SE"), event_time_ms=midnight_ms + (days + 1) * DAY_MS - 1)
            for name in ("other", "another")
        ),
        remittance(0, sharer(C, phone="1"), event_time_ms=midnight_ms),
    ]
    assert linked(log)[0][-1] == pytest.approx(expected, abs=0.01)


def test_a_group_is_forgotten_whole_even_if_one_of_its_tokens_is_met_again() -> None:
    log = [
        remittance(0, sharer(B, phone="1", device="2")),
        remittance(362, sharer(C, phone="1")),
        remittance(362, sharer(D, device="2")),
        remittance(362, sharer(D, phone="1")),
    ]
    assert linked(log)[0] == same([1.0, 1.0, 1.0, 1.0 + counted(1)[0]])


def test_a_group_lives_as_long_as_any_of_its_tokens_is_used() -> None:
    log = [
        remittance(0, sharer(B, phone="1", device="2")),
        remittance(300, sharer(B, phone="1")),
        remittance(600, sharer(C, device="2")),
    ]
    assert linked(log)[0][-1] == same(1.0 + counted(1)[0])


def test_a_repeated_payment_shares_nothing_again() -> None:
    first = payment_with_id(remittance(0, sharer(B, phone="1"), PAYERS[0]), "first")
    again = payment_with_id(remittance(400, sharer(B, phone="1"), PAYERS[0]), "first")
    asked = payment_with_id(remittance(400, sharer(C, phone="1"), PAYERS[1]), "second")
    assert last([first, again, asked], "payee_linked_payees") == 1.0  # the repeat made time pass, and no more

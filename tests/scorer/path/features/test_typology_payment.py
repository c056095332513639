"""What typologies ask of a payment itself: whether it is a remittance, and what it tells."""

from __future__ import annotations

import math
from typing import Any

import pytest

from services.contract.payment import Party
from services.scorer.path.features.registry import FEATURES, INDEX
from tests.scorer.path.features.asking import AGAINST_CORRIDOR, IN_PESOS, NAN, domestic, last, remittance, same


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 1.0),
        ({"payee": Party("B", country="SE")}, 0.0),
        ({"merchant_category": "5411"}, 0.0),
        ({"merchant_category": "4829"}, 1.0),
        ({"payee": Party("B")}, NAN),
        ({"payer": Party("A")}, NAN),
        ({"payee": Party("B"), "merchant_category": "5411"}, NAN),
        ({"payee": Party("B"), **IN_PESOS}, 1.0),
        ({"payer": Party("A"), "payee": Party("B"), **IN_PESOS}, 1.0),
        ({"payee": Party("B"), "received_amount_minor": 5, "received_currency": "EUR"}, NAN),
        ({"payee": Party("B", country="SE"), **IN_PESOS}, 0.0),
        ({"payee": Party("B"), **IN_PESOS, "merchant_category": "5411"}, 0.0),
        ({"rail": "card"}, NAN),
        ({"rail": "card", "merchant_category": "4829"}, 1.0),
        ({"rail": "card", "merchant_category": "5411"}, 0.0),
        ({"rail": "card", "payee": Party("B", country="SE")}, 0.0),
    ],
)
def test_a_remittance_crosses_a_border_and_goes_to_no_merchant(changes: dict[str, Any], expected: float) -> None:
    assert last([remittance(0, **changes)], "is_remittance") == same(expected)


OVER_BORDERS = [
    feature.name for feature in FEATURES if feature.needs == FEATURES[INDEX["is_cross_border"]].needs
    and feature.name not in ("is_cross_border", "payer_cross_border_share_30d", "payee_cross_border_share_30d")
]  # fmt: skip


@pytest.mark.parametrize("name", OVER_BORDERS)
def test_what_is_said_of_remittances_is_missing_where_this_payments_border_is_not_told(name: str) -> None:
    rich: dict[str, Any] = {"rail": "bank", "received_amount_minor": 5, "received_currency": "PHP"}
    before = [*(remittance(at / 4, f"B{at % 4}", **rich) for at in range(32)), domestic(8)]
    assert math.isnan(last([*before, remittance(9, payee=Party("B"))], name))
    assert not math.isnan(last([*before, remittance(9, **rich)], name))


@pytest.mark.parametrize("name", OVER_BORDERS)
def test_what_is_said_of_remittances_is_missing_where_no_earlier_border_was_told(name: str) -> None:
    log = [*(remittance(at / 4, payer=Party("A"), payee=Party("B")) for at in range(32)), remittance(9)]
    if FEATURES[INDEX[name]].side != "payment":
        assert math.isnan(last(log, name))


def test_a_payment_that_crosses_no_border_is_told_of_the_remittances_before_it_but_has_no_corridor() -> None:
    log = [*(remittance(0) for _ in range(30)), domestic(0)]
    assert last(log, "remit_payments_30d") == 30.0
    assert [last(log, name) for name in AGAINST_CORRIDOR] == same([NAN, NAN])


@pytest.mark.parametrize(
    ("changes", "expected"),
    [({"relationship": "none"}, 1.0), ({"relationship": "family"}, 0.0), ({}, NAN)],
)
def test_unrelated_is_declared_or_missing(changes: dict[str, Any], expected: float) -> None:
    assert last([remittance(0, **changes)], "is_unrelated") == same(expected)


@pytest.mark.parametrize(("minor", "expected"), [(True, 1.0), (False, 0.0), (None, NAN)])
def test_a_minors_account_is_told_or_missing(minor: bool | None, expected: float) -> None:
    assert last([remittance(0, payee=Party("B", country="PH", minor=minor))], "payee_is_minor") == same(expected)


@pytest.mark.parametrize(
    ("reference", "handle", "excuse"),
    [
        (None, NAN, NAN),
        ("", 0.0, 0.0),
        ("for @moon", 1.0, 0.0),
        ("moon_river", 1.0, 0.0),
        ("moon77", 1.0, 0.0),
        ("INV123", 0.0, 0.0),
        ("20240131", 0.0, 0.0),
        ("Hospital, please", 0.0, 1.0),
        ("gastos médicos: MÉDICO", 0.0, 1.0),
        ("pour l'e\u0301cole", 0.0, 1.0),
        ("ecole", 0.0, 1.0),
        ("éco", 0.0, 0.0),
        ("hospitality", 0.0, 0.0),
    ],
)
def test_a_reference_is_a_handle_or_an_excuse_by_its_words(reference: str | None, handle: float, excuse: float) -> None:
    log = [remittance(0, reference=reference)]
    assert [last(log, "reference_is_handle"), last(log, "reference_is_excuse")] == same([handle, excuse])


@pytest.mark.parametrize(("category", "expected"), [(None, 0.0), ("4829", 0.0), ("5411", 1.0), ("5967", 1.0)])
def test_a_merchant_is_told_by_its_category(category: str | None, expected: float) -> None:
    assert last([remittance(0, merchant_category=category)], "is_to_merchant") == expected
    by_card = remittance(0, merchant_category=category, rail="card")
    assert last([by_card], "is_to_merchant") == same(NAN if category is None else expected)

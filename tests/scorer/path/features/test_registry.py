"""Kernels find a feature by its name, where the registry puts it."""

from __future__ import annotations

from services.scorer.path.features.registry import ACTIVITY_AT, NAMES, PAYEE_AT, PAYER_AT, PAYER_HOP


def test_names_stand_in_the_order_of_the_registry() -> None:
    assert PAYER_AT._fields + PAYEE_AT._fields == NAMES
    assert (list(PAYER_AT), list(PAYEE_AT)) == (list(range(len(PAYER_HOP))), list(range(len(NAMES) - len(PAYER_HOP))))


def test_what_payer_and_payee_have_in_common_stands_in_one_order_on_both_sides() -> None:
    for side, other, at in (("payer", "payees", PAYER_AT), ("payee", "payers", PAYEE_AT)):
        first = getattr(at, f"{side}_payments_1h")
        for name, place in ACTIVITY_AT._asdict().items():
            assert getattr(at, f"{side}_{name.replace('others', other)}") == first + place

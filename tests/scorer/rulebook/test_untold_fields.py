"""What a source does not tell is no fact: its features are missing, and no indicator hits or speaks for innocence."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from numpy.typing import NDArray

from services.contract.codec import encode
from services.contract.local import CURRENCY
from services.contract.payment import Party, Payment
from services.runtime.settings import load_settings
from services.scorer.path.features.registry import INDEX, NAMES
from services.scorer.path.records import Record
from services.scorer.path.replay import Replay
from services.scorer.path.rules.pack import HIT, Packs
from services.scorer.path.rules.pack_parse import parse_pack
from services.scorer.rulebook.pack_file import SHIPPED, pack_folder, pack_text
from services.scorer.rulebook.pack_fixtures import read_fixtures
from services.scorer.rulebook.ruleset_file import load_ruleset

RULESET = load_ruleset(load_settings())
PACKS = Packs(tuple(parse_pack(pack_text(name)) for name in SHIPPED))
FIXTURES = {
    f"{name}-{fixture.name}": fixture.payments for name in SHIPPED for fixture in read_fixtures(pack_folder(name))
}
NO_USUAL_OFFSET = "US"
NO_CURRENCY = "PA"
"""It has two."""
NO_RATE = "ALL"


def of_payer(**changes: object) -> Callable[[Payment], Payment]:
    return lambda payment: replace(payment, payer=replace(payment.payer, **changes))


def of_payee(**changes: object) -> Callable[[Payment], Payment]:
    return lambda payment: replace(payment, payee=replace(payment.payee, **changes))


def of_payment(**changes: object) -> Callable[[Payment], Payment]:
    return lambda payment: replace(payment, **changes)


def without_borders(payment: Payment) -> Payment:
    payer, payee = (replace(party, country=None) for party in (payment.payer, payment.payee))
    return replace(payment, payer=payer, payee=payee, received_amount_minor=None, received_currency=None)


def names(text: str) -> frozenset[str]:
    """Names of features; one that ends with ``*`` stands for all that begin so."""
    found: set[str] = set()
    for word in text.split():
        begin = word.removesuffix("*")
        matching = {name for name in NAMES if name == word or (word != begin and name.startswith(begin))}
        assert matching, word
        found |= matching
    return frozenset(found)


DROPPED: dict[str, tuple[Callable[[Payment], Payment], frozenset[str]]] = {
    "clock": (
        of_payment(utc_offset_minutes=None),
        names("local_* payer_night_share_30d remit_night_share_180d remit_night_excess_180d"),
    ),
    "borders": (
        without_borders,
        names("is_cross_border is_remittance amount_against_corridor round_against_corridor corridor_is_new"
              " payer_cross_border_share_30d payee_cross_border_share_30d payer_corridors payee_corridors"
              " remit_* payee_remit_180d payee_small_new_payers_180d payee_small_remit_share_180d"
              " payee_country_entropy_180d payee_text_collisions_180d payee_risky_payers_360d payee_shared_payees_360d"
              " payee_linked_*"),
    ),
    "payee's country": (of_payee(country=None), names("payer_corridors corridor_is_new")),
    "payer's country": (of_payer(country=None), names("payee_corridors payee_country_entropy_180d")),
    "received amount": (
        of_payment(received_amount_minor=None, received_currency=None),
        names("received_roundness round_against_corridor remit_round_share_180d remit_round_excess_180d"),
    ),
    "rail": (of_payment(rail=None), names("remit_rails_90d")),
    "reference": (
        of_payment(reference=None),
        names("reference_* remit_excuse_kinds remit_absent_share_180d payee_text_collisions_180d"),
    ),
    "merchant category": (
        of_payment(merchant_category=None), names("payer_adult_merchants_180d payer_travel_180d"),
    ),
    "device": (of_payment(device=None), names("device_is_new")),
    "relationship": (of_payment(relationship=None), names("is_unrelated")),
    "payee's tokens": (of_payee(device=None, phone=None, pickup=None), names("payee_linked_*")),
    "payee's minority": (of_payee(minor=None), names("payee_is_minor")),
    "payer's opening": (of_payer(opened_ms=None), names("payer_account_age")),
    "payee's opening": (of_payee(opened_ms=None), names("payee_account_age")),
    "rate": (
        of_payment(currency=NO_RATE),
        names("amount amount_is_small amount_is_near_threshold payer_value_* payee_value_* payer_small_share_30d"
              " payee_small_share_30d payer_amount_deviation payee_amount_deviation payer_amount_over_last"
              " payer_near_threshold_7d payee_passed_on_share_1d amount_against_corridor remit_small_share_180d"
              " remit_amount_against_corridor_180d remit_amount_slope payer_amount_over_cleared"
              " payer_amount_from_cleared payee_small_new_payers_180d payee_small_remit_share_180d"),
    ),
    "outcome": (of_payment(status="attempted"), names("payer_refused_1d payer_retries_7d")),
    "private lists": (lambda payment: payment, names("payee_is_confirmed reference_in_lexicon")),
}  # fmt: skip
"""By what is told of no payment: how it is left out, and what is missing then while there are payments."""


def features_of(history: Sequence[Payment]) -> NDArray[np.float64]:
    records = [
        Record(at, each.event_time_ms, each.payer.account.encode(), encode(each)) for at, each in enumerate(history)
    ]
    return Replay(RULESET).measure(records)[1]


@lru_cache
def told(name: str) -> NDArray[np.float64]:
    """Features of a fixture as it is."""
    return features_of(history_of(name))


@lru_cache
def untold(name: str, field: str) -> NDArray[np.float64]:
    """Features of a fixture in which nobody tells the field."""
    return features_of([DROPPED[field][0](each) for each in history_of(name)])


@lru_cache
def history_of(name: str) -> tuple[Payment, ...]:
    """A fixture whose countries imply neither a clock nor a currency."""
    home = {each.payer.country for each in FIXTURES[name]}

    def elsewhere(party: Party) -> Party:
        if party.country in home:
            return replace(party, country=NO_USUAL_OFFSET)
        return replace(party, country=NO_CURRENCY) if CURRENCY.get(party.country or "") == "EUR" else party

    return tuple(replace(each, payer=elsewhere(each.payer), payee=elsewhere(each.payee)) for each in FIXTURES[name])


def has_past(history: Sequence[Payment], name: str, at: int, features: NDArray[np.float64]) -> bool:
    """Whether what the feature looks back on is there: payments, or remittances."""
    if name.startswith("remit_"):
        return bool(features[at, INDEX["remit_payments_180d"]] != 0.0)
    if name in names("payee_small_new* payee_small_remit* payee_country* payee_text* payee_risky* payee_shared*"):
        return bool(features[at, INDEX["payee_remit_180d"]] != 0.0)
    side = "payee" if name.startswith("payee_") and "linked" not in name else "payer"
    accounts = [getattr(each, side).account for each in history[: at + 1]]
    return accounts.count(accounts[-1]) > 1


def looks_back(name: str) -> bool:
    return name.startswith(("payer_", "payee_", "remit_")) or name in ("corridor_is_new", "device_is_new")


@pytest.mark.parametrize("field", DROPPED)
@pytest.mark.parametrize("name", FIXTURES)
def test_what_asks_a_field_that_nobody_tells_is_missing(name: str, field: str) -> None:
    found = untold(name, field)
    for feature in DROPPED[field][1]:
        column = found[:, INDEX[feature]]
        for at in np.flatnonzero(~np.isnan(column)).tolist():
            assert looks_back(feature), (feature, at)
            assert not has_past(history_of(name), feature, at, found), (feature, at, column[at])


@pytest.mark.parametrize("field", DROPPED)
@pytest.mark.parametrize("name", FIXTURES)
def test_no_indicator_hits_or_speaks_for_innocence_because_a_field_is_not_told(name: str, field: str) -> None:
    before, after = (
        PACKS.evaluate(features, np.zeros(len(features))).outcome for features in (told(name), untold(name, field))
    )
    rows, columns = np.nonzero((after == HIT) & (before != HIT))
    found = sorted({(PACKS.indicators[column][1].id, int(row)) for row, column in zip(rows, columns, strict=True)})
    assert found == []


@pytest.mark.parametrize("field", DROPPED)
def test_a_field_that_one_payment_does_not_tell_never_speaks_for_innocence(field: str) -> None:
    drop = DROPPED[field][0]
    against = [at for at, (_, each) in enumerate(PACKS.indicators) if not each.raises]
    for name in FIXTURES:
        history = history_of(name)
        outcomes = PACKS.evaluate(told(name), np.zeros(len(history))).outcome
        for last in {len(history) - 1, len(history) // 2}:
            features = features_of([*history[:last], drop(history[last])])
            found = PACKS.evaluate(features, np.zeros(last + 1)).outcome[last]
            for at in against:
                assert found[at] != HIT or outcomes[last, at] == HIT, (name, last, PACKS.indicators[at][1].id)


def test_a_finding_names_the_indicators_that_were_blind() -> None:
    """The alert takes the finding as it is, so people read there what could not be measured."""
    name, field = "lsac-positive-family-operation", "clock"
    results = PACKS.evaluate(untold(name, field), np.zeros(len(history_of(name))))
    finding = PACKS.finding(results, len(history_of(name)) - 1, SHIPPED.index("lsac"), "payer")
    assert {"T3", "T3b", "T3-"} <= set(finding.missing)
    assert not {"T3", "T3-"} & {each.indicator for each in (*finding.evidence, *finding.counter_evidence)}


def test_the_page_on_what_is_not_told_has_every_feature_once() -> None:
    page = (Path(__file__).parents[3] / "docs/internals/missing.md").read_text("utf-8")
    first_cells = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    assert sorted(re.findall(r"`(\w+)`", " ".join(first_cells))) == sorted(NAMES)

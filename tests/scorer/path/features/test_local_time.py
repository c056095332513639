"""Whose clock a payment is read by, where it does not tell its own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from importlib.resources import files
from zoneinfo import ZoneInfo

import pytest

from services.contract.codes import COUNTRIES, CURRENCY_EXPONENT
from services.contract.local import CURRENCY, OFFSET_MINUTES
from services.contract.payment import Party
from tests.scorer.path.features.asking import DAY, NAN, NIGHT, remittance, same, values

ABROAD = Party("A", country="US")
"""Of a country that has no usual offset."""
JAPAN = Party("A", country="JP")
"""Nine hours ahead: 07:13 where the log starts, at 22:13 UTC."""


@pytest.mark.parametrize(
    ("payer", "offsets", "nights", "implied"),
    [
        (JAPAN, [NIGHT, DAY], [1.0, 0.0], [0.0, 0.0]),
        (JAPAN, [None, None], [0.0, 0.0], [1.0, 1.0]),
        (JAPAN, [None, NIGHT, None, DAY, None], [0.0, 1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 1.0, 0.0, 1.0]),
        (ABROAD, [None, NIGHT, None], [NAN, 1.0, 1.0], [NAN, 0.0, 1.0]),
        (Party("A"), [None, -840, None], [NAN, 0.0, 0.0], [NAN, 0.0, 1.0]),
    ],
)
def test_local_time_is_told_or_that_of_the_payers_last_clock_or_of_its_country(
    payer: Party, offsets: list[int | None], nights: list[float], implied: list[float]
) -> None:
    log = [remittance(0, payer=payer, utc_offset_minutes=each) for each in offsets]
    assert values(log, "local_is_night") == same(nights)
    assert values(log, "local_time_is_implied") == same(implied)


def test_the_clock_of_another_payer_is_not_the_payers() -> None:
    log = [remittance(0, payer=Party("C", country="US"), utc_offset_minutes=NIGHT)]
    assert values([*log, remittance(0, payer=ABROAD, utc_offset_minutes=None)], "local_is_night") == same([1.0, NAN])


def test_an_implied_clock_counts_where_nights_are_counted() -> None:
    log = [remittance(0, payer=JAPAN, utc_offset_minutes=each) for each in (NIGHT, None, None)]
    assert values(log, "remit_night_share_180d") == same([0.0, 1.0, 1.0])
    log = [remittance(0, payer=ABROAD, utc_offset_minutes=None) for _ in range(3)]
    assert values(log, "remit_night_share_180d") == same([0.0, NAN, NAN])


def test_a_usual_offset_is_that_of_every_zone_of_the_country_on_most_days() -> None:
    zones: dict[str, set[tuple[int, ...]]] = {}
    for line in (files("tzdata") / "zoneinfo" / "zone.tab").read_text("utf-8").splitlines():
        if not line.startswith("#"):
            country, _, zone = line.split("\t")[:3]
            zones.setdefault(country, set()).add(offsets_of(zone))
    for country, over_the_year in zones.items():
        usual = {max(set(each), key=each.count) for each in over_the_year}
        expected = usual.pop() if len(over_the_year) == 1 else None
        assert OFFSET_MINUTES.get(country) == expected, country
    assert set(OFFSET_MINUTES) <= set(COUNTRIES)


def offsets_of(zone: str) -> tuple[int, ...]:
    """Minutes on each day of 2026, at noon UTC."""
    noons = (datetime(2026, 1, 1, 12, tzinfo=UTC) + timedelta(days=day) for day in range(365))
    offsets = (noon.astimezone(ZoneInfo(zone)).utcoffset() for noon in noons)
    return tuple(int(each.total_seconds() // 60) for each in offsets if each is not None)


def test_the_currency_of_a_country_is_one_of_the_contract() -> None:
    assert set(CURRENCY) <= set(COUNTRIES)
    assert set(CURRENCY.values()) <= set(CURRENCY_EXPONENT)
    assert [CURRENCY.get(each) for each in ("SE", "PH", "DE", "BG", "PA")] == ["SEK", "PHP", "EUR", "EUR", None]

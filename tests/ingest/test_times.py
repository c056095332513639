"""Every form of time becomes milliseconds since 1970-01-01 UTC."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.numbers import BadValueError
from services.ingest.times import TimeForm, iso_ms, time_reader, zone_of

APRIL = 1_522_540_800_000  # 2018-04-01T00:00:00Z


@pytest.mark.parametrize(
    ("form", "pattern", "zone", "value", "expected"),
    [
        ("iso", "", "UTC", "2018-04-01T00:00:31Z", APRIL + 31_000),
        ("iso", "", "UTC", "2018-04-01 00:00:00.123456", APRIL + 123),
        ("iso", "", "UTC", "2018-04-01", APRIL),
        ("iso", "", "UTC", date(2018, 4, 1), APRIL),
        ("iso", "", "UTC", datetime(2018, 4, 1), APRIL),  # noqa: DTZ001
        ("iso", "", "Europe/Prague", "2018-04-01T02:00:00", APRIL),
        ("iso", "", "Europe/Prague", "2018-04-01T00:00:00Z", APRIL),
        ("iso", "", "UTC", datetime(2018, 4, 1, 2, tzinfo=timezone(timedelta(hours=2))), APRIL),
        ("epoch_s", "", "UTC", 1_522_540_831, APRIL + 31_000),
        ("epoch_s", "", "UTC", "1522540831.5", APRIL + 31_500),
        ("epoch_s", "", "UTC", 1522540831.001, APRIL + 31_001),
        ("epoch_ms", "", "UTC", "1522540831001", APRIL + 31_001),
        ("seconds_after", "", "UTC", 31, APRIL + 31_000),
        ("seconds_after", "", "UTC", "0.0019", APRIL + 1),
        ("days_after", "", "UTC", 2, APRIL + 172_800_000),
        ("format", "%y%m%d", "UTC", "180401", APRIL),
        ("format", "%d.%m.%Y %H:%M", "Europe/Prague", "01.04.2018 02:00", APRIL),
        ("format", "%y%m%d", "UTC", 180401, APRIL),
    ],
)
def test_a_cell_is_read_as_the_mapping_says(
    form: TimeForm, pattern: str, zone: str, value: object, expected: int
) -> None:
    start_ms = APRIL if form.endswith("_after") else 0
    assert time_reader(form, start_ms, pattern, zone_of(zone))(value) == expected


@pytest.mark.parametrize("form", ["iso", "epoch_s", "epoch_ms", "seconds_after", "days_after", "format"])
@pytest.mark.parametrize("value", ["soon", "", None, [], "9999-12-31T23:59:59-99:00", float("inf")])
def test_what_is_no_time_is_refused(form: TimeForm, value: object) -> None:
    with pytest.raises(BadValueError):
        time_reader(form, 0, "%y%m%d", UTC)(value)


@given(st.datetimes(timezones=st.timezones()))
def test_an_iso_text_with_an_offset_means_the_same_moment_everywhere(moment: datetime) -> None:
    expected = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    assert iso_ms(moment.isoformat()) == expected == iso_ms(moment)


def test_a_zone_that_does_not_exist_is_named() -> None:
    with pytest.raises(ValueError, match="no time zone called 'Mars/Olympus'"):
        zone_of("Mars/Olympus")

"""Event times from the cells of a file: every form becomes milliseconds since 1970-01-01 UTC."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Literal
from zoneinfo import ZoneInfo

from services.contract.remembered import remembered
from services.contract.units import DAY_MS
from services.ingest.numbers import BadValueError, scaled

TimeForm = Literal["iso", "epoch_s", "epoch_ms", "seconds_after", "days_after", "format"]

SECOND_MS = 1_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

ReadTime = Callable[[object], int]


def zone_of(name: str) -> tzinfo:
    """The time zone called ``name`` (``UTC`` or an IANA name such as ``Europe/Prague``).

    Raises
    ------
    ValueError
        When there is no such zone on this machine.
    """
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:  # ZoneInfoNotFoundError is a KeyError
        raise ValueError(f"no time zone called {name!r}") from error


def iso_ms(value: object, zone: tzinfo = UTC) -> int:
    """Milliseconds of an ISO 8601 text, ``datetime`` or ``date``; without an offset it is local to ``zone``.

    Raises
    ------
    BadValueError
        When it is none of these.

    >>> iso_ms("2018-04-01T00:00:31Z"), iso_ms("2018-04-01 02:00:31.5+02:00")
    (1522540831000, 1522540831500)
    """
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            raise BadValueError("field_invalid", "Not an ISO 8601 date and time") from None
    elif isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if not isinstance(value, datetime):
        raise BadValueError("field_invalid", "Not an ISO 8601 date and time")
    return _milliseconds(value, zone)


def _milliseconds(moment: datetime, zone: tzinfo) -> int:
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    try:
        return (moment - _EPOCH) // _MILLISECOND
    except OverflowError:
        raise BadValueError("field_invalid", "Not a time between the years 1 and 9999") from None


def time_reader(form: TimeForm, start_ms: int, pattern: str, zone: tzinfo) -> ReadTime:
    """The function from a cell to milliseconds since 1970-01-01 UTC. Fractions of a millisecond are cut off.

    Parameters
    ----------
    form
        ``iso``; ``epoch_s`` or ``epoch_ms``; ``seconds_after`` or ``days_after`` a start; ``format`` for a pattern.
    start_ms
        What ``seconds_after`` and ``days_after`` count from.
    pattern
        ``strptime`` pattern of ``format``.
    zone
        Of ``iso`` and ``format`` where the cell names no offset.
    """
    if form == "iso":
        return lambda value: iso_ms(value, zone)
    if form == "format":
        parse = remembered(lambda text: _formatted_ms(text, pattern, zone))
        return lambda value: parse(str(value).strip())
    unit_ms = {"epoch_s": SECOND_MS, "epoch_ms": 1, "seconds_after": SECOND_MS, "days_after": DAY_MS}[form]
    return lambda value: start_ms + scaled(value, unit_ms, "floor")


def _formatted_ms(text: str, pattern: str, zone: tzinfo) -> int:
    try:
        moment = datetime.strptime(text, pattern)  # noqa: DTZ007  the zone is added below
    except ValueError:
        raise BadValueError("field_invalid", "Not a time of the mapping's format") from None
    return _milliseconds(moment, zone)

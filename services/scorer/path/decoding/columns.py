"""From walked payments to what the payer hop's kernel reads of them, in the same pass: codes, digests, accounts."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from services.contract.codec import RECORD_BYTES_MAX
from services.contract.codes import COUNTRIES
from services.contract.partitioner import partition_of_span
from services.contract.siphash import Key, siphash64, siphash128
from services.scorer.path.decoding.content import CONTENT_BYTES_MAX, digest_content
from services.scorer.path.decoding.fields import AT, COUNT, STATUSES
from services.scorer.path.decoding.walk import walk
from services.scorer.path.features.inputs import (
    CARD,
    COUNTRY_CODE,
    CURRENCY_CODE,
    NO_MERCHANT,
    OTHER_MERCHANT,
    STATUS_CODE,
    UNKNOWN_OFFSET,
    UNTOLD_MERCHANT,
    merchant_class,
)

_A, _LETTERS, _DIGIT_0 = 0x41, 26, 0x30
_SEPARATOR = 0x1F
_NAME_BYTES_MAX = 3 * 4 * 128 + 2
"""Of tenant, account and payment id, with what separates them."""
_CATEGORY_DIGITS = 4


def _codes(known: dict[str, int], letters: int) -> NDArray[np.int64]:
    """By the letters of a code, A to Z, as a number: what it is; -1 for none."""
    out = np.full(_LETTERS**letters, -1, dtype=np.int64)
    for code, number in known.items():
        at = 0
        for letter in code:
            at = at * _LETTERS + ord(letter) - _A
        out[at] = number
    return out


_CURRENCIES = _codes(CURRENCY_CODE, 3)
_COUNTRIES = _codes({code: COUNTRY_CODE[code] for code in COUNTRIES}, 2)
_MERCHANTS = np.array([merchant_class(f"{number:04}") for number in range(10_000)], dtype=np.int64)
_ACCEPTED = STATUS_CODE["accepted"]
_NONE = np.frombuffer(b"none", dtype=np.uint8)
_CARD = np.frombuffer(CARD.encode(), dtype=np.uint8)
_STATUS_TEXTS = tuple(np.frombuffer(status.encode(), dtype=np.uint8) for status in STATUSES)
_STATUS_NUMBERS = tuple(STATUS_CODE[status] for status in STATUSES)


class Log(NamedTuple):
    """Records as they came (``Records``), of which ``skipped`` (bool[n]) are no payments."""

    data: Any
    timestamps: Any
    keys: Any
    values: Any
    skipped: Any


class Deployment(NamedTuple):
    """What payments are read with."""

    rates: Any
    """float64[currencies]: EUR of a minor unit; NaN where there is no rate."""
    key: Key
    tenant: Any
    """uint8[...]: whose payments those are that tell no tenant."""
    tenant_at: int
    """Where it stands in the data."""
    partition: int
    """Of the log."""
    partitions: int
    """0: any key may stand in any of them."""
    ahead_ms_max: int
    """How far ahead of its record's append a payment may be dated, and behind it."""
    behind_ms_max: int


class Walked(NamedTuple):
    """What is known of n records after the walk; of those that are not ``plain`` nothing."""

    plain: NDArray[np.bool_]
    spans: NDArray[np.int32]
    """[n, COUNT, 2]."""
    rows: NDArray[Any]
    """``PAYER_INPUT[n]``, but for what a reference tells and what the deployer's lists hold."""
    payers: NDArray[np.uint64]
    """[n, 2]: digest of tenant and account, like the next."""
    payees: NDArray[np.uint64]

    def chosen(self, at: NDArray[Any]) -> Walked:
        """Some of the records."""
        return Walked(self.plain[at], self.spans[at], self.rows[at], self.payers[at], self.payees[at])


@njit(cache=True)
def walk_all(log: Log, deployment: Deployment, out: Walked) -> None:
    """Walk every record; ``out`` is written."""
    numbers = np.zeros(COUNT, dtype=np.int64)
    name = np.empty(_NAME_BYTES_MAX, dtype=np.uint8)
    room = np.empty(CONTENT_BYTES_MAX, dtype=np.uint8)
    for i in range(len(log.values)):
        start, length = log.values[i, 0], log.values[i, 1]
        out.plain[i] = False
        if log.skipped[i] or not 0 < length <= RECORD_BYTES_MAX:
            continue
        spans = out.spans[i]
        if not walk(log.data, start, start + length, spans, numbers):
            continue
        if not _same(log.data, spans[AT.payer_account], log.keys[i]):
            continue
        if not _is_at_home(log.data, log.keys[i], deployment):
            continue
        if not _is_timely(numbers[AT.event_time_ms], log.timestamps[i], deployment):
            continue
        if not _write_row(out.rows[i], log.data, spans, numbers, deployment):
            continue
        if spans[AT.tenant, 1] < 0:
            spans[AT.tenant, 0], spans[AT.tenant, 1] = deployment.tenant_at, len(deployment.tenant)
        row, key = out.rows[i], deployment.key
        row.rail = _of_span(log.data, spans[AT.rail], key) if spans[AT.rail, 1] >= 0 else np.uint64(0)
        row.payer_device = _of_span(log.data, spans[AT.device], key) if spans[AT.device, 1] >= 0 else np.uint64(0)
        row.payer = _of_span(log.data, spans[AT.payer_account], key)
        row.payee = _of_span(log.data, spans[AT.payee_account], key)
        begun = _begin(name, deployment.tenant, log.data, spans[AT.tenant], deployment.tenant_at)
        _account(name, _append(name, begun, log.data, spans[AT.payee_account]), key, out.payees[i])
        named = _append(name, begun, log.data, spans[AT.payer_account])
        _account(name, named, key, out.payers[i])
        name[named] = _SEPARATOR
        row.payment = _digest(name, 0, _append(name, named + 1, log.data, spans[AT.payment_id]), key)
        row.content = digest_content(log.data, spans, numbers, room, key)
        out.plain[i] = True


@njit(cache=True)
def _is_at_home(data: Any, key: Any, deployment: Deployment) -> bool:
    """Whether a record stands in the partition of its key."""
    count = deployment.partitions
    return count == 0 or partition_of_span(data, key[0], key[1], count) == deployment.partition


@njit(cache=True)
def _is_timely(event_ms: int, appended_ms: int, deployment: Deployment) -> bool:
    if appended_ms < 0:
        return True
    return -deployment.behind_ms_max <= event_ms - appended_ms <= deployment.ahead_ms_max


@njit(cache=True)
def _write_row(row: Any, data: Any, spans: Any, numbers: Any, deployment: Deployment) -> bool:
    """Write what is no digest; returns whether all codes are known, and what must come together does."""
    currency, received = _currency(data, spans[AT.currency]), _currency(data, spans[AT.received_currency])
    payer, payee = _country(data, spans[AT.payer_country]), _country(data, spans[AT.payee_country])
    status = _status(data, spans[AT.status])
    told_received = spans[AT.received_currency, 1] >= 0
    if currency < 0 or received < -1 or payer < -1 or payee < -1 or status < 0:
        return False
    if told_received != (spans[AT.received_amount_minor, 1] >= 0):
        return False
    row.event_ms = numbers[AT.event_time_ms]
    row.amount_minor = numbers[AT.amount_minor]
    row.amount = np.rint(numbers[AT.amount_minor] * deployment.rates[currency] * 1e9) / 1e9
    row.received_minor = numbers[AT.received_amount_minor] if told_received else -1
    row.currency = currency
    row.status = status
    row.payer_country = payer
    row.payee_country = payee
    if payer >= 0 and payee >= 0:
        row.cross_border = 1.0 if payer != payee else 0.0
    else:
        row.cross_border = 1.0 if told_received and received != currency else np.nan
    row.offset_minutes = _or(numbers, spans, AT.utc_offset_minutes, UNKNOWN_OFFSET)
    row.opened_ms = _or(numbers, spans, AT.payer_opened_ms, -1)
    row.payee_opened_ms = _or(numbers, spans, AT.payee_opened_ms, -1)
    row.merchant = _merchant(data, spans[AT.merchant_category], spans[AT.rail])
    row.payee_minor = float(numbers[AT.payee_minor]) if spans[AT.payee_minor, 1] >= 0 else np.nan
    row.unrelated = np.nan
    if spans[AT.relationship, 1] >= 0:
        row.unrelated = 1.0 if _equals(data, spans[AT.relationship], _NONE) else 0.0
    row.excuse = -1
    row.is_handle = False
    row.reference_absent = np.nan if spans[AT.reference, 1] < 0 else 1.0
    row.text = np.uint64(0)
    row.confirmed = np.nan
    row.in_lexicon = np.nan
    row.first_refused = False
    row.verdict = 0
    row.now_ms = 0
    return True


@njit(cache=True)
def _or(numbers: Any, spans: Any, field: int, absent: int) -> int:
    return numbers[field] if spans[field, 1] >= 0 else absent


@njit(cache=True)
def _currency(data: Any, span: Any) -> int:
    """-1 where it is not told, -2 for none that is known; the same of countries."""
    if span[1] < 0:
        return -1
    if span[1] != 3:
        return -2
    number = 0
    for place in range(3):
        letter = int(data[span[0] + place]) - _A
        if not 0 <= letter < _LETTERS:
            return -2
        number = number * _LETTERS + letter
    code = _CURRENCIES[number]
    return code if code >= 0 else -2


@njit(cache=True)
def _country(data: Any, span: Any) -> int:
    if span[1] < 0:
        return -1
    if span[1] != 2:
        return -2
    first, second = int(data[span[0]]) - _A, int(data[span[0] + 1]) - _A
    if not (0 <= first < _LETTERS and 0 <= second < _LETTERS):
        return -2
    code = _COUNTRIES[first * _LETTERS + second]
    return code if code >= 0 else -2


@njit(cache=True)
def _status(data: Any, span: Any) -> int:
    """``accepted`` where it is not told, as the contract has it; -1 for none that is known."""
    if span[1] < 0:
        return _ACCEPTED
    for at in range(len(_STATUS_TEXTS)):
        if _equals(data, span, _STATUS_TEXTS[at]):
            return _STATUS_NUMBERS[at]
    return -1


@njit(cache=True)
def _merchant(data: Any, span: Any, rail: Any) -> int:
    if span[1] < 0:
        return UNTOLD_MERCHANT if _equals(data, rail, _CARD) else NO_MERCHANT
    if span[1] != _CATEGORY_DIGITS:
        return OTHER_MERCHANT
    number = 0
    for place in range(_CATEGORY_DIGITS):
        digit = int(data[span[0] + place]) - _DIGIT_0
        if not 0 <= digit <= 9:
            return OTHER_MERCHANT
        number = 10 * number + digit
    return int(_MERCHANTS[number])


@njit(cache=True)
def _equals(data: Any, span: Any, text: Any) -> bool:
    if span[1] != len(text):
        return False
    for place in range(len(text)):  # noqa: SIM110 - numba compiles no all() over a generator
        if data[span[0] + place] != text[place]:
            return False
    return True


@njit(cache=True)
def _same(data: Any, span: Any, other: Any) -> bool:
    if span[1] != other[1]:
        return False
    for place in range(span[1]):  # noqa: SIM110 - as above
        if data[span[0] + place] != data[other[0] + place]:
            return False
    return True


@njit(cache=True)
def _begin(name: Any, tenant: Any, data: Any, span: Any, tenant_at: int) -> int:
    """Write a tenant and the separator into ``name``; returns where they end."""
    if span[0] == tenant_at:
        for place in range(len(tenant)):
            name[place] = tenant[place]
    else:
        for place in range(span[1]):
            name[place] = data[span[0] + place]
    name[span[1]] = _SEPARATOR
    return int(span[1]) + 1


@njit(cache=True)
def _append(name: Any, at: int, data: Any, span: Any) -> int:
    for place in range(span[1]):
        name[at + place] = data[span[0] + place]
    return at + int(span[1])


@njit(cache=True)
def _of_span(data: Any, span: Any, key: Key) -> Any:
    return _digest(data, span[0], span[1], key)


@njit(cache=True)
def _digest(data: Any, start: int, length: int, key: Key) -> Any:
    """As ``Digests.of``: never 0."""
    digest = siphash64(data, start, length, key)
    return digest if digest != 0 else np.uint64(1)


@njit(cache=True)
def _account(name: Any, length: int, key: Key, out: Any) -> None:
    """As ``accounts.digests_of_keys``: never 0 in its lower half."""
    low, high = siphash128(name, 0, length, key)
    out[0] = low if low != 0 else np.uint64(1)
    out[1] = high

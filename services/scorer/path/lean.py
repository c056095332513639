"""Decisions as people's records: lean JSON, written in compiled code a batch at a time.

The fields are those of ``services.contract.decision.Decision``, in its order. Names of payments are escaped as JSON
asks; numbers come as texts from orjson, which writes the shortest that reads back the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import orjson
from numba import njit
from numpy.typing import NDArray

from services.contract.columns import Texts
from services.contract.served import ERROR, HIT
from services.contract.uuids import BLOCK, TEXT_BYTES, Begun, finish, put_text

_DIGITS_MAX = 20


class Phrases(NamedTuple):
    """What stands around the values of every decision of a batch, uint8 each."""

    decision_id: Any
    payment_id: Any
    tenant: Any
    event_time: Any
    passed: Any
    to_review: Any
    probability: Any
    named: Any
    """Model, ruleset and feature schema, up to the partition of the origin."""
    offset: Any
    reasons: Any
    rules: Any
    unmeasured: Any
    review: Any


class Decided(NamedTuple):
    """n decisions in columns. Texts are ``data`` and ``ends``, as ``Texts``."""

    tenant: Texts
    payer: Texts
    payment_id: Texts
    event_ms: NDArray[np.int64]
    partition: NDArray[np.int32]
    offset: NDArray[np.int64]
    scores: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    review: NDArray[np.bool_]
    leading: NDArray[np.int64]
    """int64[n, r]: features that raised the score, -1 for none."""
    outcomes: NDArray[np.uint8]
    """uint8[n, rules]."""
    details: Texts
    """JSON of what each review says besides; empty for those that pass."""


class Lines(NamedTuple):
    """JSON of n decisions, one after the other: ``data`` up to ``ends`` int64[n + 1]; and their ids, uint8[n, 16]."""

    data: NDArray[np.uint8]
    ends: NDArray[np.int64]
    ids: NDArray[np.uint8]


def phrases(named: bytes) -> Phrases:
    """``named`` is the JSON, without braces, of what the batch's decisions name."""
    texts = (
        b'{"decision_id":"', b'","payment_id":"', b'","tenant":"', b'","event_time_ms":', b',"outcome":"pass","score":',
        b',"outcome":"review","score":', b',"probability":', b"," + named + b',"origin":{"partition":', b',"offset":',
        b',"reasons":["', b',"rules":["', b',"unmeasured":["', b',"review":',
    )  # fmt: skip
    return Phrases(*(np.frombuffer(text, dtype=np.uint8) for text in texts))


def lines(decided: Decided, around: Phrases, begun: Begun, names: Sequence[str], rules: Sequence[str]) -> Lines:
    """JSON of each decision.

    Parameters
    ----------
    begun
        How the names begin that ids are made of (``identity.decision_prefix``).
    names, rules
        Of features and of rules, by which ``leading`` and ``outcomes`` are told. Nothing in them is to be escaped.
    """
    n = len(decided.event_ms)
    told, named = _table(names), _table(rules)
    numbers = [np.frombuffer(_numbers(each), dtype=np.uint8) for each in (decided.scores, decided.probabilities)]
    fixed = sum(map(len, around)) + TEXT_BYTES + 3 * _DIGITS_MAX + 16
    wordy = decided.leading.shape[1] * (3 + int(np.diff(told.ends).max(initial=0))) + 3 * len(rules) + len(named.data)
    texts = [np.frombuffer(each.data, dtype=np.uint8) for each in (decided.tenant, decided.payer, decided.payment_id)]
    escaped = 2 * (len(texts[0]) + len(texts[2])) + sum(map(len, numbers)) + len(decided.details.data)
    room = n * (fixed + wordy) + escaped
    out = Lines(np.empty(room, dtype=np.uint8), np.zeros(n + 1, dtype=np.int64), np.empty((n, 16), dtype=np.uint8))
    longest = max(
        int(np.diff(each.ends).max(initial=0)) for each in (decided.tenant, decided.payer, decided.payment_id)
    )
    work = np.empty(len(begun.rest) + 3 * longest + 4 + 2 * BLOCK, dtype=np.uint8)
    _lines_kernel(
        (texts[0], decided.tenant.ends, texts[1], decided.payer.ends, texts[2], decided.payment_id.ends),
        (decided.event_ms, decided.partition, decided.offset, decided.review, decided.leading, decided.outcomes),
        (numbers[0], numbers[1], np.frombuffer(decided.details.data, dtype=np.uint8), decided.details.ends),
        (told.data, told.ends, named.data, named.ends), around, begun, work, out,
    )  # fmt: skip
    return out._replace(data=out.data[: out.ends[-1]])


def _table(names: Sequence[str]) -> Texts:
    texts = Texts.of([name.encode() for name in names])
    return Texts(np.frombuffer(texts.data, dtype=np.uint8), texts.ends)


def _numbers(values: NDArray[np.float64]) -> bytes:
    """JSON of each number, each with a comma behind."""
    return orjson.dumps(np.ascontiguousarray(values), option=orjson.OPT_SERIALIZE_NUMPY)[1:-1] + b","


@njit(cache=True)
def _lines_kernel(
    texts: Any, values: Any, written: Any, tables: Any, around: Phrases, begun: Begun, work: Any, out: Lines
) -> None:
    tenants, tenant_ends, payers, payer_ends, payments, payment_ends = texts
    event_ms, partition, offset, review, leading, outcomes = values
    scores, probabilities, details, detail_ends = written
    features, feature_ends, rules, rule_ends = tables
    state, words = np.empty(5, dtype=np.uint32), np.empty(80, dtype=np.uint32)
    work[: len(begun.rest)] = begun.rest
    score_at = probability_at = at = 0
    data = out.data
    for i in range(len(event_ms)):
        end = _copied(work, len(begun.rest), tenants, tenant_ends[i], tenant_ends[i + 1])
        work[end] = 0x1F
        end = _copied(work, end + 1, payers, payer_ends[i], payer_ends[i + 1])
        work[end] = 0x1F
        end = _copied(work, end + 1, payments, payment_ends[i], payment_ends[i + 1])
        finish(begun, work, end, state, words, out.ids[i])
        at = put_text(out.ids[i], data, _phrase(data, at, around.decision_id))
        at = _escaped(data, _phrase(data, at, around.payment_id), payments, payment_ends[i], payment_ends[i + 1])
        at = _escaped(data, _phrase(data, at, around.tenant), tenants, tenant_ends[i], tenant_ends[i + 1])
        at = _number(data, _phrase(data, at, around.event_time), event_ms[i])
        at = _phrase(data, at, around.to_review if review[i] else around.passed)
        at, score_at = _up_to_comma(data, at, scores, score_at)
        at = _phrase(data, at, around.probability)
        at, probability_at = _up_to_comma(data, at, probabilities, probability_at)
        at = _number(data, _phrase(data, at, around.named), partition[i])
        at = _number(data, _phrase(data, at, around.offset), offset[i])
        data[at] = 0x7D
        at += 1
        if leading[i, 0] >= 0:
            at = _phrase(data, at, around.reasons)
            for place in range(leading.shape[1]):
                if leading[i, place] >= 0:
                    at = _listed(data, at, features, feature_ends, leading[i, place], place > 0)
            at = _closed(data, at)
        at = _ruled(data, at, around.rules, rules, rule_ends, outcomes[i], HIT)
        at = _ruled(data, at, around.unmeasured, rules, rule_ends, outcomes[i], ERROR)
        if review[i]:
            at = _copied(data, _phrase(data, at, around.review), details, detail_ends[i], detail_ends[i + 1])
        data[at] = 0x7D
        at += 1
        out.ends[i + 1] = at


@njit(cache=True)
def _ruled(data: Any, at: int, phrase: Any, rules: Any, rule_ends: Any, outcomes: Any, outcome: int) -> int:
    """List the rules that came to ``outcome``, if any did."""
    any_yet = False
    for rule in range(len(outcomes)):
        if outcomes[rule] == outcome:
            if not any_yet:
                at = _phrase(data, at, phrase)
            at = _listed(data, at, rules, rule_ends, rule, any_yet)
            any_yet = True
    return _closed(data, at) if any_yet else at


@njit(cache=True)
def _listed(data: Any, at: int, texts: Any, ends: Any, which: int, is_further: bool) -> Any:
    """The next text of a list, whose first quotation mark stands there already."""
    if is_further:
        data[at], data[at + 1], data[at + 2] = 0x22, 0x2C, 0x22
        at += 3
    return _copied(data, at, texts, ends[which], ends[which + 1])


@njit(cache=True)
def _closed(data: Any, at: int) -> int:
    data[at], data[at + 1] = 0x22, 0x5D
    return at + 2


@njit(cache=True)
def _phrase(data: Any, at: int, phrase: Any) -> Any:
    return _copied(data, at, phrase, 0, len(phrase))


@njit(cache=True)
def _copied(data: Any, at: int, text: Any, start: int, stop: int) -> int:
    for place in range(start, stop):
        data[at + place - start] = text[place]
    return at + stop - start


@njit(cache=True)
def _escaped(data: Any, at: int, text: Any, start: int, stop: int) -> int:
    """A text without control characters as JSON."""
    for place in range(start, stop):
        if text[place] == 0x22 or text[place] == 0x5C:
            data[at] = 0x5C
            at += 1
        data[at] = text[place]
        at += 1
    return at


@njit(cache=True)
def _number(data: Any, at: int, value: int) -> int:
    """A number of no negative sign."""
    stop, left = at + 1, value
    while left >= 10:
        left //= 10
        stop += 1
    for place in range(stop - 1, at - 1, -1):
        data[place] = 0x30 + value % 10
        value //= 10
    return stop


@njit(cache=True)
def _up_to_comma(data: Any, at: int, texts: Any, start: int) -> Any:
    """Copy up to the next comma; returns where the copy ends, and where the next text begins."""
    while texts[start] != 0x2C:
        data[at] = texts[start]
        at += 1
        start += 1
    return at, start + 1

"""Decisions written in compiled code are what msgspec writes of the same decisions, whatever stands in them."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from typing import Any
from uuid import UUID

import msgspec
import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from services.contract.codec import Rejection, decode, encode, read
from services.contract.columns import Texts
from services.contract.decision import Decision, Origin, Reason, ReviewDetail, RuleResult
from services.contract.fields import EVENT_TIME_MS_MAX
from services.contract.identity import decision_id, decision_prefix
from services.contract.served import ERROR, HIT, NO_HIT
from services.contract.uuids import begun
from services.scorer.path.lean import Decided, Lines, lines, phrases
from tests.contract.payloads import HASH, SEEDED

NAMED = {"model_version": 7, "model": "a" * 12, "ruleset": "b" * 12, "feature_schema": "c" * 12}
FEATURES = tuple(f"feature_{'x' * at}" for at in range(9))
RULES = ("burst", "v", "new-corridor-new-payee", "x.y_z")
DETAIL = ReviewDetail(
    ("payer",), (Reason("amount", 1.5, 0.25),), (RuleResult("burst", "hit", measured=4.5),), (),
    msgspec.Raw(b'{"payment_id":"p" , "x":[1.50]}'),
)  # fmt: skip

_CONTROL = [*map(chr, range(32)), "\x7f"]
IDS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters=_CONTROL) | st.sampled_from('"\\/'),
    min_size=1,
    max_size=128,
)
"""As the contract allows them."""
FINITE = st.floats(allow_nan=False, allow_infinity=False)
EDGES = st.sampled_from(
    (0.0, -0.0, 5e-324, -5e-324, 1e-7, 1e16, 1e21, 0.1, 1 / 3, 1.7976931348623157e308, -1e300, 1e22)
)


@st.composite
def rows(draw: st.DrawFn) -> Any:
    """Tenant, payer, payment id, time, partition, offset, score, probability, leading features, outcomes, detail."""
    leading = draw(st.lists(st.integers(0, len(FEATURES) - 1), max_size=3, unique=True))
    return (
        draw(IDS), draw(IDS), draw(IDS),
        draw(st.integers(0, EVENT_TIME_MS_MAX)), draw(st.integers(0, 2**31 - 1)), draw(st.integers(0, 2**53)),
        draw(FINITE | EDGES), draw(FINITE | EDGES),
        leading + [-1] * (3 - len(leading)),
        draw(st.lists(st.sampled_from((NO_HIT, HIT, ERROR)), min_size=len(RULES), max_size=len(RULES))),
        draw(st.none() | st.just(DETAIL)),
    )  # fmt: skip


def written(decided: list[Any], rules: tuple[str, ...] = RULES) -> Lines:
    """The lines of rows as ``rows`` draws them."""
    tenants, payers, ids, times, partitions, offsets, scores, chances, leading, outcomes, details = (
        [row[at] for row in decided] for at in range(11)
    )
    made = Decided(
        tenant=Texts.of([each.encode() for each in tenants]),
        payer=Texts.of([each.encode() for each in payers]),
        payment_id=Texts.of([each.encode() for each in ids]),
        event_ms=np.array(times, dtype=np.int64),
        partition=np.array(partitions, dtype=np.int32),
        offset=np.array(offsets, dtype=np.int64),
        scores=np.array(scores, dtype=np.float64),
        probabilities=np.array(chances, dtype=np.float64),
        review=np.array([each is not None for each in details], dtype=np.bool_),
        leading=np.array(leading, dtype=np.int64).reshape(len(decided), 3),
        outcomes=np.array(outcomes, dtype=np.uint8).reshape(len(decided), len(rules)),
        details=Texts.of([b"" if each is None else encode(each) for each in details]),
    )
    return lines(made, phrases(orjson.dumps(NAMED)[1:-1]), begun(decision_prefix(HASH)), FEATURES, rules)


def one_by_one(found: Lines) -> list[bytes]:
    whole, ends = found.data.tobytes(), found.ends.tolist()
    return [whole[start:stop] for start, stop in pairwise(ends)]


def decision(row: Any, rules: tuple[str, ...] = RULES) -> Decision:
    """The same by hand."""
    tenant, payer, payment_id, time, partition, offset, score, chance, leading, outcomes, detail = row
    return Decision(
        decision_id=decision_id(tenant, payer, payment_id, HASH),
        payment_id=payment_id,
        tenant=tenant,
        event_time_ms=time,
        outcome="pass" if detail is None else "review",
        score=score,
        probability=chance,
        model_version=7,
        model="a" * 12,
        ruleset="b" * 12,
        feature_schema="c" * 12,
        origin=Origin(partition, offset),
        reasons=tuple(FEATURES[at] for at in leading if at >= 0),
        rules=tuple(rule for rule, outcome in zip(rules, outcomes, strict=True) if outcome == HIT),
        unmeasured=tuple(rule for rule, outcome in zip(rules, outcomes, strict=True) if outcome == ERROR),
        review=detail,
    )


def as_msgspec(row: Any, rules: tuple[str, ...] = RULES) -> bytes:
    """Its bytes, numbers as orjson has them: ``1e+16``, where msgspec has ``1e16``."""
    by_hand = decision(row, rules)
    return encode(replace(by_hand, score=number(by_hand.score), probability=number(by_hand.probability)))


def number(value: float) -> Any:
    return msgspec.Raw(orjson.dumps(value))


@SEEDED
@given(decided=st.lists(rows(), max_size=4))
def test_decisions_are_byte_for_byte_those_that_msgspec_writes(decided: list[Any]) -> None:
    found = written(decided)
    assert one_by_one(found) == [as_msgspec(row) for row in decided]
    assert [decode(each, Decision) for each in one_by_one(found)] == [decision(row) for row in decided]
    assert [str(UUID(bytes=each.tobytes())) for each in found.ids] == [decision(row).decision_id for row in decided]
    assert found.ends[-1] == len(found.data)


def row(**changes: Any) -> Any:
    """A plain one."""
    plain = {
        "tenant": "default", "payer": "a", "payment_id": "p", "time": 5, "partition": 0, "offset": 7, "score": 0.5,
        "chance": 0.25, "leading": [-1, -1, -1], "outcomes": [NO_HIT] * len(RULES), "detail": None,
    }  # fmt: skip
    assert changes.keys() <= plain.keys()
    return tuple((plain | changes).values())


def test_what_a_plain_decision_looks_like() -> None:
    (line,) = one_by_one(written([row(leading=[1, 0, -1], outcomes=[HIT, NO_HIT, ERROR, HIT])]))
    identity = decision_id("default", "a", "p", HASH)
    assert line.decode() == (
        f'{{"decision_id":"{identity}","payment_id":"p","tenant":"default","event_time_ms":5,"outcome":"pass",'
        f'"score":0.5,"probability":0.25,"model_version":7,"model":"{"a" * 12}","ruleset":"{"b" * 12}",'
        f'"feature_schema":"{"c" * 12}","origin":{{"partition":0,"offset":7}},"reasons":["feature_x","feature_"],'
        '"rules":["burst","x.y_z"],"unmeasured":["new-corridor-new-payee"]}'
    )


def test_an_empty_list_is_not_written() -> None:
    (line,) = one_by_one(written([row()]))
    assert not {"reasons", "rules", "unmeasured", "review"} & json.loads(line).keys()


@pytest.mark.parametrize(
    "name",
    [
        '"',
        "\\",
        '"' * 128,
        "\\" * 128,
        '\\"' * 64,
        "\\u0000",
        "/",
        "ä",
        "\x80",
        "\u2028\u2029",
        "\ufeff",
        "\U0001f3e6" * 128,
    ],
)
def test_names_are_escaped_as_json_asks(name: str) -> None:
    """The longest, too: the buffer has room for two bytes where one was."""
    decided = [row(tenant=name, payer=name, payment_id=name), row(), row(payment_id=name)]
    assert one_by_one(written(decided)) == [as_msgspec(each) for each in decided]


@pytest.mark.parametrize("score", [0.0, -0.0, 5e-324, -5e-324, 1e-7, 1e15, 1e16, 1e22, 1.7976931348623157e308, 1 / 3])
def test_a_number_reads_back_to_the_bit(score: float) -> None:
    (line,) = one_by_one(written([row(score=score, chance=-score)]))
    read_back = decode(line, Decision)
    assert (bits(read_back.score), bits(read_back.probability)) == (bits(score), bits(-score))


def bits(value: float) -> bytes:
    return np.float64(value).tobytes()


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_null_and_no_reader_takes_it_for_a_decision(score: float) -> None:
    """As msgspec writes it; the decisions around it are whole."""
    good, bad, last = one_by_one(written([row(), row(score=score), row(offset=8)]))
    assert bad == encode(decision(row(score=score)))
    found = read(bad, Decision, "invalid")
    assert isinstance(found, Rejection)
    assert found.field == "score"
    assert [decode(each, Decision).origin.offset for each in (good, last)] == [7, 8]


@pytest.mark.parametrize("value", [0, 9, 10, 99, 100, 10**9 - 1, 10**9, 2**31 - 1])
def test_whole_numbers_have_as_many_digits_as_they_need(value: int) -> None:
    decided = [row(time=value, partition=value, offset=value), row(offset=2**63 - 1), row(time=EVENT_TIME_MS_MAX)]
    assert one_by_one(written(decided)) == [as_msgspec(each) for each in decided]


def test_without_rules_and_without_reasons_there_is_room_for_everything_else() -> None:
    decided = [row(outcomes=[], payment_id='"' * 128, offset=2**63 - 1, score=-1.2345678901234567e-300)] * 3
    assert one_by_one(written(decided, rules=())) == [as_msgspec(each, ()) for each in decided]


def test_rules_may_all_hit_or_none_be_able_to_run() -> None:
    decided = [row(outcomes=[outcome] * len(RULES), leading=[8, 7, 6]) for outcome in (HIT, ERROR, NO_HIT)]
    assert one_by_one(written(decided)) == [as_msgspec(each) for each in decided]


def test_of_no_decision_there_is_no_line() -> None:
    found = written([])
    assert (found.data.tobytes(), found.ends.tolist(), found.ids.shape) == (b"", [0], (0, 16))


@pytest.mark.parametrize("length", range(130))
def test_ids_fit_wherever_names_end_in_the_blocks_of_sha1(length: int) -> None:
    decided = [row(payment_id="x" * max(length, 1), tenant="y" * max(128 - length, 1), payer="z" * (length % 7 + 1))]
    assert one_by_one(written(decided)) == [as_msgspec(each) for each in decided]

"""Labels in the logs: what hops make of their records, and that a replay serves what workers do."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from services.contract.codec import encode
from services.contract.dead_letter import read_dead_letter
from services.contract.events import PAYMENT_LABEL, cloud_event
from services.contract.handover import LABEL, OUTFLOW
from services.contract.handover import PAYMENT as PAID
from services.contract.label import PaymentLabel
from services.contract.payment import Party, Payment
from services.scorer.path.features.registry import INDEX, NAMES, PAYER_HOP
from services.scorer.path.features.rows import LABEL_IDS
from services.scorer.path.hops import PayeeHop, PayerHop
from services.scorer.path.records import Outbound, Record
from services.scorer.path.replay import Replay, label_record
from services.scorer.path.scoring.model import untrained_model
from tests.scorer.path.logs import DAY_MS, NO_HORIZON, PARAMETERS, START_MS, Mixed, labelled, payment, seeded_log
from tests.scorer.path.runs import LABELLED, payee_log, payee_matrix, payer_matrix, row_of, run_payee, run_payer
from tests.scorer.path.test_hops import APPENDED_MS, RULESET, SCHEMA
from tests.support.handed import columns_of, rows_handed
from tests.support.served import features_of, rows_of

MODEL = untrained_model(SCHEMA)


def records_of(log: Mixed) -> list[Record]:
    """The log as ``payments.v1`` holds it."""
    return [
        label_record(each, at, APPENDED_MS)
        if isinstance(each, PaymentLabel)
        else Record(at, max(APPENDED_MS, each.event_time_ms), each.payer.account.encode(), encode(each))
        for at, each in enumerate(log)
    ]


LOG = records_of(labelled(seeded_log(seed=21, length=250), seed=4))


def handed_of(records: Sequence[Record], cuts: Sequence[int] = (), partitions: int = 1) -> list[Outbound]:
    hop = PayerHop(RULESET, "payments.v1", 0, partitions)
    edges = sorted({0, len(records), *(cut for cut in cuts if cut < len(records))})
    return [
        record
        for start, stop in pairwise(edges)
        for record in hop.process(records[start:stop], MODEL).outputs["payments_by_payee"]
    ]


def decided(handed: Sequence[Outbound], cuts: Sequence[int] = ()) -> tuple[list[Outbound], list[Outbound]]:
    """Decisions, and records of what they were made of."""
    hop = PayeeHop(RULESET, "by-payee", 0, 1, 1)
    read = [Record(at, each.timestamp, each.key, each.value) for at, each in enumerate(handed)]
    edges = sorted({0, len(read), *(cut for cut in cuts if cut < len(read))})
    outputs = [hop.process(read[start:stop], MODEL).outputs for start, stop in pairwise(edges)]
    decisions, features = ([each for made in outputs for each in made[role]] for role in ("decisions", "features"))
    return decisions, features


def label_of(of: Payment, confirmed: bool = True, **changes: object) -> PaymentLabel:
    plain = PaymentLabel(
        of.payment_id, of.payer.account, of.payee.account, of.event_time_ms, confirmed, of.amount_minor / 100, 1.0
    )
    return structs.replace(plain, **changes)


# --- the whole path --------------------------------------------------------------------------------------------------


@settings(derandomize=True, max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(1, 600), max_size=12), others=st.lists(st.integers(1, 600), max_size=12))
def test_how_logs_with_labels_are_cut_changes_no_byte(cuts: list[int], others: list[int]) -> None:
    whole, parts = handed_of(LOG), handed_of(LOG, cuts)
    assert rows_handed(parts) == rows_handed(whole)
    (decisions, features), (cut, cut_features) = decided(whole), decided(parts, others)
    assert cut == decisions
    assert rows_of(cut_features) == rows_of(features)


def test_labels_stand_among_payments_in_the_order_of_the_log() -> None:
    kinds = set()
    for at in range(3):
        columns = [columns_of(each) for each in handed_of(LOG, (), 3) if each.partition == at]
        offsets = [offset for each in columns for offset in each.arrays["offset"].tolist()]
        assert offsets == sorted(offsets)
        kinds |= {kind for each in columns for kind in each.arrays["kind"].tolist()}
    assert kinds == {PAID, OUTFLOW, LABEL}


@settings(derandomize=True, max_examples=10, deadline=None)
@given(cuts=st.lists(st.integers(1, 600), max_size=6))
def test_a_replay_with_labels_among_the_payments_serves_what_workers_serve(cuts: list[int]) -> None:
    served = decided(handed_of(LOG))[1]
    replay, payments, rows = Replay(RULESET), [], []
    for start, stop in pairwise(sorted({0, len(LOG), *(cut for cut in cuts if cut < len(LOG))})):
        found, features = replay.measure(LOG[start:stop])
        payments += [each.payment_id for each in found]
        rows += [row.tobytes() for row in features]
    assert [(each.payment_id, each.features) for each in rows_of(served)] == list(zip(payments, rows, strict=True))
    assert len(set(features_of(served)[:, INDEX["payee_confirmed_share_30d"]].tolist())) > 10


def test_a_label_feeds_the_payers_and_the_payees_next_payments_and_no_others() -> None:
    first, other = payment(0), payment(1, payer=Party("C"), payee=Party("D"))
    later = [payment(2, payee=Party("E")), payment(3, payer=Party("F")), payment(4, payer=Party("C"), payee=Party("D"))]
    log = records_of((first, other, label_of(first), *later))
    rows = Replay(RULESET).measure(log)[1][2:]
    assert rows[:, INDEX["payer_confirmed_share_30d"]].tolist() == [1.0, 0.0, 0.0]
    assert rows[:, INDEX["payee_confirmed_share_7d"]].tolist() == [0.0, 1.0, 0.0]


def test_a_label_of_another_tenant_is_another_accounts() -> None:
    first = payment(0)
    log = records_of((first, label_of(first, tenant="other"), payment(1)))
    row = Replay(RULESET).measure(log)[1][-1]
    assert (row[INDEX["payer_confirmed_share_30d"]], row[INDEX["payee_confirmed_share_30d"]]) == (0.0, 0.0)


# --- repeats ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("between", "repeats"), [(0, 1), (LABEL_IDS - 1, 1), (LABEL_IDS, 0)])
def test_a_label_that_comes_again_counts_once_among_the_payers_latest(between: int, repeats: int) -> None:
    payments = [payment(at) for at in range(between + 1)]
    log = records_of((*payments, *map(label_of, payments), label_of(payments[0]), payment(99)))
    hop = PayerHop(RULESET, "payments.v1", 0, 1)
    result = hop.process(log, MODEL)
    assert (result.counts["label"], result.counts["label_duplicate"]) == (between + 2 - repeats, repeats)
    count = Replay(RULESET).measure(log)[1][-1, INDEX["payee_confirmed_run"]]
    assert count == between + 2 - repeats


def test_a_label_that_is_handed_over_again_counts_once() -> None:
    first = payment(0)
    handed = handed_of(records_of((first, label_of(first), payment(1, payer=Party("C")))), (1, 2))
    hop = PayeeHop(RULESET, "by-payee", 0, 1, 1, repeats_possible=True)
    for again in range(2):
        read = [Record(3 * again + at, each.timestamp, each.key, each.value) for at, each in enumerate(handed)]
        hop.process(read, MODEL)
    row = row_of(hop.state, "B")
    assert (hop.state.pools(0)["labels"].rows[row["labels_at"]]["labels"], row["payments"]) == (1, 2)


# --- what cannot be read, and what is forged -------------------------------------------------------------------------

GOOD = encode(label_of(payment(0)))


@pytest.mark.parametrize(
    ("key", "value", "reason", "field"),
    [
        (b"A", None, "payment_label_invalid", ""),
        (b"A", b"{", "payment_label_invalid", ""),
        (b"A", b"[]", "payment_label_invalid", ""),
        (b"A", encode(payment(0)), "payment_label_invalid", "payer"),
        (b"A", GOOD.replace(b"true", b"1"), "payment_label_invalid", "confirmed"),
        (b"A", GOOD.replace(b"50.0", b"-1"), "payment_label_invalid", "amount_eur"),
        (b"A", GOOD.replace(b"50.0", b"1e300"), "payment_label_invalid", "amount_eur"),
        (b"A", GOOD.replace(b"50.0", b"1e400"), "payment_label_invalid", "amount_eur"),
        (b"B", GOOD, "key_mismatch", "key"),
        (None, GOOD, "key_mismatch", "key"),
    ],
)
def test_a_label_that_cannot_be_read_is_put_aside_as_it_came(
    key: bytes | None, value: bytes | None, reason: str, field: str
) -> None:
    record = Record(7, APPENDED_MS, key, value, cloud_event(PAYMENT_LABEL, "l"))
    result = PayerHop(RULESET, "payments.v1", 0, 1).process([record], MODEL)
    (letter,) = result.outputs["dead_letters"]
    said = read_dead_letter(letter.headers)
    assert (letter.key, letter.value) == (key, value or b"")
    assert (said.reason, said.field, said.offset) == (reason, field, 7)
    assert result.outputs["payments_by_payee"] == []


def test_only_the_header_makes_a_label() -> None:
    record = Record(0, APPENDED_MS, b"A", GOOD, cloud_event("payment.v1", "l"))
    result = PayerHop(RULESET, "payments.v1", 0, 1).process([record], MODEL)
    assert result.reasons == {"field_invalid": 1}


def test_a_label_from_the_future_moves_no_time() -> None:
    first = payment(0)
    forged = label_of(first, event_time_ms=START_MS + 3_000 * DAY_MS)
    log = (first, forged, payment(1))
    run = run_payer(log, PARAMETERS)
    payee = run_payee(payee_log(log, run, PARAMETERS), PARAMETERS)
    for state in (run.state, payee.state):
        assert state.latest_event_ms == START_MS + 60_000
    assert payer_matrix(run)[-1, INDEX["payer_payments_total"]] == 1.0
    assert payee_matrix(payee)[-1, INDEX["payee_confirmed_run_age"] - len(PAYER_HOP)] == pytest.approx(1 / 1_440)


# --- state -----------------------------------------------------------------------------------------------------------


def test_without_labels_nobody_has_a_row_for_them() -> None:
    log = seeded_log(seed=11, length=400)
    run = run_payer(log, NO_HORIZON)
    payee = run_payee(payee_log(log, run, NO_HORIZON), NO_HORIZON)
    for state in (run.state, payee.state):
        assert len(state) > 0
        assert not state.rows["labels_at"].any()


def test_a_label_of_an_account_that_is_not_known_makes_no_row() -> None:
    run = run_payer([label_of(payment(0))], PARAMETERS)
    assert (len(run.state), run.verdicts) == (0, [LABELLED])
    assert len(run_payee([label_of(payment(0))], PARAMETERS).state) == 0


def test_a_compromised_payee_shows_its_run_and_since_when() -> None:
    days = [payment(at, event_time_ms=START_MS + at * DAY_MS, payer=Party(f"P{at}")) for at in range(12)]
    log: Mixed = (
        *days[:6],
        label_of(days[0], False),
        label_of(days[2]),
        label_of(days[3], False, amount_over_cleared=9.0),  # too large for its payer: says nothing of the payee
        label_of(days[4]),
        days[11],
    )
    run = run_payer(log, NO_HORIZON)
    row = payee_matrix(run_payee(payee_log(log, run, NO_HORIZON), NO_HORIZON))[-1]
    values = dict(zip(NAMES[len(PAYER_HOP) :], row.tolist(), strict=True))
    assert values["payee_confirmed_run"] == 2
    assert values["payee_confirmed_run_age"] == 9
    assert values["payee_confirmed_run_gap"] == 2
    assert values["payee_cleared_gap"] == 11

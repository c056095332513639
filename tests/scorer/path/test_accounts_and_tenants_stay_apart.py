"""One account, tenant or payment is nothing to another, in whatever order they come; a repeat is none to its own."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.contract.codec import Rejection, decode_payment, encode
from services.contract.label import PaymentLabel
from services.contract.payment import Party, Payment
from services.scorer.path.features.identities import DUPLICATE, FORWARD, STATUS_UPDATE
from services.scorer.path.features.inputs import corridor_slots, payer_rows
from services.scorer.path.features.payee import payee_features
from services.scorer.path.features.payer import payer_features
from services.scorer.path.features.registry import INDEX
from services.scorer.path.features.state import account_key
from services.scorer.path.features.tokens import write_linked
from tests.scorer.path.logs import NO_HORIZON, PARAMETERS, SEEDED, START_MS, Log, after, logs, payment, seeded_log
from tests.scorer.path.runs import (
    PRIVATE,
    corridor_of,
    digests,
    inputs_of,
    nothing_labelled,
    onward,
    payee_log,
    payee_state,
    payer_matrix,
    payer_state,
    run_payee,
    run_payer,
)


def test_the_arrays_that_a_kernel_reads_are_left_as_they_were() -> None:
    log = seeded_log(seed=9, length=200)
    inputs = payer_rows(log, PARAMETERS.eur_per_minor_unit(), PRIVATE)
    state = payer_state(PARAMETERS)
    accounts = digests(*((p.tenant, p.payer.account) for p in log))
    onwards = np.ones(len(log), dtype=np.bool_)
    inputs["now_ms"] = now_ms = state.times(inputs["event_ms"], inputs["payer"])[1:]
    slots, _ = state.slots(accounts, inputs["event_ms"], now_ms, onwards)
    before, slots_before = inputs.tobytes(), slots.copy()
    corridors = corridor_slots(inputs, corridor_of(log), state.corridors)
    features, *_ = payer_features(inputs, slots, corridors, state, PARAMETERS, *nothing_labelled())
    members = (inputs["payee"], inputs["payer"])
    write_linked(features, onwards, log, members, state.tokens, now_ms, PRIVATE.texts.digest)
    assert inputs.tobytes() == before
    np.testing.assert_array_equal(slots, slots_before)

    unlabelled = [each for each in onward(log) if not isinstance(each, PaymentLabel)]
    noted, keys = inputs_of(unlabelled, PARAMETERS)
    seen = payee_state(PARAMETERS)
    noted["now_ms"] = seen.times(noted["event_ms"], noted["payer"])[1:]
    slots, _ = seen.slots(keys, noted["event_ms"], noted["now_ms"], ~noted["outflow"])
    before, slots_before = noted.tobytes(), slots.copy()
    payee_features(noted, slots, seen, PARAMETERS, *nothing_labelled())
    assert noted.tobytes() == before
    np.testing.assert_array_equal(slots, slots_before)


def interleaved(log: Log, seed: int) -> list[int]:
    """Positions of ``log`` in another order that keeps the order of each payer's payments."""
    queues: dict[tuple[str, str], list[int]] = defaultdict(list)
    for at, each in enumerate(log):
        queues[each.tenant, each.payer.account].append(at)
    source, order = random.Random(seed), []
    while queues:
        key = source.choice(sorted(queues))
        order.append(queues[key].pop(0))
        if not queues[key]:
            del queues[key]
    return order


@SEEDED
@given(log=logs(), seed=st.integers(0, 2**32 - 1))
def test_the_order_among_different_payers_changes_no_payers_features(log: Log, seed: int) -> None:
    order = interleaved(log, seed)
    straight = without_shared_tokens(run_payer(log, NO_HORIZON).rows)
    mixed = without_shared_tokens(run_payer([log[at] for at in order], NO_HORIZON).rows)
    assert mixed == [straight[at] for at in order]


def without_shared_tokens(rows: Sequence[bytes]) -> list[bytes]:
    """What is carried of each payment, less the features that are of the whole partition."""
    start, stop = (8 * INDEX[name] for name in ("payee_linked_payees", "payee_linked_payers"))
    return [row[:start] + row[stop + 8 :] for row in rows]


def test_another_account_matters_only_through_the_watermark() -> None:
    mine = [payment(0), payment(1)]
    others = [after(91, 2, payer=Party("other")), after(91, 3, payer=Party("another"))]
    total = INDEX["payer_payments_total"]
    assert payer_matrix(run_payer([*mine, *others], PARAMETERS))[1, total] == 1.0
    assert payer_matrix(run_payer([mine[0], others[0], mine[1]], PARAMETERS))[2, total] == 1.0
    assert payer_matrix(run_payer([mine[0], *others, mine[1]], PARAMETERS))[3, total] == 0.0


def of_tenant(tenant: str, log: Sequence[Payment], rows: Sequence[bytes]) -> list[bytes]:
    return [row for each, row in zip(log, rows, strict=True) if each.tenant == tenant]


@SEEDED
@given(log=logs())
def test_a_tenant_never_sees_what_another_tenant_does(log: Log) -> None:
    """But for the partition's time, by which tokens are forgotten."""
    alone = [each for each in log if each.tenant == "other"]
    together = of_tenant("other", log, run_payer(log, NO_HORIZON).rows)
    assert without_shared_tokens(together) == without_shared_tokens(run_payer(alone, NO_HORIZON).rows)

    everybody = payee_log(log, run_payer(log, NO_HORIZON), NO_HORIZON)
    tenants = [each[0].tenant if isinstance(each, tuple) else each.tenant for each in everybody]
    rows = run_payee(everybody, NO_HORIZON).rows
    mine = [each for each, tenant in zip(everybody, tenants, strict=True) if tenant == "other"]
    seen = [row for row, tenant in zip(rows, tenants, strict=True) if tenant == "other"]
    assert seen == run_payee(mine, NO_HORIZON).rows


def test_the_same_ids_and_accounts_under_two_tenants_are_different_payments_and_accounts() -> None:
    log = [payment(0), payment(0, tenant="other")]
    run = run_payer(log, PARAMETERS)
    assert run.verdicts == [FORWARD, FORWARD]
    assert len(run.state) == 2
    assert run.rows[0] == run.rows[1]


def test_no_two_tenants_can_be_made_to_share_an_account_key() -> None:
    """Either such a payment is refused by the contract, or the keys differ."""
    first = payment(0, tenant="a", payer=Party("b\x1fc"))
    second = payment(0, tenant="a\x1fb", payer=Party("c"))
    refused = any(isinstance(decode_payment(encode(each)), Rejection) for each in (first, second))
    keys = {account_key(each.tenant.encode(), each.payer.account.encode()) for each in (first, second)}
    assert refused or len(keys) == 2


def test_a_repeated_payment_changes_no_state_but_the_watermark() -> None:
    log = [payment(0), payment(1, payee=Party("C"))]
    once = run_payer([*log, payment(2)], PARAMETERS)
    again = run_payer([*log, log[0], log[1], log[0], payment(2)], PARAMETERS)
    assert again.verdicts == [FORWARD, FORWARD, DUPLICATE, DUPLICATE, DUPLICATE, FORWARD]
    assert again.rows[-1] == once.rows[-1]


def test_a_refusal_that_comes_later_counts_as_a_refusal_and_not_as_a_payment() -> None:
    log = [payment(0), payment(0, status="rejected"), payment(1, event_time_ms=START_MS)]
    run = run_payer(log, PARAMETERS)
    assert run.verdicts == [FORWARD, STATUS_UPDATE, FORWARD]
    found = payer_matrix(run)[1]
    assert (found[INDEX["payer_refused_1d"]], found[INDEX["payer_payments_total"]]) == (1.0, 1.0)


def test_a_processor_that_sends_a_whole_sequence_of_statuses_again_changes_no_state() -> None:
    sequence = [payment(0, status="attempted"), payment(0, status="rejected")]
    probe = payment(1, event_time_ms=START_MS)
    once, twice = run_payer([*sequence, probe], PARAMETERS), run_payer([*sequence, *sequence, probe], PARAMETERS)
    assert twice.verdicts == [FORWARD, STATUS_UPDATE, DUPLICATE, DUPLICATE, FORWARD]
    assert twice.rows[-1] == once.rows[-1]

"""The contract of both hops' state: how a log is cut, where a worker dies and when memory is freed change no bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contract.payment import Party
from services.scorer.path.features.registry import INDEX, PAYER_HOP
from services.scorer.path.features.rows import PAYEE_ROW
from services.scorer.path.features.state import AccountState
from services.scorer.path.features.state_format import StateFormatError
from tests.scorer.path.features.twin_views import Outflow
from tests.scorer.path.logs import (
    DAY_MS,
    HORIZON_MS,
    NO_HORIZON,
    PARAMETERS,
    SEEDED,
    START_MS,
    Mixed,
    after,
    crowded_log,
    labelled,
    mixed_logs,
    payment,
    seeded_log,
)
from tests.scorer.path.runs import (
    CARRIED_BYTES,
    Entries,
    PayeeRecord,
    Run,
    compacted,
    digests,
    living,
    onward,
    payee_matrix,
    payee_state,
    payer_matrix,
    payer_state,
    restored,
    run_payee,
    run_payer,
)

CUTS = st.lists(st.integers(1, 60), max_size=8)


@SEEDED
@given(log=mixed_logs(), cuts=CUTS)
def test_how_the_payer_log_is_cut_into_batches_changes_no_bit(log: Mixed, cuts: list[int]) -> None:
    whole, cut = run_payer(log, PARAMETERS), run_payer(log, PARAMETERS, cuts)
    assert whole.rows == cut.rows
    assert whole.verdicts == cut.verdicts
    assert living(whole.entries, whole.state, PARAMETERS) == living(cut.entries, cut.state, PARAMETERS)


@SEEDED
@given(log=mixed_logs(), cuts=CUTS)
def test_how_the_payee_log_is_cut_into_batches_changes_no_bit(log: Mixed, cuts: list[int]) -> None:
    records = onward(log)
    whole, cut = run_payee(records, PARAMETERS), run_payee(records, PARAMETERS, cuts)
    assert whole.rows == cut.rows
    assert living(whole.entries, whole.state, PARAMETERS) == living(cut.entries, cut.state, PARAMETERS)


@pytest.mark.parametrize(
    "log",
    [labelled(seeded_log(seed=3, length=1_500), seed=1), labelled(crowded_log(seed=4, length=500), seed=2)],
    ids=["any", "crowd"],
)
def test_one_record_at_a_time_gives_the_bits_of_one_batch_over_a_long_log(log: Mixed) -> None:
    everywhere = range(1, 8_000)
    records = onward(log)
    assert run_payer(log, PARAMETERS).rows == run_payer(log, PARAMETERS, everywhere).rows
    assert run_payee(records, PARAMETERS).rows == run_payee(records, PARAMETERS, everywhere).rows


def assert_crash_is_invisible(whole: Run, before: Run, after: Run) -> None:
    assert before.rows + after.rows == whole.rows
    assert before.verdicts + after.verdicts == whole.verdicts
    left = living(before.entries + after.entries, after.state, PARAMETERS)
    assert left == living(whole.entries, whole.state, PARAMETERS)


@SEEDED
@given(log=mixed_logs(), cuts=CUTS, crash=st.integers(0, 60), compact=st.booleans())
def test_a_payer_hop_restored_from_its_changelog_goes_on_as_if_nothing_had_happened(
    log: Mixed, cuts: list[int], crash: int, compact: bool
) -> None:
    before = run_payer(log[:crash], PARAMETERS, cuts)
    state = restored(payer_state(PARAMETERS), compacted(before.entries) if compact else before.entries)
    after = run_payer(log[crash:], PARAMETERS, cuts, state)
    assert_crash_is_invisible(run_payer(log, PARAMETERS), before, after)


@SEEDED
@given(log=mixed_logs(), cuts=CUTS, crash=st.integers(0, 90), compact=st.booleans())
def test_a_payee_hop_restored_from_its_changelog_goes_on_as_if_nothing_had_happened(
    log: Mixed, cuts: list[int], crash: int, compact: bool
) -> None:
    records = onward(log)
    before = run_payee(records[:crash], PARAMETERS, cuts)
    state = restored(payee_state(PARAMETERS), compacted(before.entries) if compact else before.entries)
    after = run_payee(records[crash:], PARAMETERS, cuts, state)
    assert_crash_is_invisible(run_payee(records, PARAMETERS), before, after)


@pytest.mark.parametrize("log", [labelled(seeded_log(5, 300), 1), crowded_log(6, 300)], ids=["any", "crowd"])
def test_a_worker_that_dies_after_every_batch_loses_nothing(log: Mixed) -> None:
    entries: Entries = []
    rows: list[bytes] = []
    for start in range(0, len(log), 7):
        state = restored(payer_state(PARAMETERS), compacted(entries))
        run = run_payer(log[start : start + 7], PARAMETERS, state=state)
        entries += run.entries
        rows += run.rows
    assert rows == run_payer(log, PARAMETERS).rows


def test_a_payee_worker_that_dies_after_every_batch_loses_nothing() -> None:
    records = onward(labelled(crowded_log(seed=6, length=300), seed=3))
    entries: Entries = []
    rows: list[bytes] = []
    for start in range(0, len(records), 7):
        state = restored(payee_state(PARAMETERS), compacted(entries))
        run = run_payee(records[start : start + 7], PARAMETERS, state=state)
        entries += run.entries
        rows += run.rows
    assert rows == run_payee(records, PARAMETERS).rows


def test_the_crowd_knows_its_corridors() -> None:
    """Or no crash of the crowd would show that baselines come back."""
    found = payer_matrix(run_payer(crowded_log(seed=6, length=300), PARAMETERS))[:, INDEX["amount_against_corridor"]]
    assert (~np.isnan(found)).sum() >= 20


def test_the_partitions_own_entry_brings_watermark_and_origins_back() -> None:
    state = payee_state(PARAMETERS)
    state.clock[:], state.origins[:] = [START_MS, START_MS + 9, 7, 8], [17, -1]
    back = restored(payee_state(PARAMETERS), state.checkpoint(0))
    assert back.clock.tolist() == [START_MS, START_MS + 9, 7, 8]
    assert back.origins.tolist() == [17, -1]


@SEEDED
@given(log=mixed_logs(), cuts=CUTS)
def test_when_idle_rows_are_physically_freed_changes_no_bit(log: Mixed, cuts: list[int]) -> None:
    records = onward(log)
    never = payer_state(NO_HORIZON), payee_state(NO_HORIZON)
    assert run_payer(log, PARAMETERS, cuts).rows == run_payer(log, PARAMETERS, state=never[0]).rows
    assert run_payee(records, PARAMETERS, cuts).rows == run_payee(records, PARAMETERS, state=never[1]).rows


def test_an_idle_account_is_gone_and_its_row_is_reused_clean() -> None:
    used = [payment(at, payer=Party("old"), payee=Party(f"B{at}", country="PH")) for at in range(20)]
    state = payer_state(PARAMETERS)
    run_payer(used, PARAMETERS, state=state)
    run_payer([after(91, 50, payer=Party("new")), after(91, 51, payer=Party("new too"))], PARAMETERS, state=state)
    assert len(state) == 2
    assert state.known_slots(digests(("default", "old"))).tolist() == [-1]
    size = state.nbytes
    log = [after(92, at, payer=Party("newest"), payee=Party("B1", country="PH")) for at in range(60, 64)]
    reused = run_payer(log, PARAMETERS, state=state)
    assert (state.nbytes, len(state)) == (size, 3)
    assert reused.rows == run_payer(log, PARAMETERS).rows


def test_an_account_that_is_gone_by_the_end_of_the_batch_that_touched_it_is_gone_after_a_restore() -> None:
    new = [after(91, at, payer=Party(f"new {at}")) for at in (1, 2)]
    run = run_payer([payment(0, payer=Party("old")), *new], PARAMETERS)
    assert len(restored(payer_state(PARAMETERS), run.entries)) == len(run.state) == 2


def test_memory_is_bounded_by_the_accounts_within_the_horizon() -> None:
    """20,000 accounts, each seen once, a thousand at a time within the horizon."""
    state = payer_state(PARAMETERS)
    for week in range(20):
        batch = [
            after(91 * week, week * 1_000 + at, payer=Party(f"A{week}-{at}"), payee=Party("B")) for at in range(1_000)
        ]
        run_payer(batch, PARAMETERS, state=state)
    assert len(state) == 1_000
    assert len(state.rows) <= 2_048


def test_memory_is_bounded_whatever_an_account_does() -> None:
    state = payer_state(NO_HORIZON)
    log = [payment(at, payee=Party(f"B{at}", country="PH")) for at in range(3_000)]
    run_payer(log[:100], NO_HORIZON, state=state)
    assert state.identities is not None
    size = state.nbytes - state.identities.nbytes
    run_payer(log[100:], NO_HORIZON, range(100, 3_000, 100), state)
    assert state.nbytes - state.identities.nbytes < 1.05 * size


def test_a_payee_row_that_an_outflow_found_idle_is_freed() -> None:
    state = payee_state(PARAMETERS)
    row = bytes(CARRIED_BYTES)
    run_payee([(payment(0, payee=Party("old")), row)], PARAMETERS, state=state)
    late = START_MS + HORIZON_MS + DAY_MS
    run_payee([Outflow("default", "old", late, 10.0)], PARAMETERS, state=state)
    run_payee([(after(200, 1, payee=Party("other")), row)], PARAMETERS, state=state)
    run_payee([(after(400, 2, payee=Party("another")), row)], PARAMETERS, state=state)
    assert state.known_slots(digests(("default", "old"))).tolist() == [-1]


def test_state_of_another_layout_is_refused_with_the_way_out() -> None:
    entries = run_payer([payment(0)], PARAMETERS).entries
    with pytest.raises(StateFormatError, match="delete the changelog topic and the group's offsets"):
        payee_state(PARAMETERS).restore(entries)


def test_a_refused_changelog_leaves_no_half_restored_account() -> None:
    state = payee_state(PARAMETERS)
    with pytest.raises(StateFormatError):
        state.restore(run_payer([payment(0)], PARAMETERS).entries)
    assert len(state) == 0


def test_accounts_keep_their_rows_while_the_table_grows() -> None:
    state = AccountState(PAYEE_ROW, NO_HORIZON.account_idle_ms, sources=2)
    row = bytes(CARRIED_BYTES)
    log: list[PayeeRecord] = [(payment(at, payee=Party(f"B{at}")), row) for at in range(5_000)]
    run_payee(log, NO_HORIZON, range(500, 5_000, 500), state)
    again = run_payee([(payment(9_000, payee=Party(f"B{at}")), row) for at in range(5_000)], NO_HORIZON, state=state)
    assert payee_matrix(again)[:, INDEX["payee_payments_total"] - len(PAYER_HOP)].tolist() == [1.0] * 5_000

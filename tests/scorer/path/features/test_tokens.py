"""The state of shared tokens: bounded, and the same however its log is cut and after a restore, slots included."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.contract.payment import Party, Payment
from services.scorer.path.features import tokens as tokens_module
from services.scorer.path.features.registry import INDEX
from services.scorer.path.features.state import AccountState
from services.scorer.path.features.tokens import TOKEN_ROW
from tests.scorer.path.features.test_features_equal_their_twins import assert_equal, both
from tests.scorer.path.features.token_twin import groups_before
from tests.scorer.path.features.twin_views import payer_views
from tests.scorer.path.logs import DAY_MS, NO_HORIZON, START_MS, Log, payment, sharing_log
from tests.scorer.path.runs import Entries, Run, compacted, living, payer_matrix, payer_state, restored, run_payer

SEEDED = settings(
    derandomize=True, deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow], database=None
)
SHARING = st.builds(sharing_log, st.integers(0, 2**20), st.integers(1, 90))
CUTS = st.lists(st.integers(1, 90), max_size=8)
NAMES = ["payee_linked_payees", "payee_linked_payers"]


def told(
    at: int, *, days: float = 0.0, payee: str = "B", phone: str | None = None, device: str | None = None
) -> Payment:
    """A remittance that tells these tokens of its payee, by a payer of its own."""
    return payment(
        at,
        event_time_ms=START_MS + round(days * DAY_MS),
        payer=Party(f"A{at}", country="SE"),
        payee=Party(payee, country="PH", phone=phone, device=device),
    )


def passed(days: float) -> list[Payment]:
    """Two payers say what day it is."""
    return [told(1_000 + round(days) + at, days=days) for at in (0, 1)]


def tokens_of(state: AccountState) -> set[int]:
    return set(state.tokens.rows["token"].tolist()) - {0}


def again(entries: Entries) -> AccountState:
    return restored(payer_state(NO_HORIZON), entries)


# --- words -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@SEEDED
@given(log=SHARING)
def test_what_is_linked_equals_its_twin(name: str, log: Log) -> None:
    assert_equal(name, both(log, NO_HORIZON))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", [1, 2])
def test_what_is_linked_equals_its_twin_over_a_long_history(name: str, seed: int) -> None:
    assert_equal(name, both(sharing_log(seed, 400), NO_HORIZON))


def test_the_logs_share_what_they_are_meant_to_share() -> None:
    views, _ = payer_views(sharing_log(1, 400), NO_HORIZON)
    groups = [each for view in views[::10] for each in groups_before(view)]
    assert any(each.is_common for each in groups)
    assert any(len(each.tokens) > 3 for each in groups if not each.is_common)
    sizes = [len(groups_before(view)) for view in views[::10]]
    assert any(later < earlier / 2 for earlier, later in pairwise(sizes)), "nothing is forgotten"


# --- batches and crashes ---------------------------------------------------------------------------------------------


def assert_same_state(one: AccountState, other: AccountState) -> None:
    assert one.tokens.items() == other.tokens.items()


@SEEDED
@given(log=SHARING, cuts=CUTS)
def test_how_the_log_is_cut_changes_no_bit_and_no_slot(log: Log, cuts: list[int]) -> None:
    whole, cut = run_payer(log, NO_HORIZON), run_payer(log, NO_HORIZON, cuts)
    assert whole.rows == cut.rows
    assert_same_state(whole.state, cut.state)
    assert living(whole.entries, whole.state, NO_HORIZON) == living(cut.entries, cut.state, NO_HORIZON)


@SEEDED
@given(log=SHARING, cuts=CUTS, crash=st.integers(0, 90), compact=st.booleans())
def test_a_crash_is_invisible(log: Log, cuts: list[int], crash: int, compact: bool) -> None:
    whole, before = run_payer(log, NO_HORIZON), run_payer(log[:crash], NO_HORIZON, cuts)
    state = again(compacted(before.entries) if compact else before.entries)
    assert_same_state(state, before.state)
    after = run_payer(log[crash:], NO_HORIZON, cuts, state)
    assert before.rows + after.rows == whole.rows
    assert_same_state(after.state, whole.state)
    assert_same_state(again(before.entries + after.entries), whole.state)


def test_a_worker_that_dies_after_every_batch_loses_no_token() -> None:
    log = sharing_log(seed=3, length=400)
    entries: Entries = []
    rows: list[bytes] = []
    for start in range(0, len(log), 9):
        run = run_payer(log[start : start + 9], NO_HORIZON, state=again(compacted(entries)))
        entries += run.entries
        rows += run.rows
    whole = run_payer(log, NO_HORIZON)
    assert rows == whole.rows
    assert_same_state(again(compacted(entries)), whole.state)


@SEEDED
@given(log=SHARING, cuts=CUTS)
def test_whether_idle_groups_are_dropped_between_batches_changes_no_bit(log: Log, cuts: list[int]) -> None:
    assert run_payer(log, NO_HORIZON, cuts).rows == run_payer(log, NO_HORIZON, log_state=False).rows


# --- bounds ----------------------------------------------------------------------------------------------------------


def test_the_tokens_of_a_forgotten_group_are_gone_and_their_rows_are_taken_lowest_first() -> None:
    state = payer_state(NO_HORIZON)
    run_payer([told(0, phone="1", device="2"), *passed(200), told(1, days=200, phone="3")], NO_HORIZON, state=state)
    first = state.tokens.rows["token"][:3].tolist()
    later = run_payer(
        [*passed(362), told(2, days=362, phone="4"), told(3, days=362, phone="5")], NO_HORIZON, state=state
    )
    assert len(state.tokens) == 3
    assert tokens_of(state).isdisjoint(first[:2])
    assert state.tokens.rows["token"][2] == first[2]
    assert state.tokens.table.used == 3
    assert len(later.state.tokens.rows) == 64


def shared_of(run: Run) -> list[float]:
    """Of the payments that tell tokens."""
    found = payer_matrix(run)[:, INDEX["payee_linked_payees"]]
    return [round(float(each), 2) for each in found[~np.isnan(found)]]


def test_beyond_the_most_tokens_a_new_one_joins_nobody_until_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens_module, "TOKENS_MAX", 2)
    log = [
        told(0, phone="1", payee="B"),
        told(1, phone="2", device="3", payee="C"),
        told(2, phone="2", payee="D"),
        *passed(100),
        told(3, phone="3", payee="E", days=100),
        told(4, phone="3", payee="F", days=100),
        told(5, device="3", payee="F", days=100),
        *passed(362),
        told(6, phone="3", payee="E", days=362),
        told(7, phone="3", payee="F", days=362),
    ]
    whole = run_payer(log, NO_HORIZON)
    assert shared_of(whole) == [1.0, 1.0, 1.0, 1.0, 1.0, 2.01, 1.0, 2.01]
    assert run_payer(log, NO_HORIZON, range(1, 13)).rows == whole.rows
    assert len(whole.state.tokens) == 2


def test_tokens_that_payments_without_them_do_not_need_cost_no_row() -> None:
    run = run_payer([told(0), payment(1, payee=Party("B", phone="1"))], NO_HORIZON)
    assert (len(run.state.tokens), run.state.tokens.table.used) == (0, 0)


def test_rows_grow_and_keep_what_they_hold() -> None:
    log = [told(at, phone=f"{at % 500}", payee=f"B{at}") for at in range(1_000)]
    run = run_payer(log, NO_HORIZON, range(100, 1_000, 100))
    assert len(run.state.tokens) == 500
    assert TOKEN_ROW.itemsize == 40
    found = payer_matrix(run)[:, INDEX["payee_linked_payees"]]
    assert np.all(found[:500] == 1.0)
    assert np.count_nonzero(found[500:] > 2.0) > 480  # but for those whose payees' bits are the same


def test_what_a_changelog_holds_of_a_token_is_no_text_of_it() -> None:
    phone = "+46701234567"
    entries = run_payer([told(0, phone=phone)], NO_HORIZON).entries
    assert not any(phone.encode() in key + (value or b"") for key, value in entries)

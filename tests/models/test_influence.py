"""What bounds the influence of labels: one account's share of the latest, and one label's weight."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.influence import MEDIANS_MAX, AccountLimit, bounded_weights

told_labels = st.lists(st.tuples(st.sampled_from("abcd"), st.booleans()), max_size=60)


@given(told_labels, st.integers(1, 12), st.integers(1, 4), st.integers(0, 60))
def test_a_label_is_learned_unless_its_account_has_said_so_too_often_whatever_was_restarted(
    told: list[tuple[str, bool]], window: int, most: int, cut: int
) -> None:
    whole, before = AccountLimit(window, most), AccountLimit(window, most)
    learned = [whole.admits("t", *label) for label in told]
    first = [before.admits("t", *label) for label in told[:cut]]
    after = AccountLimit(window, most, before.pack())
    assert first + [after.admits("t", *label) for label in told[cut:]] == learned
    assert after.pack() == whole.pack()
    for at, (account, suspicious) in enumerate(told):
        latest = [told[each] for each in range(max(0, at - window + 1), at) if learned[each]]
        surplus = latest.count((account, suspicious)) - latest.count((account, not suspicious))
        assert learned[at] == (surplus < most)


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 4))
def test_within_a_window_an_account_says_one_thing_at_most_so_many_times_more_often(
    says: list[bool], most: int
) -> None:
    limit, surplus = AccountLimit(most=most), 0
    for suspicious in says:
        if limit.admits("t", "a", suspicious):
            surplus += 1 if suspicious else -1
        assert abs(surplus) <= most


@given(st.lists(st.tuples(st.booleans(), st.floats(0.01, 1e6)), min_size=1, max_size=30))
def test_no_suspicious_label_outweighs_the_others_and_no_other_is_changed(rows: list[tuple[bool, float]]) -> None:
    labels, weights = (np.array(each) for each in zip(*rows, strict=True))
    bounded = bounded_weights(labels, weights)
    np.testing.assert_array_equal(bounded[~labels], weights[~labels])
    assert (bounded <= weights).all()
    if labels.any():
        assert bounded[labels].max() <= MEDIANS_MAX * np.median(weights[labels])
        np.testing.assert_array_equal(bounded_weights(labels, 2.0 * weights), 2.0 * bounded)

"""The table of decisions and labels: what is written reads back, and nothing in it is from later than it says."""

from __future__ import annotations

from dataclasses import fields, replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.labels import RANKS, resolved
from services.contract.label import Label
from services.scorer.path.features.registry import NAMES
from services.workbench.dataset import UNLABELLED, Dataset, DatasetError, described, joined
from tests.workbench.samples import DAY_MS, SCHEMA, sample

SOURCES = [*RANKS, "somebody"]


def same(one: Dataset, other: Dataset) -> None:
    for each in fields(Dataset):
        np.testing.assert_array_equal(getattr(one, each.name), getattr(other, each.name), err_msg=each.name)


def test_a_data_set_reads_back_as_it_was_written(tmp_path: Path) -> None:
    data = sample(1)
    data.write(tmp_path / "data.parquet")
    same(Dataset.read(tmp_path / "data.parquet"), data)


def test_files_are_joined_in_the_order_of_event_time(tmp_path: Path) -> None:
    data = sample(2)
    for at, rows in enumerate((np.arange(1, 400, 2), np.arange(0, 400, 2))):
        data.chosen(rows).write(tmp_path / f"{at}.parquet")
    same(Dataset.read(tmp_path / "0.parquet", tmp_path / "1.parquet"), data)


def test_a_table_of_another_library_is_taken_as_it_is() -> None:
    data = sample(3)
    found = Dataset.of(data.table().replace_schema_metadata(None))
    np.testing.assert_array_equal(found.features, data.features)
    np.testing.assert_array_equal(found.label, data.label)
    assert found.feature_schema_hash == ""


def test_a_file_without_a_column_or_of_other_features_is_refused(tmp_path: Path) -> None:
    data = sample(4)
    with pytest.raises(DatasetError, match=f"half: has no column {NAMES[3]}"):
        Dataset.of(data.table().drop_columns([NAMES[3]]), "half")
    with pytest.raises(DatasetError, match="2 feature schemas"):
        joined([data, replace(data, feature_schema_hash="cd" * 32)])
    (tmp_path / "not.parquet").write_bytes(b"PAR0")
    with pytest.raises(DatasetError):
        Dataset.read(tmp_path / "not.parquet")


@given(st.integers(0, 70), st.integers(0, 5))
def test_as_of_a_moment_nothing_is_known_that_came_later(day: int, seed: int) -> None:
    data, moment = sample(seed), day * DAY_MS
    then = data.as_of(moment)
    assert len(then) == int((data.event_ms <= moment).sum())
    known = then.label != UNLABELLED
    assert (then.label_ms[known] <= moment).all()
    assert known.sum() == ((data.event_ms <= moment) & (data.label_ms <= moment)).sum()
    assert then.feature_schema_hash == SCHEMA
    same(then.as_of(moment), then)


@given(
    st.lists(
        st.builds(
            Label,
            label_id=st.text("abc", min_size=1, max_size=2),
            payment_id=st.just("p"),
            disposition=st.sampled_from(["suspicious", "not_suspicious"]),
            label_time_ms=st.integers(0, 5),
            source=st.sampled_from(SOURCES),
        ),
        max_size=4,
        unique_by=lambda each: each.label_id,
    ),
    st.integers(0, 5),
)
def test_which_label_counts_does_not_depend_on_the_order_in_which_they_came(labels: list[Label], as_of: int) -> None:
    found = {resolved(order, as_of) for order in permutations(labels)}
    assert len(found) == 1
    (label,) = found
    assert (label is None) == all(each.label_time_ms > as_of for each in labels)


def test_an_authority_is_taken_over_an_analyst_who_spoke_later_and_anybody_over_silence() -> None:
    authority = Label("1", "p", "suspicious", 10, source="authority")
    analyst = Label("2", "p", "not_suspicious", 20, source="analyst")
    silence = Label("3", "p", "not_suspicious", 30, source="matured")
    assert resolved([authority, analyst, silence]) == authority
    assert resolved([analyst, silence]) == analyst
    assert resolved([silence], as_of_ms=29) is None


def test_a_data_set_says_how_many_of_what_it_has() -> None:
    data = sample(5)
    said = described(data)
    assert said["decisions"] == 400
    assert said["labelled"] == int((data.label >= 0).sum()) > said["suspicious"] > 0

"""The store on RocksDB is the map in memory, kept on disk together with its offsets."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.learner.joining.store import Store, StoreError
from tests.learner.streams import MemoryStore

keys = st.binary(min_size=1, max_size=3)
changes = st.dictionaries(keys, st.one_of(st.none(), st.binary(max_size=8)), max_size=8)


@given(writes=st.lists(changes, max_size=5), bounds=st.tuples(keys, keys), limit=st.integers(1, 5))
@settings(max_examples=30, deadline=None)
def test_the_store_is_the_map_in_memory(
    tmp_path_factory: pytest.TempPathFactory,
    writes: list[dict[bytes, bytes | None]],
    bounds: tuple[bytes, bytes],
    limit: int,
) -> None:
    store, twin = Store(tmp_path_factory.mktemp("store")), MemoryStore()
    for each in writes:
        store.write(each)
        twin.write(each)
        assert all(store.get(key) == twin.get(key) for key in each)
        assert store.scan(*bounds, limit) == twin.scan(*bounds, limit)
    store.close()


def test_changes_and_offsets_survive_together(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.offset(("decisions.v1", 3)) == 0
    store.write({b"d1": b"x", b"d2": b"y"}, {("decisions.v1", 3): 42, ("labels.v1", 0): 7})
    store.write({b"d1": None}, {("decisions.v1", 3): 43})
    store.close()
    again = Store(tmp_path)
    assert (again.get(b"d1"), again.get(b"d2")) == (None, b"y")
    assert (again.offset(("decisions.v1", 3)), again.offset(("labels.v1", 0))) == (43, 7)
    assert again.offset(("decisions.v1", 33)) == 0
    again.close()


def test_a_second_learner_on_the_same_folder_is_refused_by_name(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(StoreError, match=str(tmp_path)):
        Store(tmp_path)
    store.close()

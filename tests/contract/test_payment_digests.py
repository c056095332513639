"""Digests of payments are those of tenant and id, wherever the texts lie."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from services.contract.columns import Texts
from services.contract.payment_digests import keys_of, payment_digests, payment_key
from services.contract.siphash import digests_of, key_of
from tests.contract.batches import TEXTS

NAMES = st.lists(st.tuples(TEXTS, TEXTS), max_size=8)


def texts(values: list[str]) -> Texts:
    return Texts.of([value.encode() for value in values])


def plainly(tenant: str, payment_id: str) -> bytes:
    """Written down once more, a byte after the other."""
    name = tenant.encode()
    whole = len(name).to_bytes(2, "big") + name + payment_id.encode()
    low, high = digests_of(whole, key_of(b"tocsin: payments"))
    return high.to_bytes(8, "big") + low.to_bytes(8, "big")


@settings(deadline=None)  # the first compiles
@given(NAMES)
def test_the_digests_of_a_batch_are_those_of_its_payments_one_by_one(names: list[tuple[str, str]]) -> None:
    tenants, payments = ([pair[side] for pair in names] for side in (0, 1))
    found = keys_of(payment_digests(texts(tenants), texts(payments)))
    assert found == [plainly(*pair) for pair in names] == [payment_key(*pair) for pair in names]


@settings(deadline=None)
@given(NAMES, st.integers(0, 8), st.integers(0, 8))
def test_part_of_a_batch_and_arrays_give_the_same_digests(names: list[tuple[str, str]], start: int, count: int) -> None:
    columns = [texts([pair[side] for pair in names]) for side in (0, 1)]
    rows = slice(min(start, len(names)), min(start + count, len(names)))
    whole = payment_digests(*columns)
    assert payment_digests(*(each.part(rows) for each in columns)).tolist() == whole[rows].tolist()
    inside = [each._replace(ends=each.ends[rows.start : rows.stop + 1]) for each in columns]
    assert payment_digests(*inside).tolist() == whole[rows].tolist(), "ends need not begin at 0"
    arrays = [each._replace(data=np.frombuffer(each.data, dtype=np.uint8).copy()) for each in columns]
    assert payment_digests(*arrays).tolist() == whole.tolist()


def test_where_the_tenant_ends_and_the_id_begins_is_part_of_the_digest() -> None:
    assert len({payment_key(*pair) for pair in (("ab", "c"), ("a", "bc"), ("abc", ""), ("", "abc"))}) == 4


def test_keys_are_ordered_as_the_numbers_that_samples_draw() -> None:
    digests = np.array([[2, 0], [1, 9], [1, 2], [2**63, 0]], dtype=np.uint64)
    assert sorted(keys_of(digests)) == keys_of(digests[[2, 1, 0, 3]])

"""UUIDs in compiled code are Python's own, wherever a name's beginning and its end stand in SHA-1's blocks."""

from __future__ import annotations

from hashlib import sha1
from uuid import UUID, uuid5

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contract.identity import decision_id, decision_prefix
from services.contract.uuids import BLOCK, TEXT_BYTES, begun, finish, put_text
from tests.contract.payloads import HASH, SEEDED

NAMESPACE = UUID("8f0c5d7e-6a3b-5c1e-9d2f-4a7b6c8e0d13")


def pythons(name: bytes) -> UUID:
    """As ``uuid.uuid5`` does it, which takes texts alone before Python 3.12."""
    return UUID(bytes=sha1(NAMESPACE.bytes + name, usedforsecurity=False).digest()[:16], version=5)


def of(prefix: bytes, rest: bytes) -> UUID:
    """Of the name that begins with ``prefix`` and ends with ``rest``."""
    start = begun(prefix)
    message = np.full(len(start.rest) + len(rest) + 2 * BLOCK, 0xFF, dtype=np.uint8)
    message[: len(start.rest)] = start.rest
    message[len(start.rest) : len(start.rest) + len(rest)] = np.frombuffer(rest, dtype=np.uint8)
    uuid = np.zeros(16, dtype=np.uint8)
    state, words = np.full(5, 0xFFFFFFFF, dtype=np.uint32), np.full(80, 0xFFFFFFFF, dtype=np.uint32)
    finish(start, message, len(start.rest) + len(rest), state, words, uuid)
    return UUID(bytes=uuid.tobytes())


@pytest.mark.parametrize("length", [*range(202), 1_000, 10_000])
def test_a_uuid_of_a_name_of_any_length_is_pythons(length: int) -> None:
    rest = bytes(at * 7 % 251 for at in range(length))
    assert of(NAMESPACE.bytes, rest) == pythons(rest)


@SEEDED
@given(name=st.binary(max_size=200), cut=st.integers(0, 200))
def test_where_the_beginning_ends_makes_no_difference(name: bytes, cut: int) -> None:
    assert of(NAMESPACE.bytes + name[:cut], name[cut:]) == pythons(name)


def test_many_names_can_end_one_beginning() -> None:
    """Which is left as it was."""
    start = begun(NAMESPACE.bytes + bytes(70))
    before = start.state.tobytes(), start.rest.tobytes()
    for rest in (b"", b"a", bytes(200)):
        assert of(NAMESPACE.bytes + bytes(70), rest) == pythons(bytes(70) + rest)
    assert (start.state.tobytes(), start.rest.tobytes()) == before


NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=0, max_size=128)


@SEEDED
@given(tenant=NAMES, payer=NAMES, payment_id=NAMES)
def test_the_id_of_a_decision_is_the_uuid_of_its_parts(tenant: str, payer: str, payment_id: str) -> None:
    rest = "\x1f".join((tenant, payer, payment_id))
    made = of(decision_prefix(HASH), rest.encode())
    assert made == uuid5(NAMESPACE, f"decision\x1f{HASH}\x1f{rest}")
    assert str(made) == decision_id(tenant, payer, payment_id, HASH)


@SEEDED
@given(uuid=st.uuids(), at=st.integers(0, 9))
def test_a_uuid_as_text_is_as_python_writes_it_and_touches_nothing_beside(uuid: UUID, at: int) -> None:
    out = np.full(at + TEXT_BYTES + 5, ord("."), dtype=np.uint8)
    stop = put_text(np.frombuffer(uuid.bytes, dtype=np.uint8), out, at)
    assert stop == at + TEXT_BYTES
    assert out.tobytes() == b"." * at + str(uuid).encode() + b"." * 5

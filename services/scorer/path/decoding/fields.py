"""The fields of a payment as compiled code knows them, made from the contract's types: each fact is there once."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast, get_args

import msgspec
import numpy as np
from msgspec import inspect
from numba import njit
from numpy.typing import NDArray

from services.contract.payment import Party, Payment

TEXT, NUMBER, PARTY, FLAG = range(4)
"""Kinds of fields."""
_NAME_BYTES = 32
SLOTS = 64


def _field_names(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    return tuple(field.encode_name for field in msgspec.structs.fields(kind))


OF_PAYMENT, OF_PARTY = _field_names(Payment), _field_names(Party)
PAYER_FIRST = len(OF_PAYMENT)
"""Where the payer's fields begin; then come the payee's."""
PAYEE_FIRST = PAYER_FIRST + len(OF_PARTY)
COUNT = PAYEE_FIRST + len(OF_PARTY)
NAMES = (*OF_PAYMENT, *(f"payer_{name}" for name in OF_PARTY), *(f"payee_{name}" for name in OF_PARTY))
AT: Any = cast(Any, namedtuple)("At", NAMES)(*range(COUNT))
"""Where each field stands, by name: ``AT.amount_minor``, ``AT.payee_account``."""


class Rules(NamedTuple):
    """What holds for each field, [COUNT]."""

    kind: NDArray[np.uint8]
    least: NDArray[np.int64]
    """Of a text, characters; of a number its value. The same of ``most``."""
    most: NDArray[np.int64]
    nullable: NDArray[np.bool_]
    required: NDArray[np.bool_]


class Lookup(NamedTuple):
    """Which name a text is, without searching: its length and three of its bytes tell the names apart, and one
    comparison makes sure."""

    multiplier: int
    slots: NDArray[np.int64]
    """By ``place_of``: which name it can be, -1 for none."""
    texts: NDArray[np.uint8]
    """[n, _NAME_BYTES]."""
    lengths: NDArray[np.int64]


def lookup_of(names: Sequence[str]) -> Lookup:
    """A lookup of some names of one byte or more."""
    texts, lengths = np.zeros((len(names), _NAME_BYTES), dtype=np.uint8), np.zeros(len(names), dtype=np.int64)
    for at, name in enumerate(names):
        encoded = name.encode()
        texts[at, : len(encoded)], lengths[at] = np.frombuffer(encoded, dtype=np.uint8), len(encoded)
    for multiplier in range(3, 1 << 16, 2):
        places = [place_of(row, 0, length, multiplier) for row, length in zip(texts, lengths.tolist(), strict=True)]
        if len(set(places)) == len(names):
            slots = np.full(SLOTS, -1, dtype=np.int64)
            slots[places] = np.arange(len(names))
            return Lookup(multiplier, slots, texts, lengths)
    raise AssertionError("some multiplier tells them apart")


@njit(cache=True)
def place_of(data: Any, at: int, length: int, multiplier: int) -> int:
    """Where in a lookup the name of ``length`` bytes is, 1 or more, that begins at ``at``."""
    first, middle, last = int(data[at]), int(data[at + length // 2]), int(data[at + length - 1])
    number = ((length * multiplier + first) * multiplier + middle) * multiplier + last
    return (number ^ number >> 11) % SLOTS


def _rules() -> Rules:
    payment, party = (_by_name(inspect.type_info(kind)) for kind in (Payment, Party))
    fields = [*payment.values(), *party.values(), *party.values()]
    return Rules(
        np.array([_kind(_told(field)) for field in fields], dtype=np.uint8),
        np.array([_bounds(_told(field))[0] for field in fields], dtype=np.int64),
        np.array([_bounds(_told(field))[1] for field in fields], dtype=np.int64),
        np.array([isinstance(field.type, inspect.UnionType) for field in fields], dtype=np.bool_),
        np.array([field.required for field in fields], dtype=np.bool_),
    )


def _by_name(kind: Any) -> Mapping[str, Any]:
    return {field.encode_name: field for field in kind.fields}


def _told(field: Any) -> Any:
    """The type of a field where it is told."""
    if isinstance(field.type, inspect.UnionType):
        return next(each for each in field.type.types if not isinstance(each, inspect.NoneType))
    return field.type


def _kind(kind: Any) -> int:
    if isinstance(kind, inspect.StructType):
        return PARTY
    if isinstance(kind, inspect.IntType):
        return NUMBER
    if isinstance(kind, inspect.BoolType):
        return FLAG
    assert isinstance(kind, inspect.StrType | inspect.LiteralType), "a payment holds nothing else"
    return TEXT


def _bounds(kind: Any) -> tuple[int, int]:
    if isinstance(kind, inspect.IntType):
        limits = kind.ge, kind.le
        assert None not in limits, "every number has its limits"
        return limits  # type: ignore[return-value]
    if isinstance(kind, inspect.StrType):
        assert kind.max_length is not None, "every text has its limit"
        return kind.min_length or 0, kind.max_length
    if isinstance(kind, inspect.LiteralType):
        lengths = [len(str(code)) for code in kind.values]
        return min(lengths), max(lengths)
    return 0, 0


RULES = _rules()
_REQUIRED_OF_PARTY = [
    name for name, is_required in zip(OF_PARTY, RULES.required[PAYER_FIRST:], strict=False) if is_required
]
assert [OF_PARTY[0]] == _REQUIRED_OF_PARTY, "the walk looks for the first, and for no other"
PAYMENT_LOOKUP, PARTY_LOOKUP = lookup_of(OF_PAYMENT), lookup_of(OF_PARTY)
STATUSES = get_args(next(field.type for field in msgspec.structs.fields(Payment) if field.name == "status"))

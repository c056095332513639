"""Compiled models as bytes: one line of JSON, then arrays of little-endian numbers, one after the other.

The line names the kind of model, the feature schema, its single numbers, and type and length of each array. The same
model gives the same bytes on any machine, and a number comes back to the bit, so the SHA-256 of the bytes is the
model's hash. Nothing in them is executed, and nothing is believed before it was checked.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from services.scorer.path.scoring.model import ModelRefused

BYTES_MAX = 16 * 2**20
"""A compiled model is not larger. The default ensemble takes a quarter of a megabyte."""
_HEAD_BYTES_MAX = 64 * 1024
_HASH = re.compile(r"[0-9a-f]{64}")


def pack(
    kind: str, feature_schema_hash: str, numbers: Mapping[str, float | int], arrays: Mapping[str, NDArray[Any]]
) -> bytes:
    """A compiled model as bytes; ``unpack`` gives back what went in, to the bit."""
    little = {name: array.astype(array.dtype.newbyteorder("<")) for name, array in arrays.items()}
    return _head(kind, feature_schema_hash, numbers, little) + b"".join(array.tobytes() for array in little.values())


def unpack(
    data: bytes, kind: str, feature_schema_hash: str, numbers: Mapping[str, type], arrays: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Numbers and arrays of a compiled model, by name.

    Parameters
    ----------
    data
        As ``pack`` gives it.
    kind, feature_schema_hash
        What it must be of.
    numbers
        ``float`` or ``int`` by name: all that it must have. A float must be finite, an int must not be negative.
    arrays
        Type by name, such as ``<f8``: all that it must have, in this order. Lengths are for the caller to check.

    Raises
    ------
    ModelRefused
        When it is anything else than ``pack`` makes of such a model.
    """
    if len(data) > BYTES_MAX:
        raise ModelRefused(f"{len(data):,} bytes of model; {BYTES_MAX:,} are allowed")
    end = data.find(b"\n", 0, _HEAD_BYTES_MAX) + 1
    try:
        head = orjson.loads(data[: end or 1])
    except orjson.JSONDecodeError:
        raise ModelRefused("not a compiled model: it does not begin with a line of JSON") from None
    if not isinstance(head, dict) or set(head) != {"arrays", "feature_schema_hash", "kind", "numbers"}:
        raise ModelRefused("not a compiled model: its first line does not say what it is")
    if head["kind"] != kind:
        raise ModelRefused(f"not a model of kind {kind!r}")
    if head["feature_schema_hash"] != feature_schema_hash:
        said = str(head["feature_schema_hash"])
        named = said[:12] if _HASH.fullmatch(said) else "of no such name"
        raise ModelRefused(f"compiled for feature schema {named}, this scorer computes {feature_schema_hash[:12]}")
    _check_numbers(head["numbers"], numbers)
    found = _arrays(data[end:], head["arrays"], arrays)
    if data[:end] != _head(kind, feature_schema_hash, head["numbers"], found):
        raise ModelRefused("its first line is not written as a compiled model's is")
    return head["numbers"], found


def _check_numbers(said: Any, expected: Mapping[str, type]) -> None:
    if not isinstance(said, dict) or set(said) != set(expected):
        raise ModelRefused(f"its numbers are not {', '.join(sorted(expected))}")
    for name, number_type in expected.items():
        if type(said[name]) is not number_type or not math.isfinite(said[name]):
            raise ModelRefused(f"{name} is not a finite {number_type.__name__}")
        if number_type is int and said[name] < 0:
            raise ModelRefused(f"{name} is negative")


def _arrays(body: bytes, said: Any, expected: Mapping[str, str]) -> dict[str, NDArray[Any]]:
    if not isinstance(said, list) or any(not isinstance(each, list) or len(each) != 3 for each in said):
        raise ModelRefused("its arrays are not named with a type and a length each")
    if [each[:2] for each in said] != [[name, kind] for name, kind in expected.items()]:
        raise ModelRefused(f"its arrays are not {', '.join(expected)} of types {', '.join(expected.values())}")
    if any(type(length) is not int or not 0 <= length <= BYTES_MAX for _, _, length in said):
        raise ModelRefused("the length of an array is not a count")
    if len(body) != sum(np.dtype(kind).itemsize * length for _, kind, length in said):
        raise ModelRefused(f"{len(body):,} bytes of arrays, which is not what their lengths say")
    found, at = {}, 0
    for name, kind, length in said:
        little = np.frombuffer(body, dtype=kind, count=length, offset=at)
        found[name] = little.astype(little.dtype.newbyteorder("="))
        at += little.nbytes
    return found


def _head(
    kind: str, feature_schema_hash: str, numbers: Mapping[str, float | int], arrays: Mapping[str, NDArray[Any]]
) -> bytes:
    said = {
        "kind": kind,
        "feature_schema_hash": feature_schema_hash,
        "numbers": dict(numbers),
        "arrays": [[name, array.dtype.newbyteorder("<").str, len(array)] for name, array in arrays.items()],
    }
    return orjson.dumps(said, option=orjson.OPT_SORT_KEYS) + b"\n"

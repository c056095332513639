"""Mutations of batches of columns: as bytes, and as what they say."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as arrow

from tests.fuzz.mutate import cut, flipped, spliced
from tests.fuzz.seeds import Seed

NUMBERS = (0, 1, -1, 2, 3, 4, 7, 8, 64, 255, 2**15 - 1, 2**16, 2**31 - 1, -(2**31), 2**32, 2**40, 2**62, 2**63 - 1)
REALS = (0.0, -0.0, 5e-324, 1e308, np.inf, -np.inf, np.nan)
TYPES = (
    arrow.string(), arrow.large_string(), arrow.binary(), arrow.binary(16), arrow.float64(), arrow.float32(),
    arrow.int64(), arrow.int32(), arrow.uint8(), arrow.null(), arrow.list_(arrow.float64()),
    arrow.list_(arrow.float64(), 3), arrow.struct([("x", arrow.int64())]),
    arrow.dictionary(arrow.int8(), arrow.string()),
)  # fmt: skip


def mutated_batch(of: Sequence[Seed], draw: random.Random) -> bytes:
    """One of the records ``of`` columns, mutated; as it is now and then."""
    seed = draw.choice(of).value
    others = [each.value for each in of]
    choice = draw.random()
    if choice < 0.1:
        return seed
    if choice < 0.6:
        for _ in range(draw.choice((1, 1, 1, 2, 3))):
            seed = with_word(seed, draw)
        return seed
    if choice < 0.8:
        return draw.choice((flipped, spliced, cut))(seed, others, draw)
    return with_column(seed, draw)


def with_word(value: bytes, draw: random.Random) -> bytes:
    """One number of a batch is another: mostly one of those that say what the rest means."""
    size = draw.choice((1, 2, 4, 8))
    if len(value) < 2 * size:
        return value
    described = value.find(b"SECRET") if draw.random() < 0.8 else len(value)
    at = draw.randrange(max(min(described, len(value)) - size, size)) // size * size
    word = draw.choice((int(draw.choice(NUMBERS)).to_bytes(9, "little", signed=True)[:size], draw.randbytes(size)))
    return value[:at] + word + value[at + size :]


def with_column(value: bytes, draw: random.Random) -> bytes:
    """A batch that Arrow itself writes: a column is another's, of another type or absent, or one of its numbers is."""
    batch = arrow.ipc.open_stream(value).read_next_batch()
    columns: dict[str, Any] = dict(zip(batch.schema.names, batch.columns, strict=True))
    metadata: dict[bytes, bytes] = dict(batch.schema.metadata)
    name, kind = draw.choice(list(columns)), draw.randrange(6)
    if kind == 0:
        columns[name] = arrow.nulls(batch.num_rows, draw.choice(TYPES))
    elif kind == 1:
        del columns[name]
    elif kind == 2:
        columns[name] = draw.choice(list(columns.values()))
    elif kind == 3:
        metadata[draw.choice(list(metadata))] = draw.choice((b"", b"\xff", b"9" * 5_000, b",", b"a," * 200, b"SECRET"))
    elif kind == 4:
        columns[name] = columns[name].slice(0, 0).take(arrow.array([None] * batch.num_rows, arrow.int64()))
    else:
        columns["score"] = arrow.array([draw.choice(REALS)] * batch.num_rows)
    made = arrow.RecordBatch.from_arrays([*columns.values()], [*columns]).replace_schema_metadata(metadata)
    out = arrow.BufferOutputStream()
    with arrow.ipc.new_stream(out, made.schema) as stream:
        for _ in range(draw.choice((1, 1, 1, 1, 1, 2))):
            stream.write_batch(made)
    written: bytes = out.getvalue().to_pybytes()
    return written

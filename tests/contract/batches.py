"""Batches of columns for tests: any rows of a small layout that has every kind of column, and of served features."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from services.contract.columns import Column, Columns, Layout, Texts
from services.contract.served import Served, ServedBy

EVERY_KIND = Layout(
    "every-kind.v1",
    (
        Column("id", "uuid", "", "Of the row"),
        Column("name", "text", "", "Any"),
        Column("real", "f8", "", "Any"),
        Column("long", "i8", "", "Any"),
        Column("short", "i4", "", "Any"),
        Column("code", "u1", "", "Any"),
        Column("reals", "f8", "", "Any", each="real"),
        Column("codes", "u1", "", "Any", each="code"),
        Column("note", "text", "", "Any"),
    ),
    {"said": "Anything", "names": "Anything else"},
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


def texts(values: list[str]) -> Texts:
    """As a column has them."""
    return Texts.of([value.encode() for value in values])


@st.composite
def any_columns(draw: st.DrawFn, rows_max: int = 5) -> Columns:
    """Any rows of ``EVERY_KIND``, none at times, with lists of any width, 0 at times."""
    rows = draw(st.integers(0, rows_max))
    reals, codes = (draw(st.integers(0, 3)) for _ in range(2))

    def numbers(kind: str, *shape: int) -> Any:
        data = draw(st.binary(min_size=(size := np.dtype(kind).itemsize * int(np.prod(shape))), max_size=size))
        return np.frombuffer(data, dtype=kind).reshape(shape)

    names, notes = (texts(draw(st.lists(TEXTS, min_size=rows, max_size=rows))) for _ in range(2))
    arrays = {
        "id": numbers("u1", rows, 16), "name": names, "real": numbers("f8", rows), "long": numbers("i8", rows),
        "short": numbers("i4", rows), "code": numbers("u1", rows), "reals": numbers("f8", rows, reals),
        "codes": numbers("u1", rows, codes), "note": notes,
    }  # fmt: skip
    return Columns(rows, arrays, {"said": draw(TEXTS), "names": draw(TEXTS)})


def served(rows: int, features: int = 4, rules: int = 3, packs: int = 1, seed: int = 1) -> Served:
    """Random decisions, and what they were made of."""
    rng = np.random.default_rng(seed)
    by = ServedBy(
        7, "a" * 64, "b" * 64, "c" * 64,
        *(tuple(f"{kind}-{at}" for at in range(count))
          for kind, count in (("feature", features), ("rule", rules), ("pack", packs))),
    )  # fmt: skip
    values = rng.normal(size=(rows, features))
    values[rng.random((rows, features)) < 0.2] = np.nan
    return Served(
        by,
        decision_id=rng.integers(0, 256, (rows, 16), dtype=np.uint8),
        tenant=texts(["SECRET-t"] * rows),
        payment_id=texts([f"SECRET-{at}" for at in range(rows)]),
        payer=texts([f"konto-å{at % 3}" for at in range(rows)]),
        payee=texts([f"SECRET-\U0001f3e6{at % 5}" for at in range(rows)]),
        event_time_ms=rng.integers(0, 4 * 10**12, rows),
        appended_ms=rng.integers(-1, 4 * 10**12, rows),
        partition=rng.integers(0, 99, rows, dtype=np.int32),
        offset=rng.integers(0, 2**53, rows),
        outcome=rng.integers(0, 2, rows, dtype=np.uint8),
        score=rng.normal(size=rows),
        probability=rng.random(rows),
        rules=rng.integers(0, 3, (rows, rules), dtype=np.uint8),
        packs=rng.normal(size=(rows, 2 * packs)),
        features=values,
    )

"""Rows of ``evidence.by-payer.v1``, as tests compare them: how a log is cut moves rows between records, and changes
none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiokafka import ConsumerRecord

from services.contract.columns import Columns, Texts
from services.contract.evidence import EVIDENCE
from services.scorer.path.records import Outbound, Record


def columns_of(record: Outbound | ConsumerRecord | Record) -> Columns:
    """What a record that has to be one holds."""
    found = EVIDENCE.read(record.value, "")
    assert isinstance(found, Columns), found
    return found


def evidence_rows(records: Sequence[Outbound | ConsumerRecord]) -> list[tuple[Any, ...]]:
    """Every row: where it goes, what is said of its record, and all of its columns to the bit; in order within each
    partition."""
    rows = []
    for record in sorted(records, key=lambda each: each.partition):
        found = columns_of(record)
        said = tuple(sorted(found.said.items()))
        columns = [_cells(values) for values in found.arrays.values()]
        rows += [(record.partition, said, *row) for row in zip(*columns, strict=True)]
    return rows


def _cells(values: Any) -> list[bytes]:
    if isinstance(values, Texts):
        return [values.at(row) for row in range(len(values.ends) - 1)]
    return [value.tobytes() for value in values]

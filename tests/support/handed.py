"""What the payer hop handed over, row by row: the same however its log was cut into batches."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any, TypeAlias

from aiokafka import ConsumerRecord

from services.contract.columns import Columns, Some, Texts
from services.contract.handover import HANDOVER
from services.scorer.path.records import Outbound

Written: TypeAlias = Outbound | ConsumerRecord


def columns_of(record: Written) -> Columns:
    """The columns of a record."""
    found = HANDOVER.read(record.value, "")
    assert isinstance(found, Columns), found
    return found


def rows_handed(records: Sequence[Written], without: Container[str] = ()) -> list[tuple[Any, ...]]:
    """Every row of ``records``: where it goes, which log it is of, and all of its columns, ``without`` some."""
    rows: list[tuple[Any, ...]] = []
    for record in records:
        found = columns_of(record)
        log = record.partition, found.said["partition"], found.said["generation"], found.said["schema"]
        columns = [_listed(found, name) for name in found.arrays if name not in without]
        rows += [(*log, *row) for row in zip(*columns, strict=True)]
    return rows


def _listed(found: Columns, name: str) -> list[Any]:
    values = found.arrays[name]
    if isinstance(values, Texts):
        return found.texts(name)
    if isinstance(values, Some):
        told = iter(values.values)
        return [next(told).tobytes() if present else b"" for present in values.present.tolist()]
    return [value.tobytes() for value in values]

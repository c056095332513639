"""Every layout of machines' topics, and the rows of their batches as people read them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, get_args
from uuid import UUID

from services.contract.columns import Column, Columns, Layout, Some
from services.contract.evidence import EVIDENCE
from services.contract.handover import HANDOVER
from services.contract.payment import Role
from services.contract.served import SERVED
from services.contract.shadow_scores import SHADOW_SCORES

LAYOUTS: dict[str, Layout] = {each.name: each for each in (HANDOVER, EVIDENCE, SERVED, SHADOW_SCORES)}
_ROLES: tuple[str, ...] = get_args(Role)


def rows_of(layout: Layout, batch: Columns, rows: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Some rows of a batch of ``layout``, each with what holds for all of them: ids and codes as texts, several numbers
    by what they are of. Two numbers of one name are those of payer and payee.
    """
    lists = {each.named_by for each in layout.columns}
    shared = {name: text for name, text in batch.said.items() if name not in lists}
    columns = {each.name: _as_read(each, batch, rows) for each in layout.columns}
    for values in zip(*columns.values(), strict=True):
        yield {**dict(zip(columns, values, strict=True)), **shared}


def _as_read(column: Column, batch: Columns, rows: Sequence[int]) -> list[Any]:
    """The values of a column in ``rows``."""
    if column.kind == "text":
        texts = batch.texts(column.name)
        return [texts[row] for row in rows]
    if column.some:
        return _some(batch.arrays[column.name], rows)
    chosen = batch.arrays[column.name][list(rows)]
    if column.kind == "uuid":
        return [str(UUID(bytes=each.tobytes())) for each in chosen]
    values: list[Any] = _decoded(chosen.tolist(), column.codes)
    if not column.named_by:
        return values
    names = [each for each in batch.said[column.named_by].split(",") if each]
    return [_named(names, each) for each in values]


def _some(values: Some, rows: Sequence[int]) -> list[Any]:
    """The numbers of rows that have any; ``None`` of the others."""
    places = values.present.cumsum() - 1
    return [values.values[places[row]].tolist() if values.present[row] else None for row in rows]


def _decoded(values: Any, codes: tuple[str, ...]) -> Any:
    """Codes as what they stand for; a number that stands for nothing as it is."""
    if isinstance(values, list):
        return [_decoded(each, codes) for each in values]
    return codes[values] if codes and values < len(codes) else values


def _named(names: Sequence[str], values: list[Any]) -> Any:
    """``values`` by name; as they are where there are not as many names."""
    if len(values) == len(names):
        return dict(zip(names, values, strict=True))
    if len(values) == len(_ROLES) * len(names):
        pairs = zip(values[::2], values[1::2], strict=True)
        return {name: dict(zip(_ROLES, pair, strict=True)) for name, pair in zip(names, pairs, strict=True)}
    return values

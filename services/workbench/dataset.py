"""Decisions with their labels as one table: features exactly as served, and each label with the time it became known.

That is what makes it correct in time: nothing in a row was computed after its decision but the label, and the label
says since when it can be used.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as arrow
from numpy.typing import NDArray
from pyarrow import parquet

from services.contract.errors import TocsinError
from services.contract.label import Label
from services.scorer.path.features.registry import NAMES

SUSPICIOUS, NOT_SUSPICIOUS, UNLABELLED = 1, 0, -1
NEVER_MS = np.iinfo(np.int64).max
"""``label_ms`` of what has no label."""
_TEXTS = ("decision_id", "payment_id", "tenant", "payer", "payee", "outcome", "model_hash", "ruleset_hash", "source")
_META_SCHEMA = b"tocsin.feature_schema_hash"
_META_AS_OF = b"tocsin.as_of_ms"


class DatasetError(TocsinError, ValueError):
    """A file or table is no data set of this feature schema. The message names file and column."""

    may_quote = True


@dataclass(frozen=True, slots=True)
class Dataset:
    """n decisions in the order of their event time. Arrays have length n; ``features`` is float64[n, len(NAMES)]."""

    decision_id: NDArray[np.object_]
    payment_id: NDArray[np.object_]
    tenant: NDArray[np.object_]
    payer: NDArray[np.object_]
    payee: NDArray[np.object_]
    outcome: NDArray[np.object_]
    model_hash: NDArray[np.object_]
    ruleset_hash: NDArray[np.object_]
    source: NDArray[np.object_]
    """Of the label; the empty text where there is none."""
    event_ms: NDArray[np.int64]
    score: NDArray[np.float64]
    """As served, log-odds."""
    label: NDArray[np.int8]
    """``SUSPICIOUS``, ``NOT_SUSPICIOUS`` or ``UNLABELLED``."""
    label_ms: NDArray[np.int64]
    """When the label became known; ``NEVER_MS`` where there is none."""
    weight: NDArray[np.float64]
    """Of the label, as it came: the inverse of its sampling share. 1 where there is none."""
    features: NDArray[np.float64]
    feature_schema_hash: str
    as_of_ms: int
    """Labels that came later are not in it."""

    def __len__(self) -> int:
        return len(self.event_ms)

    @classmethod
    def empty(cls, feature_schema_hash: str) -> Dataset:
        """Of no decision."""
        columns: dict[str, Any] = {name: texts([]) for name in _TEXTS}
        columns |= {"event_ms": np.zeros(0, dtype=np.int64), "score": np.zeros(0), **label_columns([])}
        features = np.zeros((0, len(NAMES)))
        return cls(**columns, features=features, feature_schema_hash=feature_schema_hash, as_of_ms=NEVER_MS)

    def chosen(self, rows: NDArray[Any]) -> Dataset:
        """The decisions ``rows`` (bool[n] or int64[m]), in order."""
        return replace(self, **{name: getattr(self, name)[rows] for name in _arrays()})

    def as_of(self, moment_ms: int) -> Dataset:
        """What was known at ``moment_ms``: the decisions made by then, without the labels that came later.

        A label that was corrected before the data set was made is not restored: an export as of the moment has it.
        """
        found = self.chosen(self.event_ms <= moment_ms)
        late = found.label_ms > moment_ms
        return replace(
            found,
            label=np.where(late, UNLABELLED, found.label).astype(np.int8),
            label_ms=np.where(late, NEVER_MS, found.label_ms),
            weight=np.where(late, 1.0, found.weight),
            source=np.where(late, "", found.source).astype(object),
            as_of_ms=min(moment_ms, self.as_of_ms),
        )

    def table(self) -> Any:
        """A ``pyarrow.Table``: one column an array, one a feature. Polars, pandas and DuckDB take it as it is."""
        known = self.label != UNLABELLED
        columns: dict[str, Any] = {name: arrow.array(getattr(self, name), arrow.string()) for name in _TEXTS}
        columns |= {
            "event_time_ms": arrow.array(self.event_ms),
            "score": arrow.array(self.score),
            "label": arrow.array(self.label == SUSPICIOUS, mask=~known),
            "label_time_ms": arrow.array(self.label_ms, mask=~known),
            "weight": arrow.array(self.weight),
        }
        columns |= {name: arrow.array(self.features[:, at], from_pandas=True) for at, name in enumerate(NAMES)}
        said = {_META_SCHEMA: self.feature_schema_hash.encode(), _META_AS_OF: str(self.as_of_ms).encode()}
        return arrow.table(columns).replace_schema_metadata(said)

    def write(self, path: Path) -> None:
        """Write a Parquet file."""
        parquet.write_table(self.table(), path, compression="zstd")

    @classmethod
    def read(cls, *paths: Path) -> Dataset:
        """Read Parquet files of one feature schema, and put their decisions in the order of event time.

        Raises
        ------
        DatasetError
            When a file cannot be read, lacks a column, or was written under other features than the first.
        """
        try:
            tables = [parquet.read_table(path) for path in paths]
        except (OSError, arrow.ArrowException) as error:
            raise DatasetError(str(error)) from None
        if not tables:
            raise DatasetError("no file")
        parts = [cls.of(table, str(path)) for table, path in zip(tables, paths, strict=True)]
        return joined(parts)

    @classmethod
    def of(cls, frame: Any, name: str = "table") -> Dataset:
        """A data set of any table with the columns of ``table()``: pyarrow, polars, pandas.

        A table that is not one of ours in memory has no metadata: it counts as of the present feature schema.

        Raises
        ------
        DatasetError
            When a column is missing; ``name`` is what the table is called.
        """
        import narwhals as nw

        said = getattr(getattr(frame, "schema", None), "metadata", None) or {}
        taken = nw.from_native(frame, eager_only=True)
        missing = [each for each in (*_TEXTS, *_NUMBERS, *NAMES) if each not in taken.columns]
        if missing:
            raise DatasetError(
                f"{name}: has no column {missing[0]}" + (f", nor {len(missing) - 1} more" * (len(missing) > 1))
            )

        label = [UNLABELLED if each is None else int(each) for each in taken["label"].to_list()]
        label_ms = [NEVER_MS if each is None else int(each) for each in taken["label_time_ms"].to_list()]
        found = cls(
            **{each: texts(taken[each].fill_null("").to_list()) for each in _TEXTS},
            event_ms=taken["event_time_ms"].to_numpy().astype(np.int64),
            score=taken["score"].to_numpy().astype(np.float64),
            label=np.array(label, dtype=np.int8),
            label_ms=np.array(label_ms, dtype=np.int64),
            weight=taken["weight"].to_numpy().astype(np.float64),
            features=np.column_stack([taken[each].to_numpy().astype(np.float64) for each in NAMES]),
            feature_schema_hash=said.get(_META_SCHEMA, b"").decode(),
            as_of_ms=int(said.get(_META_AS_OF, str(NEVER_MS))),
        )
        return found.chosen(np.argsort(found.event_ms, kind="stable"))


_NUMBERS = ("event_time_ms", "score", "label", "label_time_ms", "weight")


def joined(parts: Iterable[Dataset]) -> Dataset:
    """One data set of several, in the order of event time.

    Raises
    ------
    DatasetError
        When they are not of one feature schema.
    """
    found = list(parts)
    schemas = {each.feature_schema_hash for each in found}
    if len(schemas) > 1:
        raise DatasetError(
            f"data sets of {len(schemas)} feature schemas: {', '.join(sorted(each[:12] for each in schemas))}"
        )
    whole = concatenated(found)
    return whole.chosen(np.argsort(whole.event_ms, kind="stable"))


def concatenated(parts: Sequence[Dataset]) -> Dataset:
    """The decisions of ``parts``, at least one, one after the other: a data set once they are in order."""
    arrays: dict[str, Any] = {name: np.concatenate([getattr(each, name) for each in parts]) for name in _arrays()}
    return replace(parts[0], **arrays, as_of_ms=min(each.as_of_ms for each in parts))


def label_columns(labels: Sequence[Label | None]) -> dict[str, Any]:
    """The columns of a data set that say what is known of its decisions, each of which has a label or none."""
    known = [(UNLABELLED, NEVER_MS, 1.0, "") if each is None else _known(each) for each in labels]
    label, label_ms, weight, source = zip(*known, strict=True) if known else ((), (), (), ())
    return {
        "label": np.array(label, dtype=np.int8),
        "label_ms": np.array(label_ms, dtype=np.int64),
        "weight": np.array(weight, dtype=np.float64),
        "source": texts(source),
    }


def _known(label: Label) -> tuple[int, int, float, str]:
    suspicious = label.disposition == "suspicious"
    return SUSPICIOUS if suspicious else NOT_SUSPICIOUS, label.label_time_ms, label.weight, label.source


def texts(values: Sequence[str]) -> NDArray[np.object_]:
    """Texts as a column of a data set."""
    out = np.empty(len(values), dtype=object)
    out[:] = values
    return out


def described(data: Dataset) -> Mapping[str, int]:
    """How many decisions there are, and of what kind, for people."""
    return {
        "decisions": len(data),
        "labelled": int((data.label != UNLABELLED).sum()),
        "suspicious": int((data.label == SUSPICIOUS).sum()),
        "payers": len(set(data.payer.tolist())),
        "payees": len(set(data.payee.tolist())),
    }


def _arrays() -> list[str]:
    return [each.name for each in fields(Dataset) if each.name not in ("feature_schema_hash", "as_of_ms")]

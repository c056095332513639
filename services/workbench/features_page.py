"""The page of features and columns: what machines' topics hold, column by column, and what each feature means."""

from __future__ import annotations

import inspect
from collections.abc import Iterable

from services.contract.columns import Column, Layout
from services.contract.layouts import LAYOUTS
from services.contract.topics import Topics
from services.scorer.path.features import registry
from services.scorer.path.features.definitions.feature import Feature
from services.scorer.path.features.registry import FEATURES, PAYEE_HOP, PAYER_HOP

OPENED_BY = {
    "pyarrow": "pyarrow.ipc.open_stream(value).read_all()",
    "polars": "polars.read_ipc_stream(value)",
    "duckdb": "duckdb.from_arrow(pyarrow.ipc.open_stream(value).read_all())",
}
"""By library, what opens the value of a record."""
HEAD = """# Features and columns

`tocsin topics columns --out docs/features.md` wrote this page from the code. Do not edit it.

Machines' topics hold batches of columns: the value of a record is one Arrow IPC stream of many rows. What holds for all
of its rows stands in the schema's metadata, as texts; `layout` is the name of the layout. A record has no headers and
no key. `tocsin topics read features.v1 --payment ID` prints rows with names; programs open the `value` of a record:

```python
{lines}
```

No column has missing values: where a number is missing, it is NaN.
"""
_TYPES = {
    "f8": "float64", "i8": "int64", "i4": "int32", "u2": "uint16", "u1": "uint8", "text": "string",
    "uuid": "16 bytes, a UUID",
}  # fmt: skip


def features_page() -> str:
    """The whole page."""
    lines = "\n".join(f"table = {line}  # {library}" for library, line in OPENED_BY.items())
    sections = [_layout_section(each) for each in LAYOUTS.values()]
    mathematics = inspect.cleandoc(registry.__doc__ or "").partition("\n\n")[2].replace("``", "`")
    rows = [
        "| place | feature | of | hop | window | unit | read as | meaning | missing without |",
        "|---|---|---|---|---|---|---|---|---|",
        *(_feature_row(place, each) for place, each in enumerate(FEATURES)),
    ]
    about = (
        f"The {len(FEATURES)} numbers of `features` in `served-features.v1`. *Read as* says how a model takes them:\n"
        "`log` features as `log(1 + x)`. A feature *of* the payment needs no history."
    )
    features = ["## Features", "", about, "", "### Each feature", "", *rows, "", "### What they share", "", mathematics]
    parts = [HEAD.format(lines=lines), *sections, *features]
    return "\n".join(parts).rstrip() + "\n"


def _layout_section(layout: Layout) -> str:
    topics = ", ".join(f"`{each.name}`" for each in Topics().all() if each.columns == layout.name)
    columns = (f"| `{each.name}` | {_type(each)} | {each.unit} | {_meaning(each)} |" for each in layout.columns)
    metadata = (f"| `{name}` | {meaning} |" for name, meaning in layout.metadata.items())
    return "\n".join(
        [f"## {layout.name}", "", f"Topic: {topics}.", "", "| column | type | unit | meaning |", "|---|---|---|---|",
         *columns, "", "| metadata | meaning |", "|---|---|", *metadata, ""]
    )  # fmt: skip


def _type(column: Column) -> str:
    kind = _TYPES[column.kind]
    if column.each:
        kind = f"list of {kind}, of each {column.each}" + (", of some rows" if column.some else "")
    return kind


def _meaning(column: Column) -> str:
    codes = ", ".join(f"{number} `{code}`" for number, code in enumerate(column.codes))
    named = f"named by `{column.named_by}`" if column.named_by else ""
    return "; ".join(filter(None, (column.meaning, codes, named)))


def _feature_row(place: int, feature: Feature) -> str:
    cells: Iterable[str] = (
        str(place), f"`{feature.name}`", feature.side, _hop(place), feature.window, feature.unit, feature.scale,
        feature.meaning, ", ".join(f"`{each}`" for each in feature.needs),
    )  # fmt: skip
    return "| " + " | ".join(each.replace("|", "\\|") for each in cells) + " |"


def _hop(place: int) -> str:
    """Where a feature is measured; those that are made of others come last."""
    if place < len(PAYER_HOP):
        return "payer"
    return "payee" if place < len(PAYER_HOP) + len(PAYEE_HOP) else "payee, of others"

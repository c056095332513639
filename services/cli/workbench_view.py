"""What the workbench's commands share: options, reading data sets, tables of figures."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.options import fail, print_table
from services.runtime.files import unreadable

if TYPE_CHECKING:
    from services.workbench.dataset import Dataset

EXPECTED = "a Parquet file that `tocsin dataset export` or `tocsin dataset generate` wrote"
Files = Annotated[list[Path], typer.Argument(help="Parquet files that `tocsin dataset export` wrote.")]
Budget = Annotated[
    float | None,
    typer.Option(
        min=0.0, max=1.0, help="Share of payments that people can review.", show_default="TOCSIN_ALERT_BUDGET_SHARE"
    ),
]
Matured = Annotated[
    float | None, typer.Option(help="After so many days without a label a payment counts as weakly not suspicious.")
]
_COLUMNS = {
    "payments": "labelled", "suspicious": "suspicious", "auc": "AUC", "average_precision": "AP",
    "recall_at_budget": "recall", "calibration_error": "miscal.", "brier": "Brier",
}  # fmt: skip


def check_kind(option: str, kind: str) -> None:
    """End the command with 1 unless models of ``kind`` can be trained on tables."""
    from models.kinds.table import ON_TABLES

    if kind not in ON_TABLES:
        fail(f"{option} {kind}: there is no such kind; expected one of {', '.join(ON_TABLES)}")


def read(files: list[Path]) -> Dataset:
    """The data set in Parquet files; ends the command with 1 where they hold none."""
    from services.workbench.dataset import Dataset, DatasetError

    for file in files:
        try:
            with file.open("rb"):
                pass
        except OSError as error:
            fail(unreadable(file, error, EXPECTED))
    try:
        return Dataset.read(*files)
    except DatasetError as error:
        fail(f"{error}; expected {EXPECTED}")
    except ImportError as error:
        fail(error)


def show(figures: dict[str, dict[str, Any]], what: str) -> None:
    """A table of figures, one row a name; ``what`` says what the names are."""
    rows = ((name, *(text(found[column]) for column in _COLUMNS)) for name, found in figures.items())
    print_table((what, *_COLUMNS.values()), rows)
    typer.echo(
        "AP: average precision; recall: at the budget; miscal.: mean gap between probability said and share found."
    )


def text(value: float | None) -> str:
    """A figure as people read it; nothing where there is none."""
    return "" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def tell(doing: str) -> None:
    """Say what is being done, beside the output."""
    print(doing, file=sys.stderr)

"""The notebook runs, cell by cell, as somebody would run it."""

from __future__ import annotations

import json
from pathlib import Path

NOTEBOOK = Path(__file__).parents[2] / "docs" / "workbench.ipynb"


def test_every_cell_runs_in_order() -> None:
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    names: dict[str, object] = {"__name__": "notebook"}
    ran = 0
    for at, cell in enumerate(cells):
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), f"cell {at}", "exec"), names)  # noqa: S102
            ran += 1
    assert ran == 7
    assert names["snapshot"]

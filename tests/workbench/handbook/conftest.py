"""The handbook's data, where it is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from services.workbench.handbook.handbook import Cards, read_cards

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def cards() -> Cards:
    """The Fraud Detection Handbook's payments."""
    folder = Path(os.environ.get("TOCSIN_DATA", ROOT.parent / "shared" / "data"))
    file = folder / "fdh_raw.parquet"
    if not file.is_file():
        pytest.skip(f"no third-party data: {file} is not there (set TOCSIN_DATA)")
    return read_cards(file)

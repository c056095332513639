"""The command's run, from a file to figures: what is said of whom, and what is refused."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pytest

from services.learner.app import challenger_plans_of, plan_of
from services.workbench.handbook.deployment import UnfitError
from services.workbench.handbook.handbook import Cards
from services.workbench.handbook.run import CHOSEN, NOTE, evaluate_handbook
from tests.workbench.handbook.streams import small_cards, small_settings

pyarrow = pytest.importorskip("pyarrow")
pytest.importorskip("lightgbm")
parquet = pytest.importorskip("pyarrow.parquet")

SPLITS = (date(2018, 4, 8), date(2018, 4, 15))
"""They are tested on days 21 to 34, and the deployment knows 35 days."""


def file_of(cards: Cards, path: Path) -> Path:
    columns = {
        "CUSTOMER_ID": cards.customers, "TERMINAL_ID": cards.terminals, "TX_TIME_SECONDS": cards.seconds,
        "TX_AMOUNT": cards.amounts, "TX_FRAUD": cards.truth.astype(np.int64),
    }  # fmt: skip
    parquet.write_table(pyarrow.table(columns), path)
    return path


def test_the_result_names_what_served_each_day_and_measures_every_line(tmp_path: Path) -> None:
    told: list[float] = []
    settings = small_settings()
    path = file_of(small_cards(customers=1_000), tmp_path / "cards.parquet")
    found = evaluate_handbook(path, settings, told.append, SPLITS)
    plans = [plan_of(settings), *challenger_plans_of(settings)]
    assert found["lines"].keys() == {plan.name for plan in plans}
    assert list(found["served"]) == [str(day) for day in np.arange("2018-04-01", "2018-05-06", dtype="datetime64[D]")]
    boosted = next(name for name in found["lines"] if name.startswith("boosting"))
    tested = list(found["served"].values())[21:]
    assert all(name.startswith(f"{boosted}/") for name in tested), "the leader had a version by then"
    assert found["lines"][boosted] == found["mean"]
    assert found["mean"]["auc"] > 0.6
    assert [each["training_week"] for each in found["splits"]] == ["2018-04-08", "2018-04-15"]
    assert (found["chosen"], found["note"]) == (CHOSEN, NOTE)
    assert told == pytest.approx([(day + 1) / 35 for day in range(35)])


def test_a_file_that_ends_before_the_last_test_is_refused(tmp_path: Path) -> None:
    path = file_of(small_cards(), tmp_path / "cards.parquet")
    with pytest.raises(UnfitError, match="in 45 days, which are not those of the protocol"):
        evaluate_handbook(path, small_settings(), lambda share: None, (date(2018, 5, 20),))


def test_a_row_that_is_no_payment_is_refused(tmp_path: Path) -> None:
    cards = small_cards()
    cards.amounts[100] = -1.0
    with pytest.raises(UnfitError, match=r"cards\.parquet"):
        evaluate_handbook(file_of(cards, tmp_path / "cards.parquet"), small_settings(), lambda share: None, SPLITS)

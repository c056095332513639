"""The check passes on what was generated as specified, and fails on what was not."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from pathlib import Path

import numpy as np
import pytest

from services.generator import Configuration, Stream
from services.generator.check import findings
from services.generator.measures import Measures
from services.generator.plot import write_plot
from services.generator.rows import RAILS, source
from tests.generator.conftest import Run


def deviating(measures: Measures) -> list[str]:
    return [each.parameter for each in findings(measures) if each.within is False]


def test_a_run_shows_its_parameters(rich: Run, bank: Run) -> None:
    for run in (rich, bank):
        assert deviating(run.measures) == []
    assert sum(each.within is True for each in findings(rich.measures)) > 150
    names = {each.parameter for each in findings(bank.measures)}
    assert {"salary.payments", "card_retail.payments", "card_retail.amount log mean"} <= names


def test_a_run_in_hard_mode_shows_its_own() -> None:
    measures = Measures(Stream(Configuration(payers=800, months=3, seed=4, base_rate=0.1, hard=True)))
    for day in measures.stream.days():
        measures.add(day)
    assert deviating(measures) == []


def more_returns(measures: Measures) -> None:
    measures.kinds[2] *= 2


def earlier_nights(measures: Measures) -> None:
    at = source("lsac")
    measures.hours[at] = np.roll(measures.hours[at], 9)


def other_rails(measures: Measures) -> None:
    at = source("diaspora")
    measures.rails[at, RAILS.index("bank")] += measures.rails[at].sum() // 4


def larger_sums(measures: Measures) -> None:
    measures.log_by_payer += 0.3 * measures.by_payer


def more_payments(measures: Measures) -> None:
    measures.by_payer *= 2


def fewer_references(measures: Measures) -> None:
    at = source("micro_remitter")
    measures.texts[at, -1] += measures.texts[at].sum() // 5


@pytest.mark.parametrize(
    ("tamper", "parameter"),
    [
        (more_returns, "noise.status_updates"),
        (earlier_nights, "lsac.hours.night"),
        (other_rails, "diaspora.rails.bank"),
        (larger_sums, "diaspora.amount log mean"),
        (more_payments, "diaspora.per_month"),
        (fewer_references, "micro_remitter.references.none"),
    ],
)
def test_a_stream_that_differs_is_found(rich: Run, tamper: Callable[[Measures], None], parameter: str) -> None:
    measures = copy(rich.measures)
    for name, value in vars(measures).items():
        if isinstance(value, np.ndarray):
            setattr(measures, name, value.copy())
    tamper(measures)
    assert parameter in deviating(measures)


def test_the_picture_is_written(tmp_path: Path, rich: Run) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "check.png"
    write_plot(rich.measures, path)
    assert path.read_bytes().startswith(b"\x89PNG")

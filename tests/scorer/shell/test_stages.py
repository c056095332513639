"""How soon a batch may follow another."""

from __future__ import annotations

import pytest

from services.runtime.clock import now_ms
from services.scorer.path.records import Record, Records
from services.scorer.shell.stages import BEHIND_MS, NO_PACE, Pace

PACE = Pace(fresh_s=0.1, behind_s=0.4)


@pytest.mark.parametrize(
    "ages_ms, after_s",
    [([0], 0.1), ([100 * BEHIND_MS, 0], 0.1), ([2 * BEHIND_MS], 0.4), ([9 * BEHIND_MS, 2 * BEHIND_MS], 0.4)],
)
def test_a_partition_is_behind_whose_latest_record_is_old(ages_ms: list[int], after_s: float) -> None:
    now = now_ms()
    records = Records.of(Record(at, now - age, None, b"") for at, age in enumerate(ages_ms))
    assert PACE.after(records) == after_s
    assert NO_PACE.after(records) == 0.0


def test_where_brokers_tell_no_time_nothing_is_behind() -> None:
    assert PACE.after(Records.of([Record(0, -1, None, b"")])) == 0.1

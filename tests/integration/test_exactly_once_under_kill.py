"""A scorer that is killed ten times at random points decides every payment once, as if nothing had happened."""

from __future__ import annotations

import orjson
import pytest

from tests.integration.conftest import SEED, KilledRun
from tests.support.alerts import assert_each_review_is_in_one_alert
from tests.support.kills import KILLS
from tests.support.offline import assert_decided_once, assert_logs_are_computed

pytestmark = pytest.mark.kafka


def test_every_payment_is_decided_exactly_once_under_ten_kills(killed_run: KilledRun) -> None:
    assert killed_run.worker.starts == KILLS + 1
    assert_decided_once(killed_run.run, killed_run.expected)


def test_what_killed_workers_wrote_is_what_the_pure_path_computes_byte_for_byte(killed_run: KilledRun) -> None:
    assert_logs_are_computed(killed_run.run, SEED)


def test_each_review_of_a_killed_run_is_in_its_subjects_alert_once(killed_run: KilledRun) -> None:
    assert_each_review_is_in_one_alert(killed_run.run)


def test_the_killed_run_was_worth_proving(killed_run: KilledRun) -> None:
    """Several models decided, there were reviews, and transactions were cut off in the middle."""
    run = killed_run.run
    assert len({orjson.loads(record.value)["model"] for record in run.records_decided}) >= 3
    assert sum(map(len, run.reviews)) > 100
    assert min(killed_run.expected.fates.values()) > 100

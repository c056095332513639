"""Third-party card payments, from their file to decisions: each once."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import msgspec
import pytest

from tests.support.deployment import Deployment, each_record, settled
from tests.support.nursery import run_command
from tests.support.worker import environment

pytestmark = [pytest.mark.kafka, pytest.mark.data]

LIMIT, LIMIT_LARGE = 40_000, 300_000


class Decided(msgspec.Struct):
    """The part of a decision that is looked at."""

    payment_id: str


@pytest.fixture
def handbook() -> Path:
    """The file of the Fraud Detection Handbook's payments."""
    folder = Path(os.environ.get("TOCSIN_DATA", Path(__file__).parents[3] / "shared" / "data"))
    file = folder / "fdh_raw.parquet"
    if not file.is_file():
        pytest.skip(f"no third-party data: {file} is not there (set TOCSIN_DATA)")
    return file


def test_card_payments_from_a_file_give_as_many_decisions_each_payment_once(
    deployment: Deployment, handbook: Path, large: bool
) -> None:
    limit = LIMIT_LARGE if large else LIMIT
    deployment.worker().start()
    done = run_command(
        ["replay", str(handbook), "--mapping", "handbook", "--limit", str(limit), "--json"],
        environment(deployment.settings),
        deployment.folder,
    )
    assert done.returncode == 0, done.stderr.decode() + done.stdout.decode()
    decided = asyncio.run(decided_ids(deployment))
    assert len(decided) == limit
    assert set(decided) == {str(number) for number in range(limit)}


async def decided_ids(deployment: Deployment) -> list[str]:
    """The payment id of every decision, once all payments are through."""
    await settled(deployment)
    topics = deployment.settings.topics
    read = msgspec.json.Decoder(Decided)
    ids = [read.decode(record.value).payment_id async for record in each_record(deployment, topics.decisions)]
    assert [record async for record in each_record(deployment, topics.dead_letters)] == []
    return ids

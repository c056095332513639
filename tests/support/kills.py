"""Killing a worker again and again at drawn moments, under load, and then letting it finish."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import orjson

from services.scorer.path.scoring.model import LogisticModel
from tests.support.deployment import Deployment, Observer, each_record, observer, settled
from tests.support.load import Load
from tests.support.payments import Entry
from tests.support.worker import Worker

KILLS = 10
START_UP_S = (1.0, 4.0)
"""When a worker is still loading, joining or restoring, or has just begun."""


async def run_killed(
    deployment: Deployment, log: Sequence[Entry], seed: int, models: Sequence[LogisticModel] = ()
) -> Worker:
    """Send ``log`` while a scorer works on it and is killed ten times; ``models`` are announced in between.

    Three kills in ten fall at a drawn time after the start, the others once a drawn number of records was written, in
    the middle of transactions. After an announcement they fall only once a decision of that model, or of the pinned
    one, is committed: what is written may all be of a transaction that the kill cuts off. Returns when every payment is
    through, with the worker running.
    """
    draw = random.Random(seed)
    worker = deployment.worker()
    announcements = dict(zip(draw.sample(range(1, KILLS), len(models)), models, strict=True))
    load = Load(deployment, log, KILLS + 1)
    sending = asyncio.create_task(load.run())
    try:
        for kill in range(KILLS):
            load.next_phase()
            worker.start()
            moment = draw.randrange(1, len(log) * 3 // 4 // KILLS)  # a phase gives nine decisions for ten payments
            if kill in announcements:
                await deployment.announce(announcements[kill])
                await decided(deployment, deployment.settings.pinned_model or announcements[kill].hash)
            elif kill in (2, 5, 8):
                await asyncio.sleep(draw.uniform(*START_UP_S))
            else:
                await written(deployment, moment)
            worker.kill()
        load.all_phases()
        worker.start()
        await sending
    finally:
        sending.cancel()
    await settled(deployment)
    return worker


async def written(deployment: Deployment, count: int, since: int | None = None) -> None:
    """Return once ``count`` more records stand in the two hops' output topics than at ``since``, by default now."""
    async with observer(deployment) as seen:
        before = await _written(seen, deployment) if since is None else since

        async def grown() -> bool | None:
            return await _written(seen, deployment) >= before + count or None

        await deployment.wait_for(grown, f"{count} more records are written")


async def decided(deployment: Deployment, model_hash: str) -> None:
    """Return once a decision of that model is committed."""

    async def found() -> bool | None:
        committed = [each async for each in each_record(deployment, deployment.settings.topics.decisions)]
        return any(model_hash.startswith(orjson.loads(each.value)["model"]) for each in committed) or None

    await deployment.wait_for(found, f"model {model_hash[:12]} decides")


async def written_so_far(deployment: Deployment) -> int:
    """How many records stand in the two hops' output topics, committed or not."""
    async with observer(deployment) as seen:
        return await _written(seen, deployment)


async def _written(seen: Observer, deployment: Deployment) -> int:
    topics = deployment.settings.topics
    return sum([sum(await seen.ends(topic)) for topic in (topics.payments_by_payee, topics.decisions)])

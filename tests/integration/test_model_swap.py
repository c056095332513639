"""Workers score with the model announced last, without a restart; what they cannot use they refuse, and go on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pydantic import SecretStr

from services.broker.probe import free_ports
from services.contract.announcement import ModelAnnouncement
from services.kafka.announcing import announce, read_champion, write_champion
from services.learner.champion import promoted, rolled_back
from services.scorer.path.scoring.model import LogisticModel, untrained_model
from tests.support.deployment import Deployment, producer, read_logs, send, settled
from tests.support.models import announcement_of, random_model
from tests.support.offline import schema_hash
from tests.support.payments import payment_ids
from tests.support.scrape import exposition, samples, total
from tests.support.served import rows_of

pytestmark = pytest.mark.kafka

ONE_PARTITION = pytest.mark.parametrize("deployment", [{"partitions": 1}], indirect=True)


class Probe:
    """Sends payments, a few at a time, and tells which models decided them."""

    def __init__(self, deployment: Deployment, port: int, rounds: int) -> None:
        self._deployment, self._port = deployment, port
        self._rounds = rounds

    async def models(self) -> set[str]:
        """The models that decide the next few payments."""
        self._rounds += 1
        asked = payment_ids(self._rounds, 5, f"round-{self._rounds}")
        async with producer(self._deployment.settings) as sending:
            await send(sending, self._deployment, asked)
        await settled(self._deployment)
        (log,) = await read_logs(self._deployment, self._deployment.settings.topics.features)
        return {row.by.model_hash for row in rows_of(log)[-len(asked) :]}

    async def until(self, model: LogisticModel) -> None:
        """Return once ``model`` decides, which takes more than one round if the swap comes in the middle of one."""

        async def swapped() -> bool | None:
            return await self.models() == {model.hash} or None

        await self._deployment.wait_for(swapped, f"model {model.version} decides")

    async def until_refused(self, count: int) -> None:
        """Return once the worker has counted so many refused models."""

        async def refused() -> bool | None:
            found = samples(exposition(self._port))
            return total(found, "tocsin_models_refused_total") == count or None

        await self._deployment.wait_for(refused, f"{count} models are refused")

    def in_use(self) -> set[str]:
        """The versions that the worker shows as in use."""
        found = samples(exposition(self._port))
        return {
            dict(labels)["version"] for (name, labels), value in found.items() if name == "tocsin_model_info" and value
        }


@contextmanager
def probed(deployment: Deployment, rounds: int = 0) -> Iterator[Probe]:
    """A running worker, and a probe to it, after ``rounds`` by others. It is stopped in order, never restarted."""
    (port,) = free_ports(1)
    worker = deployment.worker(metrics_port=port)
    worker.start()
    yield Probe(deployment, port, rounds)
    worker.stop()
    assert worker.starts == 1


@ONE_PARTITION
def test_a_worker_scores_with_the_model_announced_last_without_a_restart(deployment: Deployment) -> None:
    schema = schema_hash(deployment.settings)

    async def swaps(probe: Probe) -> None:
        assert await probe.models() == {untrained_model(schema).hash}
        for version in (1, 2):
            await deployment.announce(random_model(version, schema))
            await probe.until(random_model(version, schema))
            assert probe.in_use() == {str(version)}

    with probed(deployment) as probe:
        asyncio.run(swaps(probe))


@ONE_PARTITION
def test_a_model_that_cannot_be_used_is_refused_and_counted_and_the_one_in_use_stays(deployment: Deployment) -> None:
    schema = schema_hash(deployment.settings)
    good = random_model(1, schema)

    async def refusals(probe: Probe) -> None:
        await deployment.announce(good)
        await probe.until(good)
        other = random_model(2, "f" * 64)
        await deployment.announce(other)
        await deployment.announce(random_model(2, "e" * 64), challenger=True)  # nobody here would score with it
        await deployment.announce(random_model(3, schema), model_hash="0" * 64)
        await deployment.announce(random_model(4, schema), weights=(1.0, 2.0))
        await deployment.announce(random_model(5, schema), kind="oracle")
        async with producer(deployment.settings) as sending:
            await sending.send_and_wait(deployment.settings.topics.models.name, b"\xff{", b"6", partition=0)
            await sending.send_and_wait(deployment.settings.topics.models.name, None, b"7", partition=0)
        await probe.until_refused(5)
        assert await probe.models() == {good.hash}
        assert probe.in_use() == {"1"}
        await deployment.announce(random_model(8, schema))
        await probe.until(random_model(8, schema))
        await probe.until_refused(5)

    with probed(deployment) as probe:
        asyncio.run(refusals(probe))


@ONE_PARTITION
def test_a_pinned_model_is_never_swapped(deployment: Deployment) -> None:
    """The deployment's own settings pin nothing: they are made again with the model's hash in them."""
    schema = schema_hash(deployment.settings)
    pinned = random_model(1, schema)
    own = {name: getattr(deployment.settings, name) for name in deployment.settings.model_fields_set}
    deployment.settings = type(deployment.settings)(**own | {"pinned_model": pinned.hash})

    async def stays(probe: Probe) -> None:
        await deployment.announce(random_model(3, schema))
        await deployment.announce(random_model(4, "f" * 64))
        await probe.until_refused(1)
        assert await probe.models() == {pinned.hash}
        assert probe.in_use() == {"1"}

    asyncio.run(deployment.announce(pinned))
    asyncio.run(deployment.announce(random_model(2, schema)))
    with probed(deployment) as probe:
        asyncio.run(stays(probe))


@ONE_PARTITION
def test_a_champion_scores_whatever_is_announced_until_the_choice_goes_back_to_the_learner(
    deployment: Deployment,
) -> None:
    schema = schema_hash(deployment.settings)
    models = {at: random_model(at, schema) for at in range(1, 6)}

    def load(_name: str, version: int) -> ModelAnnouncement:
        return announcement_of(models[version])

    async def chosen(probe: Probe) -> None:
        settings = deployment.settings
        for version in (1, 2):
            await deployment.announce(models[version])
        await probe.until(models[2])
        for version in (1, 3):
            await write_champion(settings, promoted(announcement_of(models[version]), await read_champion(settings)))
            await probe.until(models[version])
        await deployment.announce(models[4])
        assert await probe.models() == {models[3].hash}
        await write_champion(settings, rolled_back(await read_champion(settings), load))
        await probe.until(models[1])
        await write_champion(settings, rolled_back(await read_champion(settings), load))
        assert await read_champion(settings) is None
        await probe.until(models[4])

    async def is_found_by_a_new_worker(probe: Probe) -> None:
        assert await probe.models() == {models[5].hash}

    with probed(deployment) as probe:
        asyncio.run(chosen(probe))
    asyncio.run(write_champion(deployment.settings, promoted(announcement_of(models[5]), None)))
    with probed(deployment, rounds=1_000) as probe:
        asyncio.run(is_found_by_a_new_worker(probe))


@pytest.mark.parametrize("deployment", [{"partitions": 1, "models_key": "of this deployment"}], indirect=True)
def test_with_a_key_only_what_is_signed_takes_over_or_takes_away(deployment: Deployment) -> None:
    settings, schema = deployment.settings, schema_hash(deployment.settings)
    first, second, forged = (random_model(version, schema) for version in (1, 2, 3))
    another = settings.model_copy(update={"models_key": SecretStr("of another deployment")})

    async def holds(probe: Probe) -> None:
        await announce(settings, announcement_of(first))
        await probe.until(first)
        await deployment.announce(forged)
        await announce(another, announcement_of(forged))
        await write_champion(another, promoted(announcement_of(forged), None))
        await probe.until_refused(3)
        assert await probe.models() == {first.hash}
        await write_champion(settings, promoted(announcement_of(second), None))
        await probe.until(second)
        await write_champion(another, None)
        await write_champion(another.model_copy(update={"models_key": SecretStr("")}), None)
        await probe.until_refused(5)
        assert await probe.models() == {second.hash}
        await write_champion(settings, None)
        await probe.until(first)

    with probed(deployment) as probe:
        asyncio.run(holds(probe))
    assert asyncio.run(read_champion(settings)) is None
    worker = deployment.workers[-1].tail()
    assert "not signed" in worker

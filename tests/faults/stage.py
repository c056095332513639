"""Where faults are played: a scorer, a learner and a shadow, each behind a network of its own, under a load."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import orjson

from services.broker.probe import free_ports
from services.contract.events import PAYMENT_LABEL, is_event
from services.contract.topics import Topic
from services.scorer.path.scoring.model import LogisticModel
from tests.faults.forms import ROLES, Form, Table
from tests.support.deployment import Deployment, observer, producer, read_logs, send
from tests.support.hostile import canary_entries, canary_label
from tests.support.live import label_of
from tests.support.offline import genuine, schema_hash
from tests.support.payments import Entry, payment_log
from tests.support.proxied import ProxiedBroker
from tests.support.proxy import Proxy
from tests.support.worker import Worker

SEED = 11
CANARIES = 12
LOAD_PAUSE_S = 0.4


class Stage:
    """One deployment under fault: its workers by role, their proxies, and what was sent so far."""

    def __init__(self, broker: ProxiedBroker, deployment: Deployment, form: Form) -> None:
        self.broker, self.deployment, self.form = broker, deployment, form
        self.settings = deployment.settings
        self.schema = schema_hash(self.settings)
        self.ports = dict(zip(ROLES, free_ports(len(ROLES)), strict=True))
        self.workers: dict[str, Worker] = {
            role: deployment.worker(role, role, bootstrap=broker.proxies[role].bootstrap, metrics_port=self.ports[role])
            for role in ROLES
        }
        self.sent: list[Entry] = canary_entries(CANARIES)
        self.models: list[LogisticModel] = []
        """That may have scored beside those of the learner."""
        self._unsent = payment_log(SEED, 40 * form.payments)
        self._labelled = 0
        self._greeted = False

    @property
    def proxies(self) -> dict[str, Proxy]:
        """The network of each role."""
        return {role: self.broker.proxies[role] for role in ROLES}

    def start(self) -> bool:
        """Start the workers that do not run; returns whether there were any."""
        absent = [worker for worker in self.workers.values() if not worker.alive]
        for worker in absent:
            worker.start()
        return bool(absent)

    async def up(self) -> None:
        """No fault, and all workers at work: where each test begins, whatever was before it."""
        self.broker.heal()
        if not self.broker.broker.running:
            await asyncio.to_thread(self.broker.broker.start)
        if self.start():
            await self.feed()
            await self.decided()

    async def greet(self) -> None:
        """Send the canaries and their labels, once."""
        if self._greeted:
            return
        self._greeted = True
        async with producer(self.settings) as sending:
            await send(sending, self.deployment, self.sent)
            for at in range(CANARIES):
                await sending.send_and_wait(self.settings.topics.labels.name, canary_label(at), b"canary")

    async def feed(self, payments: int = 0, pause_s: float = 0.0, slice_payments: int = 50) -> None:
        """Send the next ``payments`` (a round, by default), and a label for each one before them that has none."""
        await self.greet()
        count = payments or self.form.payments
        fresh, self._unsent = self._unsent[:count], self._unsent[count:]
        assert len(fresh) == count, "the stage has no more payments: let it begin with more"
        async with producer(self.settings) as sending:
            for at in range(0, count, slice_payments):
                await send(sending, self.deployment, fresh[at : at + slice_payments])
                await asyncio.sleep(pause_s)
            self.sent += fresh
            labels = [
                label_of(each) for each in self.sent[CANARIES + self._labelled : -count] if each.fate == "decided"
            ]
            self._labelled = len(self.sent) - CANARIES - count
            for label in labels:
                await sending.send(self.settings.topics.labels.name, *label)
            await sending.flush()

    @asynccontextmanager
    async def under_load(self) -> AsyncIterator[None]:
        """A small load while the block lasts."""
        over = asyncio.Event()

        async def feeding() -> None:
            while not over.is_set():
                await self.feed(payments=10)
                await asyncio.sleep(LOAD_PAUSE_S)

        load = asyncio.create_task(feeding())
        try:
            yield
        finally:
            over.set()
            await load

    async def took_in(self, log: Sequence[Entry]) -> None:
        """Count in what somebody else has sent: ``log``, and as repeats what else of payments the topic holds."""
        self.sent += log
        records = [each for part in await read_logs(self.deployment, self.settings.topics.payments) for each in part]
        more = sum(not is_event(each.headers, PAYMENT_LABEL) for each in records) - len(self.sent)
        self.sent += [Entry(b"", b"", "repeat")] * more

    async def decided(self) -> None:
        """Return once everything has been through all workers: payments, reviews, decisions, and the labels' features.

        Labels come back as records of ``payments.v1``, so the scorer is waited for before the learner and after it.
        """
        topics = self.settings.topics
        path = [("payer", topics.payments), ("payee", topics.payments_by_payee), ("subject", topics.evidence)]
        path.append(("alerter", topics.reviews))
        after = [("learner", topics.features), ("learner", topics.labels), ("shadow", topics.features)]
        async with observer(self.deployment) as seen:
            for group, topic in (*path, *after, *path):
                last = [log[-1].offset + 1 if log else 0 for log in await read_logs(self.deployment, topic)]

                async def done(group: str = group, topic: Topic = topic, last: list[int] = last) -> bool | None:
                    committed = await seen.committed(f"{self.settings.identity}.{group}", topic)
                    places = zip(last, committed, await seen.ends(topic), strict=True)
                    return all(enough <= at <= end for enough, at, end in places) or None

                await self.deployment.wait_for(done, f"{group} reaches the end of {topic.name}, {last}")

    async def comes(self, reached: threading.Event, what: str) -> None:
        """Return once a trap has caught what it was set for. Fails when a worker ends."""

        async def caught() -> bool | None:
            return reached.is_set() or None

        await self.deployment.wait_for(caught, what)

    async def recovered(self, table: Table, fault: str, workers: str = ", ".join(ROLES)) -> None:
        """Wait until all is decided, and tell how long that took and what it cost: nothing."""
        began = time.monotonic()
        await self.decided()
        seconds = time.monotonic() - began
        lost, doubled = await self.lost_and_doubled()
        table.add(fault, workers, seconds, lost, doubled)
        if (lost, doubled) != (0, 0):
            raise AssertionError(f"{lost} payments lost, {doubled} decided beyond once:\n{await self.decided_again()}")

    async def lost_and_doubled(self) -> tuple[int, int]:
        """Of the payments sent: those without a decision, and decisions beyond the first."""
        expected = Counter(each.identity for each in self.sent if each.fate == "decided")
        return await lost_and_doubled(self.deployment, expected)

    async def decided_again(self) -> str:
        """The payments with several decisions: where each was read, and where its decisions stand."""
        seen: dict[tuple[str, str], list[str]] = {}
        for log in genuine(await read_logs(self.deployment, self.settings.topics.decisions)):
            for record, name in zip(log, identities(record.value for record in log), strict=True):
                origin = orjson.loads(record.value)["origin"]
                seen.setdefault(name, []).append(f"{origin} at {record.partition}/{record.offset}")
        sent = {each.identity for each in self.sent}
        return "\n".join(
            f"{name}{'' if name in sent else ', which was not sent'}: {'; '.join(where)}"
            for name, where in seen.items()
            if len(where) > 1 or name not in sent
        )

    def logs(self) -> list[tuple[str, Path]]:
        """The logs of the workers."""
        return [(worker.name, worker.log) for worker in self.deployment.workers]


async def lost_and_doubled(deployment: Deployment, expected: Counter[tuple[str, str]]) -> tuple[int, int]:
    """How many of the ``expected`` payments have no decision, and how many decisions there are beyond the first."""
    found: Counter[tuple[str, str]] = Counter()
    for log in genuine(await read_logs(deployment, deployment.settings.topics.decisions)):
        found.update(identities(record.value for record in log))
    return sum((expected - found).values()), sum((found - expected).values())


def identities(decisions: Iterable[bytes]) -> Iterator[tuple[str, str]]:
    """Tenant and payment id of each decision."""
    for value in decisions:
        decision = orjson.loads(value)
        yield decision["tenant"], decision["payment_id"]

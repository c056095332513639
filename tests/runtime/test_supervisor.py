"""What passes is waited out, what people must decide is told once, and a bug ends the loop."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaConnectionError, KafkaTimeoutError, OffsetOutOfRangeError, ProducerFenced
from aiokafka.structs import TopicPartition

from services.runtime import supervisor
from services.runtime.health import Loop
from services.runtime.supervisor import NeedsPeople, passes, patiently, supervise


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PAUSE_S", "PAUSE_S_MAX", "LOOK_AGAIN_S"):
        monkeypatch.setattr(supervisor, name, 0.001)


class Attempts:
    """Attempts that end as they are told to, one after the other; the last ends the loop."""

    def __init__(self, *ends: BaseException | Callable[[Loop], None]) -> None:
        self._ends = list(ends)
        self.loop = Loop("joiner", lambda: 0.0)
        self.counted: Counter[str] = Counter()
        self.states: list[str] = []

    async def attempt(self) -> None:
        self.states.append(self.loop.state)
        end = self._ends.pop(0)
        if isinstance(end, BaseException):
            raise end
        end(self.loop)

    def count(self, loop: str, fault: str) -> None:
        self.counted[fault] += 1

    def run(self, attempts_max: int = 0) -> None:
        asyncio.run(supervise(self.loop, self.attempt, lambda: not self._ends, self.count, attempts_max))


@pytest.mark.parametrize(
    "error, may_pass",
    [
        (KafkaConnectionError("nobody there"), True),
        (ProducerFenced(), True),
        (OffsetOutOfRangeError({}), True),
        (TimeoutError(), True),
        (ConnectionResetError(), True),
        (ValueError("a bug"), False),
        (AssertionError("a bug"), False),
        (NeedsPeople("decide"), False),
    ],
)
def test_which_faults_may_pass(error: Exception, may_pass: bool) -> None:
    assert passes(error) == may_pass


def test_whatever_is_raised_within_kafkas_client_is_its_own_and_passes() -> None:
    with pytest.raises(AssertionError) as raised:
        asyncio.run(_use_wrongly())
    assert passes(raised.value)


async def _use_wrongly() -> None:
    consumer = AIOKafkaConsumer(bootstrap_servers="127.0.0.1:1")
    try:
        consumer.last_poll_timestamp(TopicPartition("never assigned", 0))
    finally:
        await consumer.stop()


def test_faults_that_pass_are_waited_out_and_counted() -> None:
    attempts = Attempts(KafkaTimeoutError(), ConnectionResetError(), Loop.step)
    attempts.run()
    assert attempts.states == ["starting", "retrying", "retrying"]
    assert attempts.loop.state == "running"
    assert attempts.counted == {"KafkaTimeoutError": 1, "ConnectionResetError": 1}


def test_what_people_must_decide_is_said_once_however_often_it_is_looked_at(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    attempts = Attempts(NeedsPeople("run tocsin topics accept"), NeedsPeople("run tocsin topics accept"), Loop.step)
    attempts.run()
    assert attempts.states == ["starting", "stopped", "stopped"]
    assert attempts.loop.state == "running"
    assert [record.getMessage() for record in caplog.records] == ["joiner is stopped: run tocsin topics accept"]


def test_a_bug_leaves_at_once() -> None:
    attempts = Attempts(ValueError("a bug"), Loop.step)
    with pytest.raises(ValueError, match="a bug"):
        attempts.run()
    assert attempts.states == ["starting"]


def test_a_fault_that_keeps_coming_back_leaves_after_the_attempts_it_is_given() -> None:
    attempts = Attempts(*[KafkaTimeoutError()] * 5)
    with pytest.raises(KafkaTimeoutError):
        attempts.run(attempts_max=3)
    assert len(attempts.states) == 3


def test_a_step_in_between_begins_the_count_anew() -> None:
    def stepped_then_lost(loop: Loop) -> None:
        loop.step()
        raise KafkaTimeoutError

    attempts = Attempts(KafkaTimeoutError(), stepped_then_lost, KafkaTimeoutError(), stepped_then_lost, Loop.step)
    attempts.run(attempts_max=3)
    assert len(attempts.states) == 5


def test_no_message_of_a_foreign_error_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    Attempts(KafkaTimeoutError("canary-9d41"), Loop.step).run()
    assert "KafkaTimeoutError" in caplog.text
    assert "canary" not in caplog.text


def test_patience_does_the_work_once_through_what_passes() -> None:
    faults: list[Exception] = [KafkaTimeoutError(), TimeoutError()]
    done: list[str] = []

    async def work() -> None:
        if faults:
            raise faults.pop(0)
        done.append("done")

    loop = Loop("topics", lambda: 0.0)
    asyncio.run(patiently(loop, work, lambda loop, fault: None))
    assert (done, loop.state) == (["done"], "running")

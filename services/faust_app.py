"""The Faust app that hosts a worker: broker, security and quiet defaults, in one place."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping
from typing import Any

import faust
from aiokafka import AIOKafkaConsumer
from faust.auth import SASLCredentials, SSLCredentials
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport
from mode.threads import WorkerThread

from services.settings import Settings


class _DaemonThread(WorkerThread):  # type: ignore[misc]
    """Ends with the process."""

    def __init__(self, service: AIOKafkaConsumerThread, **options: Any) -> None:
        super().__init__(service, **options)
        self.daemon = True


class _Thread(AIOKafkaConsumerThread):  # type: ignore[misc]
    """Reads committed records only where lanes write transactions. Faust itself does so where it writes them.

    A review of a batch that was cut off by a crash never was, and comes again.
    """

    Worker = _DaemonThread
    shutdown_timeout = 5.0
    """Seconds. Told to stop while it joins its group, the thread never ends, and neither did the worker."""

    def _create_worker_consumer(self, transport: Transport) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        if self.app.read_committed:
            consumer._isolation_level = "read_committed"  # read when the consumer starts; Faust has no setting for it
        return consumer


class _Consumer(Consumer):  # type: ignore[misc]
    """Goes on after a rebalance where the committed positions are, and discards what was fetched before.

    After a rebalance Faust 0.15 resumes the streams' partitions, and only then seeks to the committed positions. What
    is fetched in between lies further on; passed to the agent, it makes all before it, which is read again, look old:
    those records would never be processed, and the position never committed. Nor does it seek at all in a partition of
    which nothing was committed yet, though it dropped what it had buffered of it.
    """

    _seeks = 0
    _seeking = False

    async def perform_seek(self) -> None:
        self._seeks += 1
        self._seeking = True
        try:
            await super().perform_seek()
        finally:
            self._seeking = False
            self._seeks += 1

    async def seek_to_committed(self) -> Mapping[Any, int | None]:
        committed: Mapping[Any, int | None] = await super().seek_to_committed()
        for source, offset in committed.items():
            if not offset and self.app.topics.acks_enabled_for(source.topic):  # a changelog is not sought
                await self.seek(source, 0)
        return committed

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[Any, Any]]:
        seeks = self._seeks
        async for source, message in super().getmany(timeout):
            stale = self._seeking or seeks != self._seeks
            if not stale or not self.app.topics.acks_enabled_for(message.topic):
                yield source, message

    def _new_consumer_thread(self) -> AIOKafkaConsumerThread:
        return _Thread(self, loop=self.loop, beacon=self.beacon)


class _Transport(Transport):  # type: ignore[misc]
    Consumer = _Consumer


class _App(faust.App):  # type: ignore[misc]
    read_committed = True

    def _new_transport(self) -> Transport:
        return _Transport(self.conf.broker_consumer, self)


def create_app(settings: Settings, role: str) -> faust.App:
    """A Faust app for a worker of ``role``. Its web server is off: metrics have a port of their own."""
    options: dict[str, Any] = {}
    folder = settings.state_dir / role
    folder.mkdir(parents=True, exist_ok=True)  # Faust makes only the last of its folders
    credentials = _credentials(settings)
    if credentials is not None:
        options["broker_credentials"] = credentials
    app = _App(
        f"{settings.identity}-{role}",
        broker=[f"aiokafka://{server}" for server in settings.bootstrap.split(",")],
        store="memory://",
        datadir=str(folder),
        web_enabled=False,
        topic_partitions=settings.partitions,
        topic_replication_factor=settings.replication_factor,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        broker_session_timeout=settings.session_timeout_ms / 1_000,
        broker_heartbeat_interval=max(0.3, settings.session_timeout_ms / 5_000),
        stream_wait_empty=False,
        **options,
    )
    app.read_committed = settings.delivery == "exactly_once"
    return app


def raw_schema() -> faust.Schema:
    """Keys and values as bytes. One for each topic and table: Faust changes the schema of a table's changelog."""
    return faust.Schema(key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")


def _credentials(settings: Settings) -> SASLCredentials | SSLCredentials | None:
    if settings.security_protocol == "PLAINTEXT":
        return None
    context = None
    if settings.security_protocol.endswith("SSL"):
        context = ssl.create_default_context(cafile=str(settings.ssl_cafile) if settings.ssl_cafile else None)
    if settings.security_protocol == "SSL":
        return SSLCredentials(context)
    return SASLCredentials(
        mechanism=settings.sasl_mechanism,
        username=settings.sasl_username,
        password=settings.sasl_password.get_secret_value(),
        ssl_context=context,
    )

"""Apache Kafka on the loopback address: one KRaft node, broker and controller in one process, without Docker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final, Literal

from services.broker.errors import BrokerError, PortTaken
from services.broker.jars import resolve_jars
from services.broker.java import Java, find_java
from services.broker.local import Broker
from services.broker.probe import free_ports
from services.broker.process import tail
from services.broker.single_node import (
    AFTER_CRASH,
    bootstrap_checkpoint,
    class_path,
    ended_in_order,
    format_logs,
    server_properties,
)

HEAP_MB: Final = 768
LOG_CONFIGURATION: Final = Path(__file__).with_name("log4j2.json")
_BIND_FAILURES = ("Address already in use", "BindException")


class KafkaBroker(Broker):
    """A single-node Apache Kafka, started and ended by this process; it does not outlive it.

    ``Broker`` says what ``start``, ``stop``, ``kill``, ``restart`` and ``close`` do. Records are kept in
    ``data_dir`` over any of them but ``close``, and by ``close`` too if ``data_dir`` was given.

    Parameters
    ----------
    data_dir
        Folder of records, configuration and logs (``server.log``), created if need be; ``None``: a temporary one.
    heap_mb
        Java heap, in MiB.
    settings
        Kafka settings that win over those of ``single_node.SETTINGS_FILE``.
    java_options
        Options of Java that come after, and so win over, the broker's own. ``-XX:TieredStopAtLevel=1`` leaves
        out the optimising compiler: on two cores that took 40 % off the broker's processor time, and made runs of
        8 s faster and those of 25 s slower.
    java, jars
        The runtime and the jars to use; ``None``: found and resolved at the first start.
    """

    kind: ClassVar[str] = "apache-kafka-4.3.1"
    delivery: ClassVar[Literal["exactly_once", "at_least_once"]] = "exactly_once"
    start_timeout_s: ClassVar[float] = 90.0
    stop_timeout_s: ClassVar[float] = 30.0

    def __init__(
        self,
        *,
        port: int | None = None,
        data_dir: Path | None = None,
        heap_mb: int = HEAP_MB,
        settings: Mapping[str, str] | None = None,
        java_options: Sequence[str] = (),
        java: Java | None = None,
        jars: list[Path] | None = None,
    ) -> None:
        if data_dir is not None and "," in str(data_dir):
            raise BrokerError(f"data_dir {data_dir}: Kafka would take the comma for the end of a path")
        super().__init__(port=port, data_dir=data_dir)
        self._heap_mb = heap_mb
        self._settings = dict(settings or {})
        self._java_options = tuple(java_options)
        self._java = java
        self._jars = jars

    @property
    def log(self) -> Path:
        """The server's log, warnings and worse."""
        return self.folder / "server.log"

    def _configure(self, port: int) -> tuple[list[str], str]:
        self._java, self._jars = java, jars = self._java or find_java(), self._jars or resolve_jars()
        logs = self.folder / "records"
        cluster = format_logs(logs, bootstrap_checkpoint(java, jars))
        properties = self.folder / "server.properties"
        controller_port = next(free for free in free_ports(2) if free != port)
        settings = self._settings if ended_in_order(logs) else {**AFTER_CRASH, **self._settings}
        properties.write_text(server_properties(port, controller_port, logs, settings))
        if self.log.exists():
            self.log.replace(self.folder / "server.previous.log")
        command = [str(java.path), *java.options, f"-Xms{self._heap_mb}m", f"-Xmx{self._heap_mb}m"]
        command += ["-XX:MaxGCPauseMillis=20", "-XX:+ExitOnOutOfMemoryError", *self._java_options]
        command += [f"-Dlog4j2.configurationFile={LOG_CONFIGURATION}", f"-Dtocsin.logs={self.folder}"]
        return [*command, "-cp", class_path(jars), "kafka.Kafka", str(properties)], cluster

    def _failure(self) -> BrokerError:
        said = tail(self.log, self.process.console)
        kind = PortTaken if any(sign in said for sign in _BIND_FAILURES) else BrokerError
        return kind(f"Kafka ended with status {self.process.status} before it served. Its log ends:\n{said}")

"""The configuration of a one-node broker, and the formatting of its data folder."""

from __future__ import annotations

import base64
import os
import re
import subprocess
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from services.broker.errors import BrokerError
from services.broker.java import Java
from services.broker.probe import HOST
from services.broker.process import run_to_end
from services.runtime.files import write_durably

NODE: Final = 1
MESSAGE_BYTES_MAX: Final = 8 * 1024 * 1024
"""Largest record batch, in bytes."""

FORMAT_TIMEOUT_S: Final = 120.0

SETTINGS_FILE: Final = Path(__file__).with_name("server.properties")
AFTER_CRASH: Final[Mapping[str, str]] = {
    "broker.session.timeout.ms": "1500",
    "broker.heartbeat.interval.ms": "500",
}
"""Settings of a start on the data of a broker that was killed. The controller does not admit it before the session of
its former life is over, nine seconds by default; elsewhere the default stays, a starved machine is not fenced off."""


def server_properties(port: int, controller_port: int, logs: Path, extra: Mapping[str, str]) -> str:
    """The text of ``server.properties``: that of ``SETTINGS_FILE``, and later lines, which win, ``extra`` over all."""
    settings = {
        "node.id": NODE,
        "message.max.bytes": MESSAGE_BYTES_MAX,
        "replica.fetch.max.bytes": MESSAGE_BYTES_MAX,
        "socket.request.max.bytes": 8 * MESSAGE_BYTES_MAX,
        "controller.quorum.voters": f"{NODE}@{HOST}:{controller_port}",
        "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
        "log.dirs": f"{logs}".replace("\\", "\\\\"),
        **extra,
    }
    return SETTINGS_FILE.read_text() + "".join(f"{name}={value}\n" for name, value in settings.items())


def format_logs(logs: Path, bootstrap: Path) -> str:
    """Format ``logs`` as Kafka's own tool does, unless it is formatted, and return the id of its cluster.

    ``bootstrap`` is the ``bootstrap.checkpoint`` to start with (``bootstrap_checkpoint``). ``meta.properties`` is
    renamed into place last: a folder that has it is whole.
    """
    meta = logs / "meta.properties"
    if not meta.exists():
        write_durably(logs / "bootstrap.checkpoint", bootstrap.read_bytes())
        lines = ["version=1", f"node.id={NODE}", f"cluster.id={_random_id()}", f"directory.id={_random_id()}"]
        write_durably(meta, ("\n".join(lines) + "\n").encode())
    return _cluster_id(meta)


def bootstrap_checkpoint(java: Java, jars: list[Path]) -> Path:
    """The file of feature levels that a new cluster starts with, as written once by Kafka's storage tool.

    It has nothing of one cluster in it, and is kept beside the jars: formatting with the tool takes a second of
    Java's start each time, copying the file takes none.
    """
    kept = jars[0].parent / "bootstrap.checkpoint"
    if not kept.exists():
        with tempfile.TemporaryDirectory(prefix="tocsin-format-") as folder:
            work = Path(folder)
            (work / "server.properties").write_text(server_properties(9092, 9093, work / "logs", {}))
            _run_storage_tool(java, jars, work)
            write_durably(kept, (work / "logs" / "bootstrap.checkpoint").read_bytes())
    return kept


def ended_in_order(logs: Path) -> bool:
    """Whether ``logs`` was never used, or the broker that used it last shut down in order."""
    return not (logs / "__cluster_metadata-0").exists() or (logs / ".kafka_cleanshutdown").exists()


def class_path(jars: list[Path]) -> str:
    """The jars as Java wants them."""
    return os.pathsep.join(map(str, jars))


def _run_storage_tool(java: Java, jars: list[Path], work: Path) -> None:
    command: list[str | Path] = [
        java.path,
        "-Xmx256m",
        "-XX:TieredStopAtLevel=1",
        "-cp",
        class_path(jars),
        "kafka.tools.StorageTool",
    ]
    command += ["format", "-t", _random_id(), "-c", work / "server.properties"]
    try:
        done = run_to_end(command, FORMAT_TIMEOUT_S, cwd=work)
    except subprocess.TimeoutExpired as error:
        raise BrokerError(f"Kafka's storage tool did not end in {FORMAT_TIMEOUT_S:.0f} s") from error
    if done.returncode != 0:
        raise BrokerError(f"Kafka's storage tool failed with status {done.returncode}:\n{done.stderr[-2000:]}")


def _random_id() -> str:
    """A Kafka id: 16 random bytes in URL-safe base 64 without padding, not starting with a dash."""
    while (drawn := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        continue
    return drawn


def _cluster_id(meta: Path) -> str:
    named = re.search(r"^cluster\.id=(.+)$", meta.read_text(), re.MULTILINE)
    if named is None:
        raise BrokerError(f"data_dir: {meta} names no cluster.id; it is not a broker's folder")
    return named[1]

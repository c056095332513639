"""A broker that each of several kinds of clients reaches by a network of its own, and tests directly."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

from services.broker import KafkaBroker
from services.broker.probe import HOST, free_ports
from tests.broker_fixture import QUICK_JAVA
from tests.support.proxy import Proxy

HEAP_MB = 384
QUICK = {
    # A transaction whose producer is gone is aborted at once after its time: that of tests is short.
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "200",
    "log.cleaner.backoff.ms": "1000",
}


class ProxiedBroker:
    """A real Kafka with a listener for each of ``names``, whose advertised address is that of a ``Proxy``.

    So every connection of a client that begins there passes the proxy. ``bootstrap`` leads to the broker itself: there
    tests look on, whatever workers go through. The broker's own errands go there, too, unless ``errands`` is one of
    the names.
    """

    def __init__(self, names: Sequence[str], errands: str = "plaintext") -> None:
        self.proxies = {name: Proxy() for name in names}
        direct, controller, *ports = free_ports(2 + len(names))
        for proxy, port in zip(self.proxies.values(), ports, strict=True):
            proxy.target = port
        kinds = ["PLAINTEXT", *(name.upper() for name in names)]
        listening = [direct, *ports]
        advertised = [direct, *(proxy.port for proxy in self.proxies.values())]
        self.broker = KafkaBroker(
            port=direct,
            heap_mb=HEAP_MB,
            settings={
                **QUICK,
                "listeners": ",".join([*_addresses(kinds, listening), f"CONTROLLER://{HOST}:{controller}"]),
                "advertised.listeners": ",".join(_addresses(kinds, advertised)),
                "controller.quorum.voters": f"1@{HOST}:{controller}",
                "inter.broker.listener.name": errands.upper(),
                "listener.security.protocol.map": ",".join(f"{kind}:PLAINTEXT" for kind in [*kinds, "CONTROLLER"]),
            },
            java_options=QUICK_JAVA,
        )
        self._stack = ExitStack()

    @property
    def bootstrap(self) -> str:
        """The broker itself."""
        return self.broker.bootstrap

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self.broker)
            for proxy in self.proxies.values():
                stack.enter_context(proxy)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def heal(self) -> None:
        """No fault any more."""
        for proxy in self.proxies.values():
            proxy.heal()


def _addresses(kinds: Sequence[str], ports: Sequence[int]) -> list[str]:
    return [f"{kind}://{HOST}:{port}" for kind, port in zip(kinds, ports, strict=True)]


@contextmanager
def frozen(broker: KafkaBroker) -> Iterator[None]:
    """Stop the broker's Java where it stands (SIGSTOP), and let it go on at the end, if it lives.

    Its guard is not touched: it sees no end of its child, and ends a stopped one as it would any other.
    """
    java = _java_of(broker)
    os.kill(java, signal.SIGSTOP)
    try:
        yield
    finally:
        if broker.running:
            os.kill(java, signal.SIGCONT)


def _java_of(broker: KafkaBroker) -> int:
    """The process of the broker: the one that has its configuration on the command line and is no guard."""
    configuration = str(broker.folder / "server.properties").encode()
    for folder in Path("/proc").iterdir():
        try:
            command = (folder / "cmdline").read_bytes().split(b"\0") if folder.name.isdigit() else []
        except OSError:  # it has just ended
            continue
        if configuration in command and b"guard.py" not in b"".join(command[:4]):
            return int(folder.name)
    raise AssertionError(f"no Java runs on {broker.folder}")

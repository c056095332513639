"""What the demo waits for while the learner learns."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from prometheus_client import start_http_server

from services.broker.probe import free_ports
from services.demo.watch import Watch
from services.learner.measures import Measures
from services.runtime.metrics import Metrics


class Running:
    """Workers that never end."""

    def check(self) -> None:
        """All is well."""


def test_a_label_beyond_its_accounts_limit_is_not_waited_for() -> None:
    measures, (port,) = Measures(Metrics()), free_ports(1)
    measures.metrics.examples.labels("suspicious").inc(5)
    measures.skipped.labels("example_limited").inc(3)
    server, _ = start_http_server(port, "127.0.0.1", registry=measures.metrics.registry)

    async def waited() -> bool:
        watch = Watch(cast(Any, Running()), {"learner": port}, lambda seen: None)
        async with watch.reading():
            return await watch.until(lambda seen: seen.examples >= 8, lambda seen: seen.examples, stall_s=5.0)

    try:
        assert asyncio.run(waited())
    finally:
        server.shutdown()
        server.server_close()

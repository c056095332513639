"""A worker's own port: its metrics, and whether it lives and is ready. It answers from a thread of its own, so also
while the worker's event loop stands still."""

from __future__ import annotations

from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import orjson
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from services.runtime.health import Health

LIVE, READY, METRICS = "/live", "/ready", "/metrics"
_REQUEST_S = 10.0


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], registry: CollectorRegistry, health: Health) -> None:
        super().__init__(address, _Handler)
        self.registry, self.health = registry, health


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _REQUEST_S

    def do_GET(self) -> None:
        """Answer ``/metrics``, ``/live`` (200 while no loop stands still) and ``/ready`` (200 while all loops run)."""
        path = self.path.partition("?")[0]
        if path == METRICS:
            self._answer(HTTPStatus.OK, generate_latest(self.server.registry), CONTENT_TYPE_LATEST)
        elif path in (LIVE, READY):
            report = self.server.health.report()
            green = report.live if path == LIVE else report.ready
            status = HTTPStatus.OK if green else HTTPStatus.SERVICE_UNAVAILABLE
            self._answer(status, orjson.dumps(report), "application/json")
        else:
            self._answer(HTTPStatus.NOT_FOUND, b"/metrics, /live or /ready\n", "text/plain; charset=utf-8")

    def _answer(self, status: HTTPStatus, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """Whoever looks at health does so every few seconds: nothing is logged."""


def serve(host: str, port: int, registry: CollectorRegistry, health: Health) -> int:
    """Answer at ``http://host:port`` until the process ends; returns the port, a free one for 0.

    Raises
    ------
    OSError
        When the port is taken.
    """
    server = _Server((host, port), registry, health)
    Thread(target=server.serve_forever, name="health", daemon=True).start()
    return int(server.server_address[1])

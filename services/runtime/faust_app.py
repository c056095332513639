"""The Faust app that hosts a worker: it manages the life of the worker's services, from start to signal.

Records move through aiokafka in batches, so Faust's own Kafka clients and its web server stay closed.
"""

from __future__ import annotations

import faust
from faust.app.base import BootStrategy

from services.runtime.settings import Settings


class _Boot(BootStrategy):
    enable_kafka = False
    enable_web = False


class _App(faust.App):
    BootStrategy = _Boot


def create_app(settings: Settings, role: str) -> faust.App:
    """An app for a worker of ``role``, with nothing to do yet."""
    folder = settings.state_dir / "faust" / role
    folder.mkdir(parents=True, exist_ok=True)  # Faust makes only the last of its folders
    return _App(
        f"{settings.identity}-{role}",
        broker=[f"aiokafka://{server}" for server in settings.bootstrap.split(",")],
        store="memory://",
        datadir=str(folder),
        web_enabled=False,
        topic_disable_leader=True,
    )

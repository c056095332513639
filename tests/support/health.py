"""What a worker says of itself on its own port: alive, ready, and how each of its loops is."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import orjson

ANSWER_S = 3.0
"""Who does not answer within it is red."""
_POLL_S = 0.1


@dataclass(frozen=True)
class Answer:
    """Of ``/live`` or ``/ready``: whether it is green, and the report that came with it; none: no answer."""

    green: bool
    report: dict[str, Any] = field(default_factory=dict)

    @property
    def whys(self) -> str:
        """What the loops say, for assertions and for people."""
        return "; ".join(f"{each['name']} {each['state']} {each['why']}" for each in self.report.get("loops", ()))


def ask(port: int, path: str) -> Answer:
    """``GET`` of ``/live`` or ``/ready``."""
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=ANSWER_S) as answer:
            return Answer(answer.status == 200, orjson.loads(answer.read()))
    except HTTPError as error:
        return Answer(False, _report(error.read()))
    except (OSError, ValueError):
        return Answer(False)


def _report(body: bytes) -> dict[str, Any]:
    try:
        found: dict[str, Any] = orjson.loads(body)
    except ValueError:
        return {}
    return found


def live(port: int) -> bool:
    """Whether the worker at ``port`` says that it lives."""
    return ask(port, "/live").green


def ready(port: int) -> bool:
    """Whether the worker at ``port`` says that it is ready."""
    return ask(port, "/ready").green


def seconds_until(condition: Callable[[], bool], what: str, deadline_s: float) -> float:
    """How long it takes until ``condition`` holds; fails at the deadline. Blocks."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < deadline_s, f"not within {deadline_s:.0f} s: {what}"
        time.sleep(_POLL_S)
    return time.monotonic() - began

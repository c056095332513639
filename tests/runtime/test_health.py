"""Health turns red when a loop stands still, and tells what stands still from what waits for people."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import pytest
from prometheus_client import CollectorRegistry

from services.runtime.health import Health
from services.runtime.metrics import Metrics
from services.runtime.server import serve


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def test_a_loop_without_a_step_for_longer_than_the_limit_makes_the_worker_neither_live_nor_ready() -> None:
    clock = Clock()
    health = Health(stall_s=20.0, clock=clock)
    with health.loop("joiner") as loop:
        loop.step()
        clock.now_s += 20.0
        assert (health.report().live, health.report().ready) == (True, True)
        clock.now_s += 0.5
        report = health.report()
        assert (report.live, report.ready) == (False, False)
        assert report.red == ("joiner has taken no step for 20 s",)
        loop.step()
        assert health.report().ready


@pytest.mark.parametrize(
    "told, live, ready",
    [
        (lambda loop: None, True, False),  # on its way up
        (lambda loop: loop.step(), True, True),
        (lambda loop: loop.retries("KafkaTimeoutError, 1 in a row"), True, False),
        (lambda loop: loop.stop("decide"), True, False),
    ],
)
def test_ready_is_only_a_worker_whose_loops_all_run(told, live: bool, ready: bool) -> None:  # type: ignore[no-untyped-def]
    health = Health(clock=Clock())
    with health.loop("models") as other, health.loop("payments.v1[0]") as loop:
        other.step()
        told(loop)
        report = health.report()
        assert (report.live, report.ready) == (live, ready)


def test_a_stopped_loop_waits_for_people_and_is_never_taken_for_hung() -> None:
    clock = Clock()
    health = Health(stall_s=20.0, clock=clock)
    with health.loop("payments.v1[0]") as loop:
        loop.stop("payments.v1[0]: it was deleted and made again")
        clock.now_s += 3_600.0
        report = health.report()
    assert (report.live, report.ready) == (True, False)
    assert "made again" in report.red[0]


def test_a_retrying_loop_that_takes_no_step_is_hung_in_the_end() -> None:
    clock = Clock()
    health = Health(stall_s=20.0, clock=clock)
    with health.loop("payments.v1[0]") as loop:
        loop.step()
        for _ in range(30):
            clock.now_s += 1.0
            loop.retries("KafkaConnectionError")
        assert not health.report().live


def test_a_worker_without_loops_lives_and_is_not_ready() -> None:
    health = Health()
    with health.loop("models"):
        pass
    assert (health.report().live, health.report().ready) == (True, False)


def test_a_loop_that_ends_late_does_not_take_its_successor_away() -> None:
    health = Health()
    first, second = health.loop("payments.v1[0]"), health.loop("payments.v1[0]")
    first.__enter__()
    later = second.__enter__()
    first.__exit__(None, None, None)
    assert list(health) == [later]


def answer(port: int, path: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as found:
            return found.status, found.read()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read()


def test_the_port_answers_live_and_ready_with_the_loops_and_their_reasons() -> None:
    clock = Clock()
    health = Health(stall_s=20.0, clock=clock)
    port = serve("127.0.0.1", 0, CollectorRegistry(), health)
    with health.loop("joiner") as loop:
        loop.step()
        assert [answer(port, path)[0] for path in ("/live", "/ready", "/metrics", "/else")] == [200, 200, 200, 404]
        clock.now_s += 21.0
        status, body = answer(port, "/live")
        assert status == 503
        (said,) = json.loads(body)["loops"]
        assert said == {"name": "joiner", "state": "running", "last_step_s_ago": 21.0, "stalled": True, "why": ""}
        assert answer(port, "/ready?verbose")[0] == 503


def test_the_metrics_say_what_health_says_at_that_moment() -> None:
    clock = Clock()
    metrics = Metrics(Health(stall_s=20.0, clock=clock))

    def value(name: str, labels: dict[str, str] | None = None) -> float | None:
        return metrics.registry.get_sample_value(name, labels or {})

    with metrics.health.loop("joiner") as loop:
        assert value("tocsin_loop_last_step_timestamp_seconds", {"loop": "joiner"}) == 0.0
        loop.step()
        assert value("tocsin_loop_last_step_timestamp_seconds", {"loop": "joiner"}) == loop.stepped_unix_s > 0.0
        assert (value("tocsin_live"), value("tocsin_ready")) == (1.0, 1.0)
        clock.now_s += 21.0
        assert (value("tocsin_live"), value("tocsin_ready")) == (0.0, 0.0)

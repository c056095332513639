"""Fixtures of the deployment's tests: processes that expose metrics, and a Prometheus that scraped them."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from collections.abc import Iterator

import pytest

from services.broker.probe import free_ports
from services.broker.process import wait_until
from tests.deploy.files import ROOT
from tests.deploy.scraping import scraped_prometheus, tool

START_TIMEOUT_S = 30.0


def _serves(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=2) as answer:
            return b"tocsin_" in answer.read()
    except OSError:
        return False


@pytest.fixture(scope="module")
def plausible_run() -> Iterator[dict[str, int]]:
    """Processes with plausible, moving metrics: the ports of a ``scorer``, a ``learner`` and a ``shadow``."""
    ports = dict(zip(("scorer", "learner", "shadow"), free_ports(3), strict=True))
    processes = [
        subprocess.Popen([sys.executable, "-m", "tests.deploy.plausible", role, str(port)], cwd=ROOT)
        for role, port in ports.items()
    ]
    try:
        if not wait_until(lambda: all(map(_serves, ports.values())), START_TIMEOUT_S):
            pytest.fail(f"no metrics on {ports} after {START_TIMEOUT_S:.0f} s")
        yield ports
    finally:
        for process in processes:
            process.terminate()
            process.wait()


@pytest.fixture(scope="module")
def prometheus_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A Prometheus that scrapes the plausible run."""
    tool("prometheus")
    with scraped_prometheus(request.getfixturevalue("plausible_run")) as url:
        yield url


@pytest.fixture
def live_targets(request: pytest.FixtureRequest) -> dict[str, int]:
    """The metrics ports of real workers under load, by job: what the fixture ``live_run`` yields."""
    try:
        ports: dict[str, int] = request.getfixturevalue("live_run")
    except pytest.FixtureLookupError:
        pytest.skip("there is no fixture live_run (tests/conftest.py): real workers under load")
    if not ports:
        pytest.skip("live_run names no worker")
    assert ports.keys() == {"scorer", "learner", "shadow"}, "every panel is asked for, so each kind of worker must run"
    return ports

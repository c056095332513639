"""Fixtures of every test that runs on a real Kafka."""

from __future__ import annotations

import os
import re
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from services.broker import KafkaBroker
from tests.faults.forms import HEAD, TABLE, Row, markdown
from tests.support.deployment import Deployment, make_deployment
from tests.support.live import live_ports
from tests.support.sharing import ByFile, in_order, scheduler

pytest_plugins = ["tests.broker_fixture"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--torture``: the faults with production's time-outs, more of them, on larger logs. ``--large``: the tests that
    have a large form in that form, and no others."""
    parser.addoption("--torture", action="store_true", help="the long form of tests/faults; writes var/torture.md")
    parser.addoption("--large", action="store_true", help="only the tests that have a large form, and in that form")


def pytest_configure(config: pytest.Config) -> None:
    """Digests count on sums that wrap around. Where kernels run as Python, NumPy warns of each."""
    if os.environ.get("NUMBA_DISABLE_JIT") == "1":
        config.addinivalue_line("filterwarnings", "ignore:overflow encountered in scalar:RuntimeWarning")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """``--large`` leaves only what has a large form; without it, what has no other is left out."""
    wanted = _has_a_large_form if config.getoption("--large") else _has_a_small_form
    items[:] = filter(wanted, items)
    items[:] = in_order(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByFile:
    """Under ``-n``: whole files."""
    return scheduler(config, log)


def _has_a_large_form(item: pytest.Item) -> bool:
    return bool({"large", "only_large"} & set(getattr(item, "fixturenames", ())))


def _has_a_small_form(item: pytest.Item) -> bool:
    return "only_large" not in getattr(item, "fixturenames", ())


@pytest.fixture(scope="session")
def only_large() -> None:
    """Asked for by a test that is a long run and nothing else."""


@pytest.fixture(scope="session")
def large(request: pytest.FixtureRequest) -> bool:
    """Whether a test is to take its large form (``make test-slow``)."""
    return bool(request.config.getoption("--large"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The table of faults: of those that passed."""
    rows: list[Row] = [
        value
        for report in terminalreporter.getreports("passed")
        for name, value in report.user_properties
        if name == "fault"
    ]
    if not rows:
        return
    terminalreporter.section("faults, and how workers recovered")
    widths = [max(len(str(row[at])) for row in [HEAD, *rows]) for at in range(len(HEAD))]
    for row in [HEAD, *rows]:
        terminalreporter.write_line("  ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)))
    if config.getoption("--torture"):
        TABLE.parent.mkdir(parents=True, exist_ok=True)
        TABLE.write_text(markdown(rows))


@pytest.fixture
def deployment(kafka: KafkaBroker, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Deployment]:
    """A deployment of the test's own on the shared broker: topics made, no worker running.

    ``@pytest.mark.parametrize("deployment", [{"partitions": 1}], indirect=True)`` gives it other settings.
    """
    name = re.sub("[^a-z0-9]+", "-", request.node.name.lower())[:60].strip("-")
    made = make_deployment(kafka.bootstrap, name, tmp_path, **getattr(request, "param", {}))
    yield made
    made.discard()


@pytest.fixture(scope="module")
def live_run(kafka: KafkaBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    """Real workers under a small steady load: their metrics ports, by role. The load goes on until the end."""
    with live_ports(kafka.bootstrap, tmp_path_factory.mktemp("live")) as ports:
        yield ports


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the workers' logs beside a failure."""
    report = yield
    if report.failed:
        for value in getattr(item, "funcargs", {}).values():
            for name, tail in value.logs_of_workers() if isinstance(value, Deployment) else ():
                report.sections.append((f"log of {name}", tail))
    return report

"""A broker behind bad networks, the stage on it, and the watch over what workers say."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from services.broker import JarsUnavailable, NoJava
from services.broker.jars import resolve_jars
from services.broker.java import find_java
from tests.faults.forms import LONG, ROLES, SHORT, Form, Table
from tests.faults.secrecy import assert_nobody_is_named
from tests.faults.stage import Stage
from tests.support.deployment import Deployment, make_deployment
from tests.support.proxied import ProxiedBroker

REPLAY = "replay"
Make = Callable[..., Deployment]


@pytest.fixture(scope="session")
def form(request: pytest.FixtureRequest) -> Form:
    """Of the faults: short, or with ``--torture`` long."""
    return LONG if request.config.getoption("--torture") else SHORT


@pytest.fixture(scope="session")
def broker() -> Iterator[ProxiedBroker]:
    """A Kafka of the faults' own. Skips as the shared one does."""
    try:
        find_java(), resolve_jars()
    except (NoJava, JarsUnavailable) as missing:
        pytest.skip(f"no Apache Kafka: {missing}")
    with ProxiedBroker((*ROLES, REPLAY)) as started:
        yield started


@pytest.fixture(scope="module")
def make(broker: ProxiedBroker, form: Form, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Make]:
    """Makes deployments of the module's own. At its end their logs and metrics are searched for planted names."""
    made: list[Deployment] = []

    def making(name: str, **chosen: Any) -> Deployment:
        deployment = make_deployment(broker.bootstrap, name, tmp_path_factory.mktemp(name), **form.settings | chosen)
        deployment.deadline_s = form.deadline_s
        made.append(deployment)
        return deployment

    try:
        yield making
        broker.heal()
        for deployment in made:
            assert_nobody_is_named(deployment)
    finally:
        for deployment in made:
            deployment.discard()


@pytest.fixture(scope="module")
def stage(request: pytest.FixtureRequest, make: Make, broker: ProxiedBroker, form: Form) -> Stage:
    """A deployment under fault, named after the module."""
    name = re.sub("[^a-z0-9]+", "-", Path(request.node.name).stem.lower())
    return Stage(broker, make(name), form)


@pytest.fixture
def table(record_property: Callable[[str, object], None]) -> Table:
    """Of the faults that a test plays; printed at the end of the session."""
    return Table(record_property)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the workers' logs beside a failure."""
    report = yield
    stage = getattr(item, "funcargs", {}).get("stage")
    if report.failed and isinstance(stage, Stage):
        report.sections += [(f"log of {name}", tail) for name, tail in stage.deployment.logs_of_workers()]
    return report

"""The Kafka that the tests share: one broker for the whole session. Topics are each test's own, by name."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from services.broker import JarsUnavailable, KafkaBroker, NoJava
from services.broker.jars import resolve_jars
from services.broker.java import find_java

QUICK_JAVA = ("-XX:TieredStopAtLevel=1",)
"""Of brokers that live for a minute: compiling well what they run costs more than it saves."""


@pytest.fixture(scope="session")
def kafka() -> Iterator[KafkaBroker]:
    """A started Apache Kafka. Skips only where there is no Java or there are no jars; any other failure is one."""
    try:
        java, jars = find_java(), resolve_jars()
    except (NoJava, JarsUnavailable) as missing:
        pytest.skip(f"no Apache Kafka: {missing}")
    with KafkaBroker(java=java, jars=jars, java_options=QUICK_JAVA) as broker:
        yield broker

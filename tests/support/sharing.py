"""Which tests one process takes together, and in which order.

pytest-xdist's own ``loadgroup`` does nothing under pytest 9.2: it renames tests in a field that is not read any more.
"""

from __future__ import annotations

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

KILLED_RUNS = "killed_runs"
"""A fixture that takes a minute and more."""
_OF_KILLED_RUNS = frozenset(
    f"tests/integration/test_{name}.py" for name in ("exactly_once_under_kill", "one_partition_repeats", "recompute")
)


class ByFile(LoadScopeScheduling):  # type: ignore[misc]
    """Each process takes whole files, whose fixtures are then made once, and one all files of ``KILLED_RUNS``.

    A third process begins with the last file: those need no Kafka, whose tests often wait.
    """

    def _assign_work_unit(self, node: object) -> None:
        if self.nodes[2:] == [node]:
            self.workqueue.move_to_end(next(reversed(self.workqueue)), last=False)
        super()._assign_work_unit(node)

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return KILLED_RUNS if file in _OF_KILLED_RUNS else file


def scheduler(config: pytest.Config, log: object) -> ByFile:
    """What hands out files in the order of ``in_order``."""
    config.option.loadscopereorder = False
    return ByFile(config, log)


def in_order(items: list[pytest.Item]) -> list[pytest.Item]:
    """The longest first, so that none of them begins when the other process is about to end: killed runs, then files
    that run on Kafka, then the others."""
    for each in items:
        if KILLED_RUNS in getattr(each, "fixturenames", ()) and _file(each) not in _OF_KILLED_RUNS:
            raise pytest.UsageError(f"{_file(each)} uses {KILLED_RUNS}: name it in tests/support/sharing.py")
    on_kafka = {_file(each) for each in items if each.get_closest_marker("kafka")}
    return sorted(items, key=lambda each: (_file(each) not in _OF_KILLED_RUNS, _file(each) not in on_kafka))


def _file(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]

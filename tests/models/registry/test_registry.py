"""The registry gives back exactly what was saved, or an error that names the file."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import pytest

from models.learning.training import Plan, Snapshot, Trainer
from models.registry.registry import Registry, RegistryError
from tests.learner.streams import example
from tests.support.served_batches import SCHEMA

PLAN = Plan(SCHEMA, 10, 0.05)


@pytest.fixture(scope="module")
def snapshots() -> list[Snapshot]:
    draw, trainer = random.Random(1), Trainer(PLAN)
    lessons = [trainer.learn(example(number, draw), number) for number in range(120)]
    return [lesson.snapshot for lesson in lessons if lesson.snapshot is not None]


def test_what_is_saved_is_loaded_to_the_bit(tmp_path: Path, snapshots: list[Snapshot]) -> None:
    registry = Registry(tmp_path)
    for snapshot in snapshots:
        registry.save(snapshot)
    assert registry.versions(PLAN.name) == list(range(1, 13))
    assert registry.latest(PLAN.name) == snapshots[-1]
    assert [registry.load(PLAN.name, version) for version in range(1, 13)] == snapshots


def test_an_empty_registry_has_no_latest_version(tmp_path: Path) -> None:
    assert Registry(tmp_path / "nowhere").latest(PLAN.name) is None


def test_the_same_version_is_the_same_file(tmp_path: Path, snapshots: list[Snapshot]) -> None:
    first, second = Registry(tmp_path / "a").save(snapshots[0]), Registry(tmp_path / "b").save(snapshots[0])
    assert first.read_bytes() == second.read_bytes()
    assert Registry(tmp_path / "a").save(snapshots[0]) == first


def test_a_version_is_never_replaced_by_another(tmp_path: Path, snapshots: list[Snapshot]) -> None:
    registry = Registry(tmp_path)
    path = registry.save(snapshots[0])
    other = msgspec.structs.replace(snapshots[1].announcement, version=1)
    with pytest.raises(RegistryError, match=str(path)):
        registry.save(Snapshot(other, snapshots[1].state))
    assert registry.load(PLAN.name, 1) == snapshots[0]


def test_a_tampered_file_is_refused_by_name_wherever_it_was_changed(tmp_path: Path, snapshots: list[Snapshot]) -> None:
    registry = Registry(tmp_path)
    path = registry.save(snapshots[0])
    original = path.read_bytes()
    for position in range(0, len(original) - 1, 401):
        changed = bytearray(original)
        changed[position] ^= 1
        path.write_bytes(bytes(changed))
        with pytest.raises(RegistryError, match=str(path)):
            registry.load(PLAN.name, 1)


def test_a_truncated_file_is_refused_by_name(tmp_path: Path, snapshots: list[Snapshot]) -> None:
    registry = Registry(tmp_path)
    path = registry.save(snapshots[0])
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(RegistryError, match=str(path)):
        registry.latest(PLAN.name)


def test_a_version_under_another_name_is_refused(tmp_path: Path, snapshots: list[Snapshot]) -> None:
    registry = Registry(tmp_path)
    path = registry.save(snapshots[0])
    path.rename(path.with_name("00000009.json"))
    with pytest.raises(RegistryError, match=r"00000009\.json: holds version 1"):
        registry.load(PLAN.name, 9)


def test_what_a_crash_left_half_written_is_no_version(tmp_path: Path, snapshots: list[Snapshot]) -> None:
    registry = Registry(tmp_path)
    registry.save(snapshots[0])
    (tmp_path / PLAN.name / ".writing-abc").write_bytes(b'{"sha256"')
    assert registry.versions(PLAN.name) == [1]
    assert registry.latest(PLAN.name) == snapshots[0]


def test_a_missing_version_is_an_error_that_names_its_file(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match=r"00000001\.json: No such file"):
        Registry(tmp_path).load(PLAN.name, 1)

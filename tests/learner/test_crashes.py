"""A learner that is killed between any two steps, on the store it really has: batches, transaction, write, restart."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from zlib import crc32

import pytest

from services.contract.topics import Topics
from services.learner.batch import Output, Read, apply
from services.learner.join import Join
from services.learner.store import Store
from tests.learner.streams import scenario

TOPICS = Topics()
Position = tuple[str, int]


class Killed(Exception):
    """The process ends here."""


@dataclass
class Cluster:
    """Two topics to read, and what transactions have made durable: records and offsets together, or nothing."""

    logs: dict[Position, list[Read]]
    records: list[bytes] = field(default_factory=list)
    offsets: dict[Position, int] = field(default_factory=dict)

    def commit(self, records: list[bytes], offsets: dict[Position, int]) -> None:
        self.records += records
        self.offsets |= offsets


def cluster_of(seed: int) -> Cluster:
    logs: dict[Position, list[Read]] = {}
    for topic, records in zip((TOPICS.decisions.name, TOPICS.labels.name), scenario(seed, 60), strict=True):
        for key, value in records:
            partition = crc32(key.encode()) % 2
            log = logs.setdefault((topic, partition), [])
            log.append(Read(topic, partition, len(log), 2**42, key.encode(), value))
    return Cluster(logs)


def live(cluster: Cluster, folder: Path, draw: random.Random, kill_at: int) -> int:
    """One life of a learner: the joiner's five steps over the cluster; ends at the end, or killed at a step."""
    step = 0

    def tick() -> None:
        nonlocal step
        step += 1
        if step == kill_at:
            raise Killed

    store = Store(folder)
    try:
        join = Join(store)
        for batch, offsets in batches(cluster, {each: store.offset(each) for each in cluster.logs}, draw, replay=True):
            apply(join, batch, TOPICS, Output())
            tick()
            store.write(join.seal(), offsets)
            join.written()
        for batch, offsets in batches(cluster, dict(cluster.offsets), draw, replay=False):
            output = Output()
            apply(join, batch, TOPICS, output)
            tick()
            cluster.commit([record.value or b"" for record in output.records], offsets)
            tick()
            store.write(join.seal(), offsets)
            join.written()
            tick()
    finally:
        store.close()
    return step


def batches(
    cluster: Cluster, stand: dict[Position, int], draw: random.Random, *, replay: bool
) -> Iterator[tuple[list[Read], dict[Position, int]]]:
    """Batches of one partition each, drawn at random, up to the committed offsets or to the end."""
    ends = {each: cluster.offsets.get(each, 0) if replay else len(log) for each, log in cluster.logs.items()}
    while open_ends := [each for each in sorted(ends) if stand.get(each, 0) < ends[each]]:
        chosen = draw.choice(open_ends)
        start = stand.get(chosen, 0)
        stop = min(ends[chosen], start + draw.randint(1, 12))
        stand[chosen] = stop
        yield cluster.logs[chosen][start:stop], {chosen: stop}


@pytest.mark.parametrize("seed", range(3))
def test_a_learner_killed_at_every_step_makes_every_example_once(seed: int, tmp_path: Path) -> None:
    undisturbed = cluster_of(seed)
    steps = live(undisturbed, tmp_path / "undisturbed", random.Random(seed), kill_at=-1)
    assert len(undisturbed.records) > 40
    for kill_at in range(1, steps + 1):
        cluster, folder = cluster_of(seed), tmp_path / str(kill_at)
        with pytest.raises(Killed):
            live(cluster, folder, random.Random(seed), kill_at)
        live(cluster, folder, random.Random(1_000 + kill_at), kill_at=-1)
        assert sorted(cluster.records) == sorted(undisturbed.records)


def test_a_learner_that_is_killed_all_the_time_still_makes_every_example_once(tmp_path: Path) -> None:
    undisturbed, cluster, draw = cluster_of(9), cluster_of(9), random.Random(9)
    live(undisturbed, tmp_path / "undisturbed", random.Random(1), kill_at=-1)
    lives, killed = 0, True
    while killed:
        lives += 1
        try:
            live(cluster, tmp_path / "killed", draw, kill_at=draw.randint(1, 12))
            killed = False
        except Killed:
            continue
    assert lives > 5
    assert sorted(cluster.records) == sorted(undisturbed.records)


def test_a_learner_that_lost_its_store_rebuilds_it_and_repeats_nothing(tmp_path: Path) -> None:
    undisturbed, cluster = cluster_of(4), cluster_of(4)
    live(undisturbed, tmp_path / "undisturbed", random.Random(1), kill_at=-1)
    for life in range(4):
        with pytest.raises(Killed):
            live(cluster, tmp_path / str(life), random.Random(life), kill_at=8 + 4 * life)
    live(cluster, tmp_path / "last", random.Random(5), kill_at=-1)
    assert sorted(cluster.records) == sorted(undisturbed.records)

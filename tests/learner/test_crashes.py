"""A learner that is killed between any two steps, on the store it really has: batches, transaction, write, restart."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from zlib import crc32

import pytest

from models.labels import SILENCE
from services.contract.codec import decode
from services.contract.topics import Topics
from services.contract.types import Example
from services.learner.batch import Output, Read, apply, sweep
from services.learner.join import DAY_MS, Join, Limits
from services.learner.store import Store
from tests.learner.streams import MINUTE_MS, START_MS, scenario

TOPICS = Topics()
Position = tuple[str, int]


class Killed(Exception):
    """The process ends here."""


@dataclass
class Cluster:
    """Two topics to read, and what transactions have made durable: records, offsets and the place of the sweep
    together, or nothing."""

    logs: dict[Position, list[Read]]
    limits: Limits
    records: list[bytes] = field(default_factory=list)
    offsets: dict[Position, int] = field(default_factory=dict)
    place: bytes = b""

    def commit(self, records: list[bytes], offsets: dict[Position, int], place: bytes) -> None:
        self.records += records
        self.offsets |= offsets
        self.place = place

    def silent(self) -> list[str]:
        """The payments of which silence made an example, in order."""
        return [each.payment_id for each in map(_example, self.records) if each is not None and each.source == SILENCE]

    def of_labels(self) -> list[bytes]:
        """The records that labels made, sorted."""
        return sorted(each for each in self.records if b'"source":"matured"' not in each)


def _example(value: bytes) -> Example | None:
    return decode(value, Example) if b'"example_id"' in value else None


def cluster_of(
    seed: int, limits: Limits | None = None, step_ms: int = MINUTE_MS, decision_partitions: int = 2
) -> Cluster:
    logs: dict[Position, list[Read]] = {}
    topics = (TOPICS.decisions.name, decision_partitions), (TOPICS.labels.name, 2)
    for (topic, partitions), records in zip(topics, scenario(seed, 60, step_ms=step_ms), strict=True):
        for key, value in records:
            partition = crc32(key.encode()) % partitions
            log = logs.setdefault((topic, partition), [])
            log.append(Read(topic, partition, len(log), 2**42, key.encode(), value))
    return Cluster(logs, limits or Limits())


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
        join = Join(store, cluster.limits)
        for batch, offsets in batches(cluster, {each: store.offset(each) for each in cluster.logs}, draw, replay=True):
            apply(join, batch, TOPICS, Output())
            tick()
            store.write(join.seal(), offsets)
            join.written()
        join.pass_over(cluster.place)
        left = batches(cluster, dict(cluster.offsets), draw, replay=False)
        nothing: tuple[list[Read], dict[Position, int]] = ([], {})
        while True:
            output = Output()
            passed, (batch, offsets) = sweep(join, 5, TOPICS, output), next(left, nothing)
            if not (passed or batch):
                break
            apply(join, batch, TOPICS, output)
            tick()
            cluster.commit([record.value or b"" for record in output.records], offsets, join.swept)
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


@pytest.mark.parametrize("life_of_a_store", ["kept", "lost"])
def test_silence_speaks_once_of_each_unlabelled_payment_whatever_is_killed(
    life_of_a_store: str, tmp_path: Path
) -> None:
    """Payments of 20 days, silence after 5. A label may come before or after its payment was passed over in silence."""
    limits = Limits(label_maturity_ms=5 * DAY_MS)
    undisturbed, *disturbed = (cluster_of(3, limits, 8 * 3_600_000, decision_partitions=1) for _ in range(9))
    live(undisturbed, tmp_path / "undisturbed", random.Random(1), kill_at=-1)
    for number, cluster in enumerate(disturbed):
        draw, lives, killed = random.Random(number), 0, True
        while killed:
            lives += 1
            folder = tmp_path / f"{number}-{lives if life_of_a_store == 'lost' else 0}"
            try:
                live(cluster, folder, draw, kill_at=draw.randint(1, 15 + 5 * lives))
                killed = False
            except Killed:
                continue
        assert cluster.of_labels() == undisturbed.of_labels()
        assert len(set(cluster.records)) == len(cluster.records)
        assert len(set(cluster.silent())) == len(cluster.silent())
        labelled = {each.payment_id for each in map(_example, cluster.of_labels()) if each is not None}
        days = {f"p-{at}": (START_MS + at * 8 * 3_600_000) // DAY_MS for at in range(60)}
        ended = {payment for payment, day in days.items() if day < max(days.values()) - 5}
        assert ended - labelled <= set(cluster.silent()) <= ended
    assert 5 < len(undisturbed.silent()) < 40

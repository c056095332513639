"""A learner that is killed between any two steps, on the store it really has: batches, transaction, write, restart."""

from __future__ import annotations

import random
from pathlib import Path
from zlib import crc32

import pytest

from services.contract.units import DAY_MS
from services.learner.joining.batch import Read
from services.learner.joining.join import Limits
from tests.learner.lives import TOPICS, Durable, Killed, example_in, live
from tests.learner.streams import MINUTE_MS, scenario
from tests.support.served_batches import START_MS


def cluster_of(
    seed: int, limits: Limits | None = None, step_ms: int = MINUTE_MS, feature_partitions: int = 2
) -> Durable:
    logs: dict[tuple[str, int], list[Read]] = {}
    topics = (TOPICS.features.name, feature_partitions), (TOPICS.labels.name, 2)
    for (topic, partitions), records in zip(topics, scenario(seed, 60, step_ms=step_ms), strict=True):
        for key, value in records:
            partition = crc32(key.encode()) % partitions
            log = logs.setdefault((topic, partition), [])
            log.append(Read(topic, partition, len(log), 2**42, key.encode(), value))
    return Durable(logs, limits or Limits())


@pytest.mark.parametrize("seed", range(3))
def test_a_learner_killed_at_every_step_makes_every_example_once(seed: int, tmp_path: Path) -> None:
    undisturbed = cluster_of(seed)
    steps = live(undisturbed, tmp_path / "undisturbed", random.Random(seed))
    assert len(undisturbed.records) > 40
    for kill_at in range(1, steps + 1):
        cluster, folder = cluster_of(seed), tmp_path / str(kill_at)
        with pytest.raises(Killed):
            live(cluster, folder, random.Random(seed), kill_at)
        live(cluster, folder, random.Random(1_000 + kill_at))
        assert sorted(cluster.records) == sorted(undisturbed.records)


def test_a_learner_that_is_killed_all_the_time_still_makes_every_example_once(tmp_path: Path) -> None:
    undisturbed, cluster, draw = cluster_of(9), cluster_of(9), random.Random(9)
    live(undisturbed, tmp_path / "undisturbed", random.Random(1))
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
    live(undisturbed, tmp_path / "undisturbed", random.Random(1))
    for life in range(4):
        with pytest.raises(Killed):
            live(cluster, tmp_path / str(life), random.Random(life), kill_at=8 + 4 * life)
    live(cluster, tmp_path / "last", random.Random(5))
    assert sorted(cluster.records) == sorted(undisturbed.records)


@pytest.mark.parametrize("life_of_a_store", ["kept", "lost"])
def test_silence_speaks_once_of_each_unlabelled_payment_whatever_is_killed(
    life_of_a_store: str, tmp_path: Path
) -> None:
    """Payments of 20 days, silence after 5. A label may come before or after its payment was passed over in silence."""
    limits = Limits(label_maturity_ms=5 * DAY_MS)
    undisturbed, *disturbed = (cluster_of(3, limits, 8 * 3_600_000, feature_partitions=1) for _ in range(9))
    live(undisturbed, tmp_path / "undisturbed", random.Random(1))
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
        labelled = {each.payment_id for each in map(example_in, cluster.of_labels()) if each is not None}
        days = {f"p-{at}": (START_MS + at * 8 * 3_600_000) // DAY_MS for at in range(60)}
        ended = {payment for payment, day in days.items() if day < max(days.values()) - 5}
        assert ended - labelled <= set(cluster.silent()) <= ended
    assert 5 < len(undisturbed.silent()) < 40

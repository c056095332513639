"""Which challengers score follows from what stands in ``models.v1``, compacted or not."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest

from services.contract.announcement import CHAMPION, ModelAnnouncement, Promotion
from services.contract.codec import encode
from services.scorer.path.scoring.ensemble import model_from
from services.scorer.path.scoring.model import ModelRefused
from services.shadow.roster import VERSIONS_MAX, Roster
from tests.support.models import announcement_of, random_model

SCHEMA = "ab" * 32
Entry = tuple[bytes, bytes | None]


def challenger(name: str, version: int, **changed: Any) -> ModelAnnouncement:
    seed = sum(name.encode()) * 100 + version
    return announcement_of(
        random_model(seed, SCHEMA), **{"name": name, "version": version, "challenger": True} | changed
    )


def entry(said: ModelAnnouncement) -> Entry:
    return f"{said.name}/{said.version}".encode(), encode(said)


def gone(name: str) -> Entry:
    return name.encode(), None


def champion(said: ModelAnnouncement) -> Entry:
    return CHAMPION, encode(Promotion(said))


def run(log: list[Entry], most: int = 8, pinned: str = "") -> tuple[list[str], list[str]]:
    """The challengers by hash, and what was refused."""
    refused: list[str] = []
    roster = Roster(most, lambda said: model_from(said, SCHEMA), lambda why: refused.append(str(why)), pinned)
    for key, value in log:
        roster.take(key, value)
    found = [each.model_hash for each in roster.challengers()]
    assert [each.model_hash for each in roster.challengers()] == found, "asked again, the same"
    return found, refused


A1, A2, B1, C1 = challenger("a", 1), challenger("a", 2), challenger("b", 1), challenger("c", 1)
LEARNED = challenger("learner", 1, challenger=False)


@pytest.mark.parametrize(
    "log, scoring",
    [
        ([], []),
        ([entry(LEARNED)], []),
        ([entry(A1), entry(B1)], [B1, A1]),
        ([entry(A1), entry(B1), entry(A2)], [A2, B1]),
        ([entry(A2), entry(B1), entry(A1)], [A2, B1]),
        ([entry(A1), entry(A2), gone("a/2")], [A1]),
        ([entry(A1), gone("a/1"), entry(B1)], [B1]),
        ([entry(A1), entry(B1), champion(A1)], [B1]),
        ([entry(A1), champion(A1), (CHAMPION, None)], [A1]),
        ([entry(A1), champion(A1), champion(B1)], [A1]),
        ([entry(A1), entry(msgspec.structs.replace(A1, challenger=False))], []),
    ],
)
def test_the_latest_version_of_each_line_scores_but_not_the_champion(
    log: list[Entry], scoring: list[ModelAnnouncement]
) -> None:
    found, refused = run(log)
    assert set(found) == {each.model_hash for each in scoring}
    assert not refused


def test_of_more_than_may_score_those_announced_last_do() -> None:
    assert run([entry(A1), entry(B1), entry(C1)], most=2)[0] == [C1.model_hash, B1.model_hash]
    assert run([entry(A1), entry(B1), entry(C1), entry(A2)], most=2)[0] == [A2.model_hash, C1.model_hash]


def test_the_pinned_model_is_the_champion_whatever_is_promoted() -> None:
    log = [entry(A1), entry(B1), champion(A1)]
    assert run(log, pinned=B1.model_hash)[0] == [A1.model_hash]


def test_what_cannot_be_used_is_refused_once_and_the_others_score() -> None:
    other = challenger("a", 2, feature_schema_hash="0" * 64)
    false_hash = challenger("b", 1, model_hash="0" * 64)
    found, refused = run([(b"d/1", b"\xff{"), entry(A1), entry(other), entry(false_hash), entry(C1)])
    assert set(found) == {A1.model_hash, C1.model_hash}
    assert len(refused) == 3
    roster = Roster(8, lambda said: model_from(said, SCHEMA), lambda why: None)
    roster.take(*entry(A1))
    roster.take(b"a/1", b"not json")
    assert not roster.challengers(), "what stands at a key replaces what stood there"


def test_a_compacted_log_gives_the_challengers_of_the_whole_one() -> None:
    draw = random.Random(5)
    said = [challenger(name, version) for name in "abc" for version in range(1, 5)]
    for _ in range(200):
        log = [
            draw.choice([entry(each), entry(each), gone(f"{each.name}/{each.version}"), champion(each)])
            for each in draw.choices(said, k=20)
        ]
        last = {key: at for at, (key, _) in enumerate(log)}
        compacted = [each for at, each in enumerate(log) if last[each[0]] == at]
        assert run(compacted, most=2) == run(log, most=2)
        assert run([each for each in compacted if each[1] is not None], most=2) == run(log, most=2)


def test_a_line_is_remembered_within_bounds() -> None:
    built: list[int] = []

    def build(said: ModelAnnouncement) -> Any:
        built.append(said.version)
        raise ModelRefused("no")

    roster = Roster(8, build, lambda why: None)
    for version in range(1, 100):
        roster.take(*entry(challenger("a", version)))
    assert not roster.challengers()
    assert built == list(range(99, 99 - VERSIONS_MAX, -1))

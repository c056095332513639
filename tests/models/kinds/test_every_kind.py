"""What is so of every kind of model: a kind is checked by standing in the table."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, get_args

import msgspec
import numpy as np
import pytest

from models.kinds.kind import FitInputs, Kind
from models.kinds.table import FOLLOWED, KINDS, ON_TABLES, TABLE
from models.learning.training import Snapshot, Trainer
from models.registry.card import LIMITS, card_of
from models.registry.registry import Registry, RegistryError
from services.contract import announcement
from services.contract.announcement import ModelAnnouncement
from services.contract.codec import decode, encode
from services.learner.training.trainer import ANNOUNCEMENT_BYTES_MAX
from services.scorer.path.features.registry import INDEX
from services.scorer.path.scoring.ensemble import FORMS, SHADOW_ONLY, model_from, scoring_from
from services.scorer.path.scoring.model import ModelRefused, Scoring, probability
from services.workbench.register import register
from tests.models.lines import Made, log_of, plan_of, run
from tests.models.tables import as_matrix, examples, odd
from tests.support.graphs import linear_graph
from tests.support.served_batches import SCHEMA

LEARNING = [kind.name for kind in TABLE if kind.learner]
every_kind = pytest.mark.parametrize("kind", TABLE, ids=lambda kind: kind.name)
every_learning_kind = pytest.mark.parametrize("name", LEARNING)
Registered = tuple[Registry, Snapshot]


@cache
def made_of(name: str) -> Made:
    """What an undisturbed trainer makes of the log."""
    return run(Trainer(plan_of(name)), log_of(1))


@pytest.fixture
def registered(tmp_path: Path) -> Callable[[Kind], Registered]:
    """The latest version of a kind, in a registry."""

    def of(kind: Kind) -> Registered:
        registry = Registry(tmp_path / "registry")
        if kind.learner:
            snapshot, checkpoint = made_of(kind.name)[-1]
            registry.save(snapshot, checkpoint)
            return registry, snapshot
        graph = tmp_path / "graph"
        graph.write_bytes(linear_graph(3))
        return registry, register(graph, "mine", registry, SCHEMA)

    return of


def scoring(of: Registered) -> Scoring:
    registry, snapshot = of
    return registry.scoring(snapshot.announcement, SCHEMA)


def table(seed: int = 5) -> np.ndarray[Any, np.dtype[np.float64]]:
    usual = as_matrix(examples(seed, 40)[0])
    return np.concatenate([usual, odd(usual, seed), np.full_like(usual[:1], np.nan)])


def test_each_kind_stands_once_in_the_table_and_each_that_is_announced_stands_there() -> None:
    assert len(KINDS) == len(TABLE)
    assert set(get_args(announcement.Kind)) <= set(KINDS)
    assert set(FORMS) | {"onnx"} == set(get_args(announcement.Kind))
    assert {name for name in get_args(announcement.Kind) if not KINDS[name].explains} == set(SHADOW_ONLY)
    assert KINDS[FOLLOWED].learner


@every_kind
def test_scoring_leaves_its_input_as_it_was(kind: Kind, registered: Callable[[Kind], Registered]) -> None:
    features = table()
    before = features.tobytes()
    scoring(registered(kind)).scores(features)
    assert features.tobytes() == before


@every_kind
def test_the_same_payment_has_the_same_score_alone_and_in_any_batch(
    kind: Kind, registered: Callable[[Kind], Registered]
) -> None:
    features, model = table(), scoring(registered(kind))
    scores = model.scores(features)
    assert model.scores(features).tobytes() == scores.tobytes()
    alone = [model.scores(features[at : at + 1].copy()) for at in range(len(features))]
    assert np.concatenate(alone).tobytes() == scores.tobytes()
    assert model.scores(features[:0]).shape == (0,)
    assert np.isfinite(model.scores(as_matrix(examples(6, 40)[0]))).all()


@every_kind
def test_a_snapshot_survives_the_registry_and_scores_as_what_was_saved(
    kind: Kind, registered: Callable[[Kind], Registered]
) -> None:
    registry, snapshot = registered(kind)
    said = snapshot.announcement
    assert registry.load(said.name, said.version) == snapshot == decode(encode(snapshot), Snapshot)
    assert len(encode(said)) < ANNOUNCEMENT_BYTES_MAX
    again = registry.scoring(decode(encode(said), ModelAnnouncement), SCHEMA)
    assert (again.hash, again.version) == (said.model_hash, said.version)
    assert again.scores(table()).tobytes() == scoring((registry, snapshot)).scores(table()).tobytes()


@every_kind
def test_what_was_changed_or_is_of_other_features_is_refused(
    kind: Kind, registered: Callable[[Kind], Registered]
) -> None:
    registry, snapshot = registered(kind)
    said = snapshot.announcement
    with pytest.raises(ModelRefused, match="feature schema"):
        registry.scoring(said, "00" * 32)
    with pytest.raises(ModelRefused, match="hash"):
        registry.scoring(msgspec.structs.replace(said, model_hash="ab" * 32), SCHEMA)
    if kind.learner:
        other = msgspec.structs.replace(said, review_probability=said.review_probability / 2)
        with pytest.raises(ModelRefused, match="hash"):
            registry.scoring(other, SCHEMA)
    bare = msgspec.structs.replace(said, weights=(), forest=b"", votes=b"", halfspace=b"", onnx=None)
    with pytest.raises(ModelRefused):
        registry.scoring(bare, SCHEMA)
    forged = msgspec.structs.replace(snapshot, announcement=msgspec.structs.replace(bare, version=said.version + 1))
    registry.save(forged)
    with pytest.raises(RegistryError):
        registry.load(said.name, said.version + 1)


@every_kind
def test_its_explanation_sums_to_the_score_or_it_scores_in_shadow_only(
    kind: Kind, registered: Callable[[Kind], Registered]
) -> None:
    said = registered(kind)[1].announcement
    if not kind.explains:
        with pytest.raises(ModelRefused, match="it scores in shadow"):
            model_from(said, SCHEMA)
        return
    features = table()
    before, model = features.tobytes(), model_from(said, SCHEMA)
    contributions, scores = model.contributions(features)
    assert features.tobytes() == before
    assert scores.tobytes() == model.scores(features).tobytes()
    assert contributions.any()
    for row, score in zip(contributions.tolist(), scores.tolist(), strict=True):
        total = model.bias
        for contribution in row:
            total += contribution
        assert total.hex() == score.hex()


@every_kind
def test_its_card_names_features_and_what_it_is_not_good_for(
    kind: Kind, registered: Callable[[Kind], Registered]
) -> None:
    snapshot = registered(kind)[1]
    card = card_of(snapshot, SCHEMA)
    assert msgspec.json.decode(msgspec.json.encode(card)) == card
    assert {each["feature"] for each in card["features"]} <= set(INDEX)
    assert card["limits"] == [*LIMITS, *kind.limits]


@every_learning_kind
def test_the_same_log_gives_the_same_versions_and_learning_leaves_examples_as_they_were(name: str) -> None:
    log = log_of(1)
    before = [encode(each) for _, each in log]
    assert [each.announcement for each, _ in run(Trainer(plan_of(name)), log)] == [
        each.announcement for each, _ in made_of(name)
    ]
    assert [encode(each) for _, each in log] == before


@every_learning_kind
def test_a_line_goes_on_identically_from_each_of_its_versions(name: str) -> None:
    made, log = made_of(name), log_of(1)
    assert [snapshot.announcement.version for snapshot, _ in made] == list(range(1, len(made) + 1))
    assert len({snapshot.announcement.model_hash for snapshot, _ in made}) == len(made) >= 3
    for position, (snapshot, checkpoint) in enumerate(made):
        written = decode(encode(snapshot), Snapshot)
        assert snapshot.announcement.challenger == (name != FOLLOWED)
        rest = run(Trainer(plan_of(name), written.state, checkpoint), log)
        assert [each for each, _ in rest] == [each for each, _ in made[position + 1 :]]


@every_learning_kind
def test_the_compiled_model_says_what_its_learner_says_and_the_version_is_no_part_of_its_hash(name: str) -> None:
    trainer = Trainer(plan_of(name))
    run(trainer, log_of(1))
    online, compared = trainer._online, 0
    for row, label in zip(*examples(9, 25), strict=True):
        model, other = (online.compiled(version, SCHEMA, 0.5) for version in (1, 2))
        assert model is not None
        assert other is not None
        assert model.hash == other.hash
        score = float(model.scores(as_matrix([row]))[0])
        said = online.learn(row, label, 1.0)
        assert said is not None
        expected = probability(score) if KINDS[name].explains else score
        assert expected == pytest.approx(said, rel=max(online.rounding, 1e-12))
        compared += said > 0.0
    assert compared


@pytest.mark.parametrize("name", ON_TABLES)
def test_a_data_set_is_left_as_it_was_and_gives_the_same_model_again(name: str) -> None:
    rows, labels = examples(7, 600)
    inputs = FitInputs(as_matrix(rows), np.array(labels), np.where(labels, 1.0, 3.0), SCHEMA)
    before = [each.tobytes() for each in inputs[:3]]
    shares: list[float] = []
    model, again = (KINDS[name].fitted(inputs, 1, share=shares.append) for _ in range(2))
    assert [each.tobytes() for each in inputs[:3]] == before
    assert model.hash == again.hash
    assert (model.review_probability, model.feature_schema_hash) == (1.0, SCHEMA)
    assert shares
    assert all(0.0 <= share <= 1.0 for share in shares)
    rows, labels = examples(8, 400)
    scores = model.scores(as_matrix(rows))
    assert scores[labels].mean() > scores[~np.array(labels)].mean()


def test_a_kind_that_is_made_elsewhere_has_no_line() -> None:
    with pytest.raises(ValueError, match="made elsewhere"):
        Trainer(plan_of("onnx"))
    with pytest.raises(ModelRefused, match="elsewhere"):
        scoring_from(ModelAnnouncement("mine", 1, "ab" * 32, SCHEMA, "onnx", 1.0, 0, 0), SCHEMA)

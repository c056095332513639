"""Every kind of line: a function of its log, wherever it was interrupted, whose announcements score as it learned."""

from __future__ import annotations

import json
import random
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from models.influence import AccountLimit
from models.kinds.adaptive_forest import create_adaptive_forest
from models.kinds.anomaly import AnomalyOnline
from models.kinds.boosting import REFIT_LABELS_MIN, BoostingState, packed_fit
from models.kinds.kind import CheckpointRefused, FitInputs
from models.kinds.logistic import readable
from models.kinds.table import CHALLENGERS
from models.labels import SILENCE, rank
from models.learning.training import Trainer, TrainerState
from models.registry.registry import Registry
from services.cli.model import app
from services.contract.announcement import ModelAnnouncement
from services.contract.codec import decode, encode
from services.contract.label import Example
from services.learner.app import challenger_plans_of
from services.learner.champion import PromotionError, promoted
from services.learner.measures import Measures
from services.learner.training.trainer import can_run, resumed
from services.runtime.metrics import Metrics
from services.runtime.settings import SettingsError, load_settings
from services.scorer.path.scoring.ensemble import EnsembleModel, model_from, scoring_from
from services.scorer.path.scoring.model import ModelRefused
from services.scorer.path.scoring.votes import VotingModel, share_log_odds
from tests.learner.streams import example
from tests.models.lines import KINDS, Made, log_of, plan_of, run
from tests.models.tables import as_matrix, examples, odd
from tests.support.served_batches import SCHEMA


@pytest.fixture(scope="module")
def log() -> list[tuple[int, Example]]:
    return log_of(1)


@pytest.fixture(scope="module")
def whole(log: list[tuple[int, Example]]) -> dict[str, Made]:
    """What an undisturbed trainer of each kind makes."""
    return {kind: run(Trainer(plan_of(kind)), log) for kind in KINDS}


def test_a_boosted_line_stopped_anywhere_remembers_what_it_had_remembered(log: list[tuple[int, Example]]) -> None:
    plan = plan_of("boosting")
    expected = Trainer(plan)
    made = run(expected, log)
    counts = [first.examples for first in (Trainer(plan),) for offset, each in log if first.learn(each, offset)]
    for cut in (5, counts.index(100) + 1, counts.index(101) + 1, 200):
        first = Trainer(plan)
        before = run(first, log[:cut])
        if first.fit_due:
            first.fit()  # where no version was written since, it is made again
        second = Trainer(plan, msgspec.json.decode(encode(first.state()), type=TrainerState))
        assert second.position <= second.next_offset
        assert before + run(second, log) == made
        assert second.state() == expected.state()


def test_what_a_line_says_is_announced_and_scored_so(log: list[tuple[int, Example]], whole: dict[str, Made]) -> None:
    table = as_matrix(examples(5, 40)[0])
    table = np.concatenate([table, odd(table, 6)])
    rows = [readable([None if value != value else value for value in row]) for row in table.tolist()]
    forest, spaces, limit = create_adaptive_forest(), AnomalyOnline(plan_of("halfspace"), None).pipeline, AccountLimit()
    taken: set[str] = set()
    for offset, each in log:
        if offset < whole["halfspace"][-1][0].announcement.examples_offset and each.feature_schema_hash == SCHEMA:
            if each.example_id not in taken and (
                not each.payer or each.source == SILENCE or limit.admits(each.tenant, each.payer, each.label)
            ):
                forest.learn_one(readable(each.features), each.label)
                spaces.learn_one(readable(each.features))
            taken.add(each.example_id)
    expected = {
        "adaptive_forest": [share_log_odds(forest.predict_proba_one(x).get(True, 0.0)) for x in rows],
        "halfspace": [float(spaces.score_one(x)) for x in rows],
    }
    for kind, scores in expected.items():
        announcement = decode(encode(whole[kind][-1][0].announcement), ModelAnnouncement)
        found = scoring_from(announcement, SCHEMA).scores(table)
        if kind == "halfspace":
            assert found.tolist() == scores
        assert np.abs(found - scores).max() < 1e-12
    boosted = decode(encode(whole["boosting"][-1][0].announcement), ModelAnnouncement)
    model = scoring_from(boosted, SCHEMA)
    assert isinstance(model, EnsembleModel)
    assert np.abs(model.scores(table) - model.forest.raw(table)).max() > 1e-6, "corrected since it was fitted"


def test_the_reasons_of_an_adaptive_forest_add_up_to_its_score_to_the_bit(whole: dict[str, Made]) -> None:
    model = model_from(whole["adaptive_forest"][-1][0].announcement, SCHEMA)
    table = as_matrix(examples(7, 60)[0])
    table = np.concatenate([table, odd(table, 8), np.full_like(table[:1], np.nan)])
    contributions, scores = model.contributions(table)
    assert scores.tobytes() == model.scores(table).tobytes()
    for row, score in zip(contributions.tolist(), scores.tolist(), strict=True):
        for order in (row, sorted(row)):
            total = model.bias
            for contribution in order:
                total += contribution
            assert total.hex() == score.hex()
        assert all(0.0 <= each * np.sign(score - model.bias) <= abs(score - model.bias) for each in row)
    assert isinstance(model, VotingModel)
    used = model.trees.trees.features[~model.trees.trees.leaves]
    assert {column for column in range(table.shape[1]) if contributions[:, column].any()} <= set(used.tolist())
    assert (contributions > 0.0).any(axis=1).any()
    assert (np.count_nonzero(contributions, axis=1) > 1).sum() > 10


def test_an_anomaly_model_scores_and_is_never_promoted(whole: dict[str, Made]) -> None:
    said = whole["halfspace"][-1][0].announcement
    with pytest.raises(ModelRefused, match="no probability"):
        model_from(said, SCHEMA)
    with pytest.raises(PromotionError, match=r"halfspace-[0-9a-f]{12}/4 is of kind halfspace: it says how unusual"):
        promoted(said, None)
    for kind in ("boosting", "adaptive_forest", "logistic"):
        assert promoted(whole[kind][-1][0].announcement, None).champion.kind == kind


def test_several_lines_are_listed_and_shown(
    tmp_path: Path, whole: dict[str, Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOCSIN_REGISTRY", str(tmp_path))
    for kind in KINDS:
        for snapshot, checkpoint in whole[kind][:2]:
            Registry(tmp_path).save(snapshot, checkpoint)
    listed = CliRunner().invoke(app, ["list", "--json"])
    assert json.loads(listed.stdout) == {plan_of(kind).name: [1, 2] for kind in KINDS}
    for kind in KINDS:
        shown = CliRunner().invoke(app, ["show", plan_of(kind).name, "--json"])
        assert json.loads(shown.stdout)["kind"] == kind
        assert CliRunner().invoke(app, ["show", f"{plan_of(kind).name}/1"]).exit_code == 0


def test_a_fit_learns_the_label_that_counts_of_each_payment_in_its_window(log: list[tuple[int, Example]]) -> None:
    plan, trainer = plan_of("boosting"), Trainer(plan_of("boosting"))
    read: list[tuple[Example, str]] = []
    for offset, each in log:
        if trainer.examples == 200:
            break
        read.append((each, trainer.learn(each, offset).result))
    fitting = [(each, result) for each, result in read if result != "foreign_schema"][-plan.refit_window_examples :]
    assert {result for _, result in fitting} == {"learned", "duplicate", "limited"}
    window = [each for each, result in fitting if result == "learned"]
    counting = {each.payment_id: each for each in sorted(window, key=rank)}
    first = {each.payment_id: None for each in window}
    chosen = [counting[payment] for payment in first]
    assert len(chosen) < len({each.example_id for each in window})
    assert trainer.fit() == "fitted"
    features, labels = as_matrix([each.features for each in chosen]), np.array([each.label for each in chosen])
    inputs = FitInputs(features, labels, np.array([each.weight for each in chosen]), SCHEMA)
    assert decode(bytes(trainer.state().learned), BoostingState).forest == packed_fit(inputs)


def test_too_few_labels_of_one_kind_make_no_fit_and_no_version() -> None:
    trainer, draw = Trainer(plan_of("boosting")), random.Random(3)
    for number in range(100):
        each = msgspec.structs.replace(example(number, draw), label=number < REFIT_LABELS_MIN - 1)
        assert trainer.learn(each, number).snapshot is None
    assert trainer.fit_due
    assert (trainer.fit(), trainer.fit_due) == ("too_few_labels", False)
    assert trainer.learn(example(100, draw), 100).result == "learned"


def test_whatever_decides_a_line_is_in_its_name_and_nothing_else_is() -> None:
    names = {plan_of(kind).name for kind in KINDS}
    assert len(names) == len(KINDS)
    for refit, window in ((99, 150), (100, 149)):
        changed = [replace(plan_of(kind), refit_examples=refit, refit_window_examples=window) for kind in KINDS]
        assert [plan.kind for plan in changed if plan.name not in names] == ["boosting"]


def test_a_forest_goes_on_from_the_latest_checkpoint_that_is_the_one_it_saved(
    tmp_path: Path, log: list[tuple[int, Example]], whole: dict[str, Made], caplog: pytest.LogCaptureFixture
) -> None:
    plan, made, registry = plan_of("adaptive_forest"), whole["adaptive_forest"], Registry(tmp_path)
    for snapshot, checkpoint in made[:3]:
        registry.save(snapshot, checkpoint)
    folder = tmp_path / plan.name
    assert [file.name for file in folder.glob("*.checkpoint")] == ["00000003.checkpoint"]
    assert registry.load(plan.name, 3) == made[2][0]
    assert resumed(plan, registry).version == 3

    registry.save(made[3][0], made[3][1])
    (folder / "00000003.checkpoint").write_bytes(made[2][1])
    (folder / "00000004.checkpoint").write_bytes(made[3][1][:-1])
    assert registry.checkpoint(plan.name, 4) is None
    trainer = resumed(plan, registry)
    assert trainer.version == 3
    assert "has no checkpoint" in caplog.text
    assert [each for each, _ in run(trainer, log)] == [each for each, _ in made[3:]]

    for file in folder.glob("*.checkpoint"):
        file.unlink()
    again = resumed(plan, registry)
    assert again.version == again.position == 0
    for snapshot, checkpoint in run(again, log):
        registry.save(snapshot, checkpoint)  # the same versions, with checkpoints again
    assert resumed(plan, registry).version == made[-1][0].announcement.version


def test_a_line_whose_extra_is_missing_does_not_run_and_the_others_do(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    measures = Measures(Metrics())
    running = {kind for kind in KINDS if can_run(plan_of(kind), measures)}
    assert running == {"logistic", "adaptive_forest", "halfspace"}
    assert caplog.text.count("no boosting challenger: the boosted ensemble needs LightGBM") == 1
    assert measures.metrics.registry.get_sample_value("tocsin_line_running", {"kind": "boosting"}) == 0.0
    assert measures.metrics.registry.get_sample_value("tocsin_line_running", {"kind": "halfspace"}) == 1.0


@pytest.mark.parametrize(
    "chosen, kinds",
    [
        ("", []),
        ("boosting", ["boosting"]),
        ("boosting,halfspace", ["halfspace", "boosting"]),
        ("all", list(CHALLENGERS)),
    ],
)
def test_settings_choose_which_challengers_are_trained(chosen: str, kinds: list[str]) -> None:
    plans = challenger_plans_of(load_settings(challengers=chosen, refit_examples=7, refit_window_examples=9))
    assert [plan.kind for plan in plans] == kinds
    assert {(plan.refit_examples, plan.refit_window_examples) for plan in plans} <= {(7, 9)}
    assert [plan.kind for plan in challenger_plans_of(load_settings())] == list(CHALLENGERS)


@pytest.mark.parametrize("wrong", ["oracle", "boosting,", ",boosting", "boosting halfspace"])
def test_a_challenger_that_there_is_not_is_an_error_that_names_the_setting(wrong: str) -> None:
    with pytest.raises(SettingsError, match="TOCSIN_CHALLENGERS"):
        challenger_plans_of(load_settings(challengers=wrong))


def test_a_checkpoint_of_another_release_is_not_opened(whole: dict[str, Made]) -> None:
    snapshot, checkpoint = whole["adaptive_forest"][0]
    with pytest.raises(CheckpointRefused, match="not written by adaptive_forest python"):
        Trainer(plan_of("adaptive_forest"), snapshot.state, checkpoint.replace(b"river ", b"river 9", 1))

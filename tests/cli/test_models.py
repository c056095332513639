"""Models as commands: one's own registered and shown, two compared. No Kafka is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner, Result

from models.registry.registry import Registry
from services.cli import app_of
from services.runtime.settings import load_settings
from services.scorer.path.features.registry import feature_schema_hash
from services.scorer.rulebook.ruleset_file import load_ruleset
from services.workbench.train import train
from tests.support.graphs import linear_graph
from tests.workbench.samples import DAY_MS, SCHEMA, sample

APP = app_of()


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.setenv("TOCSIN_REGISTRY", str(tmp_path / "registry"))
    monkeypatch.setenv("COLUMNS", "160")
    return Registry(tmp_path / "registry")


def tocsin(*arguments: str) -> Result:
    return CliRunner().invoke(APP, arguments)


def answer(*arguments: str) -> Any:
    done = tocsin(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return orjson.loads(done.stdout)


def test_ones_own_model_is_registered_listed_and_shown(registry: Registry, tmp_path: Path) -> None:
    file = tmp_path / "mine.onnx"
    file.write_bytes(linear_graph(1))
    register = ("model", "register", str(file), "--name", "mine", "--no-announce")
    said = answer(*register, "--trained-until", "2026-01-01")
    assert said == {"model": "mine/1", "model_hash": registry.named("mine").announcement.model_hash, "announced": False}
    assert answer("model", "list") == {"mine": [1]}
    card = answer("model", "show", "mine")
    assert (card["kind"], card["trained_event_time_ms"], card["bytes"]) == (
        "onnx", 1_767_225_600_000, file.stat().st_size,
    )  # fmt: skip
    assert card["feature_schema_hash"] == feature_schema_hash(load_ruleset(load_settings()).parameters)
    shown = tocsin("model", "show", "mine/1")
    assert "cannot be promoted" in shown.stdout
    assert "output both" in shown.stdout
    file.write_bytes(b"no graph")
    refused = tocsin(*register)
    assert refused.exit_code == 1
    assert "no graph that onnxruntime takes" in refused.stderr


def test_two_models_are_compared_as_a_command(registry: Registry, tmp_path: Path) -> None:
    data = sample(4, 3_000)
    early = data.as_of(25 * DAY_MS)
    for name, learned in (("good", early), ("bad", sample(5, 3_000, labelled=1.0).as_of(25 * DAY_MS))):
        train(learned, "logistic", name, registry, 0.05, 3.0, None, lambda doing: None)
    file = tmp_path / "data.parquet"
    data.write(file)
    assert data.feature_schema_hash == SCHEMA
    found = answer("compare", "good/1", "bad", "--data", str(file), "--budget", "0.05")
    assert 0 < found["decisions"] < len(data)
    low, high = found["difference"]["average_precision"]["interval_95"]
    assert low <= found["difference"]["average_precision"]["value"] <= high
    shown = tocsin("compare", "good/1", "bad", "--data", str(file), "--budget", "0.05")
    assert shown.exit_code == 0
    assert "good/1" in shown.stdout
    assert f"{found['decisions']:,} decisions" in shown.stdout
    missing = tocsin("compare", "good/1", "other", "--data", str(file))
    assert missing.exit_code == 1
    assert "has no model other" in missing.stderr


@pytest.mark.parametrize(
    "arguments", [[], ["good"], ["good", "bad"], ["good", "--shadow"], ["a", "b", "--data", "x", "--plots", "y"]]
)
def test_what_is_to_be_compared_must_be_said(arguments: list[str], registry: Registry) -> None:
    assert tocsin("compare", *arguments).exit_code == 2

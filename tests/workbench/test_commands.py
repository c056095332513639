"""The workbench's commands where they do more than call what has tests of its own."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from models.drift import Alarm
from models.registry.registry import Registry
from services.cli import app_of
from services.contract.codec import encode
from services.learner.health.alarms import FILE, RefitRequest, read_request
from tests.workbench.samples import sample

APP = app_of()

LOSS = Alarm("loss", 1_000, "suspicious/7d", {"before": 0.5, "after": 2.0}, 0.002)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A deployment's folders, and a data set beside them."""
    monkeypatch.setenv("TOCSIN_REGISTRY", str(tmp_path / "registry"))
    monkeypatch.setenv("TOCSIN_STATE_DIR", str(tmp_path / "state"))
    sample(1, 1_000).write(tmp_path / "data.parquet")
    return tmp_path


def test_train_if_drifted_trains_once_for_a_request_and_settles_it(folder: Path) -> None:
    command = ["train", str(folder / "data.parquet"), "--kind", "logistic", "--if-drifted"]
    registry, state = Registry(folder / "registry"), folder / "state"
    idle = CliRunner().invoke(APP, command)
    assert idle.exit_code == 0
    assert "no refit is requested" in idle.stdout
    assert registry.names() == []
    state.mkdir()
    (state / FILE).write_bytes(encode(RefitRequest({"loss": LOSS})))
    refused = CliRunner().invoke(APP, ["train", str(folder / "none.parquet"), "--if-drifted"])
    assert refused.exit_code == 1
    assert read_request(state) is not None, "nothing was trained, so it still stands"
    trained = CliRunner().invoke(APP, [*command, "--json"])
    assert trained.exit_code == 0
    assert "drift of loss on suspicious/7d: 0.500 to 2.000 nats" in trained.stderr
    assert orjson.loads(trained.stdout.splitlines()[-1])["model"] == "logistic/1"
    assert registry.load("logistic", 1).announcement.challenger
    assert read_request(state) is None
    assert CliRunner().invoke(APP, command).exit_code == 0
    assert registry.versions("logistic") == [1]
    (state / FILE).write_text("{broken")
    assert CliRunner().invoke(APP, command).exit_code == 1

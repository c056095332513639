"""Models told to a real MLflow, in files of its own, and fetched back from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from models.learning.training import Snapshot
from models.registry.registry import Registry, RegistryError
from services.contract.announcement import Promotion
from services.runtime.settings import Settings, load_settings
from services.workbench.mlflow_registry import MlflowError, MlflowRegistry, tell_mlflow
from services.workbench.register import register
from tests.support.graphs import K, linear_graph, linear_scores
from tests.support.models import announcement_of, random_model
from tests.workbench.samples import SCHEMA

mlflow = pytest.importorskip("mlflow", reason="no MLflow: pip install 'tocsin[mlflow]'")


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A deployment whose models are told to an MLflow in files."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    return load_settings(registry=tmp_path / "registry", registry_mlflow=(tmp_path / "mlflow").as_uri())


def saved(settings: Settings, version: int) -> Snapshot:
    """A version in the folder."""
    said = announcement_of(random_model(version, SCHEMA), name="mine", version=version)
    snapshot = Snapshot(said, None, {"held_out": {"all": {"auc": 0.75, "brier": None}}})
    Registry(settings.registry).save(snapshot)
    return snapshot


def client(settings: Settings) -> Any:
    return mlflow.tracking.MlflowClient(settings.registry_mlflow, settings.registry_mlflow)


def aliases(settings: Settings) -> dict[str, str]:
    """Our name of the version that each alias in MLflow stands for."""
    seen = client(settings)
    named = seen.get_registered_model("tocsin").aliases
    return {alias: seen.get_model_version_by_alias("tocsin", alias).tags["tocsin.model"] for alias in named}


def test_versions_are_told_and_aliases_follow_promotions_and_rollbacks(settings: Settings) -> None:
    told = MlflowRegistry(settings)
    first, second = saved(settings, 1), saved(settings, 2)
    told.saved(first)
    told.saved(second)
    told.saved(second)
    assert aliases(settings) == {"challenger": "mine/2"}
    (version,) = client(settings).search_model_versions("tags.`tocsin.model` = 'mine/2'")
    assert version.tags["tocsin.model_hash"] == second.announcement.model_hash
    assert version.tags["tocsin.held_out.auc"] == "0.75"
    run = client(settings).get_run(version.run_id)
    assert run.data.metrics == {"held_out.auc": 0.75}
    told.promoted(Promotion(second.announcement))
    assert aliases(settings) == {"champion": "mine/2"}
    third = saved(settings, 3)
    told.promoted(Promotion(third.announcement, ("mine/2",)))
    assert aliases(settings) == {"champion": "mine/3"}, "registered first, for only the folder had it"
    told.promoted(Promotion(second.announcement))
    assert aliases(settings) == {"champion": "mine/2"}
    told.promoted(None)
    told.promoted(None)
    assert aliases(settings) == {}


def test_a_version_comes_back_byte_for_byte_and_a_damaged_one_is_refused(settings: Settings, tmp_path: Path) -> None:
    snapshot = saved(settings, 1)
    MlflowRegistry(settings).saved(snapshot)
    elsewhere = load_settings(registry=tmp_path / "elsewhere", registry_mlflow=settings.registry_mlflow)
    assert MlflowRegistry(elsewhere).fetched("challenger") == snapshot
    copied, kept = (Registry(each.registry).path("mine", 1) for each in (elsewhere, settings))
    assert copied.read_bytes() == kept.read_bytes()
    assert MlflowRegistry(elsewhere).fetched("mine/1") == snapshot
    with pytest.raises(MlflowError, match="MLflow has no mine/2"):
        MlflowRegistry(elsewhere).fetched("mine/2")
    (artifact,) = (tmp_path / "mlflow").rglob("00000001.json")
    artifact.write_bytes(artifact.read_bytes().replace(b"0.75", b"0.95"))
    copied.unlink()
    with pytest.raises(RegistryError, match="SHA-256"):
        MlflowRegistry(elsewhere).fetched("mine/1")
    assert not copied.exists()


def test_a_registered_graph_goes_there_and_comes_back_with_its_version(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "theirs.onnx"
    file.write_bytes(linear_graph(5))
    snapshot = register(file, "theirs", Registry(settings.registry), SCHEMA)
    MlflowRegistry(settings).saved(snapshot)
    elsewhere = load_settings(registry=tmp_path / "elsewhere", registry_mlflow=settings.registry_mlflow)
    assert MlflowRegistry(elsewhere).fetched("challenger") == snapshot
    features = np.random.default_rng(6).normal(size=(7, K))
    scoring = Registry(elsewhere.registry).scoring(snapshot.announcement, SCHEMA)
    np.testing.assert_allclose(scoring.scores(features), linear_scores(5, features), rtol=1e-5)
    (artifact,) = (tmp_path / "mlflow").rglob("*.onnx")
    artifact.write_bytes(linear_graph(7))
    with pytest.raises(RegistryError, match="SHA-256"):
        MlflowRegistry(elsewhere).fetched("theirs/1")


def test_an_mlflow_that_is_not_there_is_said_and_none_is_no_matter(settings: Settings) -> None:
    snapshot = saved(settings, 1)
    wrong = msgspec.structs.replace(snapshot.announcement, model_hash="00" * 32)
    MlflowRegistry(settings).saved(snapshot)
    with pytest.raises(MlflowError, match="another model mine/1"):
        MlflowRegistry(settings).saved(Snapshot(wrong))
    nowhere = settings.model_copy(update={"registry_mlflow": "nonsense://"})
    said = tell_mlflow(nowhere, lambda told: told.saved(snapshot))
    assert said is not None
    assert "it is done nonetheless" in said
    assert tell_mlflow(settings.model_copy(update={"registry_mlflow": ""}), lambda told: told.saved(snapshot)) is None

"""A graph in the ONNX format: its probability is scored as it is, and what it must not be is refused before it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from models.kinds.onnx import BLACK_BOX, BLOCK, OnnxModel, graph_of, hash_of_graph, scoring
from models.learning.training import Snapshot
from models.registry.card import card_of
from models.registry.registry import Registry, RegistryError
from services.contract.announcement import ModelAnnouncement
from services.learner.champion import PromotionError, promoted
from services.scorer.path.features.registry import FEATURES
from services.scorer.path.scoring.ensemble import model_from
from services.scorer.path.scoring.model import ModelRefused
from services.workbench.register import register
from tests.support.graphs import linear_graph, linear_scores

SCHEMA = "ab" * 32
K = len(FEATURES)


def table(rows: int, seed: int = 1) -> np.ndarray:
    draw = np.random.default_rng(seed)
    features = np.abs(draw.normal(0.0, 3.0, (rows, K)))
    features[draw.random(features.shape) < 0.1] = np.nan
    return features


def registered(folder: Path, data: bytes, name: str = "mine", **options: Any) -> Snapshot:
    file = folder / "model.onnx"
    file.write_bytes(data)
    return register(file, name, Registry(folder / "registry"), SCHEMA, **options)


@pytest.mark.parametrize("options", [{}, {"columns": 1}, {"double": True}])
def test_a_graphs_probability_becomes_log_odds(options: dict[str, Any], tmp_path: Path) -> None:
    made = registered(tmp_path, linear_graph(3, **options))
    model = Registry(tmp_path / "registry").scoring(made.announcement, SCHEMA)
    features = table(700)
    np.testing.assert_allclose(model.scores(features), linear_scores(3, features), rtol=2e-5, atol=2e-5)
    assert len(model.scores(features[:0])) == 0
    assert model.hash == made.announcement.model_hash


def test_a_score_depends_on_its_row_alone_to_the_bit_however_the_batches_are_cut() -> None:
    said = registered_in_memory(linear_graph(5))
    whole = said.scores(table(3 * BLOCK + 17))
    for length in (1, 2, 7, BLOCK - 1, BLOCK + 3):
        features = table(3 * BLOCK + 17)
        parts = [said.scores(features[at : at + length]) for at in range(0, len(features), length)]
        assert np.array_equal(np.concatenate(parts), whole), length


def registered_in_memory(data: bytes) -> OnnxModel:
    graph = graph_of(data)
    model_hash = hash_of_graph(graph, SCHEMA)
    said = ModelAnnouncement("mine", 1, model_hash, SCHEMA, "onnx", 1.0, 0, 0, challenger=True, onnx=graph)
    return scoring(said, lambda: data, SCHEMA)


def test_scikit_learns_model_says_what_it_says_there(tmp_path: Path) -> None:
    """The three lines of the documentation."""
    from skl2onnx import to_onnx
    from sklearn.ensemble import GradientBoostingClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline

    features = table(400).astype(np.float32)
    labels = np.nan_to_num(features[:, 0]) > 4
    model = make_pipeline(SimpleImputer(), GradientBoostingClassifier(n_estimators=5, random_state=1))
    model.fit(features, labels)
    exported = to_onnx(model, features[:1], options={"zipmap": False}).SerializeToString()

    made = registered(tmp_path, exported)
    scores = Registry(tmp_path / "registry").scoring(made.announcement, SCHEMA).scores(features.astype(np.float64))
    np.testing.assert_allclose(1 / (1 + np.exp(-scores)), model.predict_proba(features)[:, 1], atol=1e-6)
    with_maps = to_onnx(model, features[:1]).SerializeToString()
    with pytest.raises(ModelRefused, match="zipmap"):
        graph_of(with_maps)


def test_certainty_is_finite_and_what_is_no_probability_is_no_score() -> None:
    model = registered_in_memory(linear_graph(5))
    features = np.zeros((3, K))
    features[0], features[1] = 1e30, np.inf
    first, second, third = model.scores(features).tolist()
    assert abs(first) > 30
    assert np.isfinite(first)
    assert np.isnan(second), "infinite weights of both signs: the graph has no answer"
    assert third == 0.0


def elsewhere() -> bytes:
    """A graph whose weights stand in another file."""
    made = onnx.load_from_string(linear_graph(1))
    tensor = made.graph.initializer[-1]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "weights.bin"
    return bytes(made.SerializeToString())


def two_inputs() -> bytes:
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", K]) for name in "ab"]
    out = helper.make_tensor_value_info("c", TensorProto.FLOAT, ["n", K])
    graph = helper.make_graph([helper.make_node("Add", ["a", "b"], ["c"])], "two", inputs, [out])
    opset = [helper.make_opsetid("", 17)]
    return bytes(helper.make_model(graph, opset_imports=opset, ir_version=9).SerializeToString())


@pytest.mark.parametrize(
    "data, options, message",
    [
        (b"", {}, "no graph that onnxruntime takes"),
        (b"\x80\x04\x95pickled", {}, "no graph that onnxruntime takes"),
        (linear_graph(1)[:-40], {}, "no graph that onnxruntime takes"),
        (linear_graph(1, features=K - 1), {}, rf"one input of float or double \[n, {K}\]"),
        (linear_graph(1, rows=4), {}, "n free"),
        (two_inputs(), {}, "a tensor.float., b|a tensor"),
        (linear_graph(1, squash=False), {}, "have no probability"),
        (linear_graph(1), {"output": "label"}, "--output names"),
        (elsewhere(), {}, "in another file"),
    ],
)
def test_what_cannot_be_a_challenger_is_refused_and_nothing_is_saved(
    data: bytes, options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelRefused, match=message):
        registered(tmp_path, data, **options)
    assert not (tmp_path / "registry").exists()


def test_no_name_leads_out_of_the_registry(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry")
    said = msgspec.structs.replace(registered(tmp_path, linear_graph(1)).announcement, name="../mine")
    with pytest.raises(RegistryError, match="a name is letters"):
        registered(tmp_path, linear_graph(1), name="../mine")
    with pytest.raises(RegistryError, match="a name is letters"):
        registry.save(Snapshot(said))
    with pytest.raises(ModelRefused, match="a name is letters") as raised:
        registry.scoring(said, SCHEMA)
    assert "mine" not in str(raised.value), "an announcement's name may be anything, and this is logged"
    (tmp_path / "registry" / ".not a line").mkdir()
    assert registry.names() == ["mine"]


def test_the_hash_is_checked_before_anything_is_parsed(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry")
    said = registered(tmp_path, linear_graph(1)).announcement
    assert said.onnx is not None
    (file,) = (tmp_path / "registry" / "mine").glob("*.onnx")
    assert file.name == f"{said.onnx.sha256}.onnx"
    for false in (linear_graph(2), b"\x80\x04\x95no graph at all"):
        file.write_bytes(false)
        with pytest.raises(ModelRefused, match="does not have the SHA-256"):
            registry.scoring(said, SCHEMA)
        with pytest.raises(RegistryError, match="does not have the SHA-256"):
            registry.load("mine", 1)
    file.unlink()
    with pytest.raises(ModelRefused, match="No such file"):
        registry.scoring(said, SCHEMA)


def test_another_input_output_or_schema_than_was_hashed_is_refused(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry")
    said = registered(tmp_path, linear_graph(1)).announcement
    assert said.onnx is not None
    other = msgspec.structs.replace(said, onnx=msgspec.structs.replace(said.onnx, output="rest"))
    with pytest.raises(ModelRefused, match="do not have the hash"):
        registry.scoring(other, SCHEMA)
    with pytest.raises(ModelRefused, match="names no file"):
        registry.scoring(msgspec.structs.replace(said, onnx=None), SCHEMA)
    with pytest.raises(ModelRefused, match="was trained on feature schema"):
        registry.scoring(said, "0" * 64)


def test_it_can_never_decide(tmp_path: Path) -> None:
    said = registered(tmp_path, linear_graph(1)).announcement
    with pytest.raises(ModelRefused, match="no reasons to show"):
        model_from(said, SCHEMA)
    with pytest.raises(PromotionError, match="no reasons to show"):
        promoted(said, None)


def test_a_registration_is_a_version_and_the_same_again_is_none(tmp_path: Path) -> None:
    first = registered(tmp_path, linear_graph(1))
    assert registered(tmp_path, linear_graph(1)) == first
    second = registered(tmp_path, linear_graph(2), trained_event_time_ms=5)
    registry = Registry(tmp_path / "registry")
    assert (first.announcement.version, second.announcement.version) == (1, 2)
    assert registry.load("mine", 1) == first
    assert registry.named("mine") == second
    card = card_of(second, SCHEMA)
    assert (card["kind"], card["graph"]["output"], card["features"]) == ("onnx", "both", [])
    assert BLACK_BOX in card["limits"]

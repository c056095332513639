"""A data scientist's own model as a graph in the ONNX format, scored in batches. Needs the extra ``onnx``.

Only a challenger can be such: a graph says a probability and nothing of how it came about, so there are no reasons to
show. Its file is data: onnxruntime interprets the graph and is given no operators but its own. Nobody parses a file
that does not have the SHA-256 it is announced with.

Rows go through the graph in blocks of ``BLOCK``, the last one filled up with missing values. The runtime computes a
single row by other kernels than several (of 3,000 scores of a logistic regression half differed in their last bits), so
with blocks of one length a score depends on its row alone, however the stream is cut into batches; it costs no more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from models.kinds.kind import GraphOf
from services.contract.announcement import ModelAnnouncement, OnnxGraph
from services.contract.identity import hash_of
from services.scorer.path.features.registry import FEATURES
from services.scorer.path.scoring.model import ModelRefused, require_schema

BLOCK = 256
BYTES_MAX = 256 * 1024 * 1024
_PROBABILITY_MIN, _PROBABILITY_MAX = 1e-300, 1.0 - 2.0**-53
"""What 0 and 1 count as, so that log-odds are finite: about -691 and 36.7."""
ROUNDING = 1e-6
"""How far beyond 0 and 1 a probability in single precision may come out."""
_TYPES: dict[str, Any] = {"tensor(float)": np.float32, "tensor(double)": np.float64}
BLACK_BOX = "It shows no reasons: nobody can say what made its score. So it scores in shadow, and cannot be promoted."
"""What its card says."""
_WEIGHTS_ELSEWHERE = b"\x0a\x08location\x12"
"""How a tensor whose numbers stand in another file begins to say where (``external_data`` of onnx.proto)."""


@dataclass(frozen=True, eq=False)
class OnnxModel:
    """A graph that scores: ``hash`` covers file, input, output and feature schema."""

    version: int
    feature_schema_hash: str
    hash: str
    graph: OnnxGraph
    session: Any
    """``onnxruntime.InferenceSession``."""
    failures: tuple[type[Exception], ...]
    """What the runtime raises."""

    def scores(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """float64[n]: log-odds of each payment of ``features`` (float64[n, k] as served).

        NaN where the graph failed, or said what is no probability. It never raises.
        """
        return _log_odds(_probabilities(self.session, self.graph, features, self.failures))


def graph_of(data: bytes, output: str | None = None) -> OnnxGraph:
    """How the graph in ``data`` is asked, found by asking it.

    Parameters
    ----------
    output
        The output to take; ``None``: the only one that is a table of float numbers.

    Raises
    ------
    ModelRefused
        When it is no graph, needs what is not in the file, or does not take features and give probabilities. The
        message says what it should.
    """
    if len(data) > BYTES_MAX:
        raise ModelRefused(f"{len(data):,} bytes, and {BYTES_MAX:,} are allowed")
    session, failures = _opened(data)
    inputs = session.get_inputs()
    if len(inputs) != 1 or inputs[0].type not in _TYPES or not _takes_rows(inputs[0].shape):
        raise ModelRefused(
            f"takes {_described(inputs)}: one input of float or double [n, {len(FEATURES)}] is needed, n free, the "
            "features in canonical order"
        )
    outputs = [each for each in session.get_outputs() if output in (None, each.name) and each.type in _TYPES]
    if len(outputs) != 1:
        raise ModelRefused(
            f"gives {_described(session.get_outputs())}: one float or double output, or one that --output names, is "
            'needed: [n], [n, 1] or [n, 2] (with skl2onnx, options={"zipmap": False})'
        )
    graph = OnnxGraph(hash_of(data), inputs[0].name, outputs[0].name)
    draw = np.random.default_rng(1)
    asked = np.abs(draw.normal(0.0, 50.0, (BLOCK, len(FEATURES))))
    asked[0], asked[1], asked[2:, ::7] = np.nan, 0.0, np.nan
    try:
        said = _probabilities(session, graph, asked, ())
    except failures as error:
        raise ModelRefused(f"cannot score features, some of them missing: {error}") from None
    if np.isnan(said).any():
        raise ModelRefused(
            f"output {graph.output}: of {len(said)} rows {int(np.isnan(said).sum())} have no probability in [0, 1]; "
            "missing features come as NaN"
        )
    return graph


def hash_of_graph(graph: OnnxGraph, feature_schema_hash: str) -> str:
    """The hash of a model: SHA-256 over all that decides its scores."""
    parameters = {
        "kind": "onnx",
        "sha256": graph.sha256,
        "input": graph.input,
        "output": graph.output,
        "feature_schema_hash": feature_schema_hash,
    }
    return hash_of(orjson.dumps(parameters, option=orjson.OPT_SORT_KEYS))


def checked_graph(said: ModelAnnouncement, data: bytes) -> OnnxGraph:
    """The announced graph, once ``data`` is known to be its file, and the model's hash to fit. It parses nothing.

    Raises
    ------
    ModelRefused
        When either is not so.
    """
    if said.onnx is None:
        raise ModelRefused(f"model {said.version} of {said.name} is of kind onnx and names no file")
    if hash_of(data) != said.onnx.sha256:
        raise ModelRefused(
            f"model {said.version} of {said.name}: its file does not have the SHA-256 it is announced with"
        )
    if hash_of_graph(said.onnx, said.feature_schema_hash) != said.model_hash:
        raise ModelRefused(f"model {said.version}: parameters do not have the hash they are announced with")
    return said.onnx


def scoring(said: ModelAnnouncement, graph_file: GraphOf, feature_schema_hash: str) -> OnnxModel:
    """As ``Kind.scoring``: the model that is announced, of its file.

    Raises
    ------
    ModelRefused
        As ``checked_graph``, which comes first; when it was trained on other features, or onnxruntime is missing or
        refuses it.
    """
    data = graph_file()
    require_schema(said, feature_schema_hash)
    graph = checked_graph(said, data)
    session, failures = _opened(data)
    inputs, outputs = ([each.name for each in of] for of in (session.get_inputs(), session.get_outputs()))
    if inputs != [graph.input] or graph.output not in outputs:
        raise ModelRefused(f"model {said.version} of {said.name}: its graph has no input or output of those names")
    return OnnxModel(said.version, feature_schema_hash, said.model_hash, graph, session, failures)


def check(said: ModelAnnouncement, graph: GraphOf) -> None:
    """As ``Kind.check``."""
    checked_graph(said, graph())


def _opened(data: bytes) -> tuple[Any, tuple[type[Exception], ...]]:
    """A session on one thread, and what it raises."""
    if _WEIGHTS_ELSEWHERE in data:
        raise ModelRefused("keeps numbers in another file, which its hash would not cover: save it as one file")
    try:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as binding
    except ImportError:
        raise ModelRefused("is of kind onnx, which needs onnxruntime: install the extra `onnx`") from None
    own = [each for each in vars(binding).values() if isinstance(each, type) and issubclass(each, Exception)]
    failures: tuple[type[Exception], ...] = (*own, RuntimeError, ValueError)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    options.log_severity_level = 4  # what is wrong comes as an exception
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"]), failures
    except failures as error:
        raise ModelRefused(f"is no graph that onnxruntime takes: {error}") from None


def _probabilities(
    session: Any, graph: OnnxGraph, features: NDArray[np.float64], failures: tuple[type[Exception], ...]
) -> NDArray[np.float64]:
    """float64[n]: what the graph says of each row; NaN where that is no probability, or one of ``failures`` came."""
    kind = _TYPES[session.get_inputs()[0].type]
    out = np.full(len(features), np.nan)
    block = np.empty((BLOCK, features.shape[1]), dtype=kind)
    for start in range(0, len(features), BLOCK):
        rows = features[start : start + BLOCK]
        block[len(rows) :] = np.nan
        with np.errstate(over="ignore"):  # beyond float32 is infinity
            block[: len(rows)] = rows
        try:
            (said,) = session.run([graph.output], {graph.input: block})
        except failures:
            continue
        table = np.asarray(said, dtype=np.float64)
        if table.shape in ((BLOCK,), (BLOCK, 1), (BLOCK, 2)):
            out[start : start + len(rows)] = table.reshape(BLOCK, -1)[: len(rows), -1]
    out[~((out >= -ROUNDING) & (out <= 1.0 + ROUNDING))] = np.nan
    return out


def _log_odds(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    within = np.clip(probability, _PROBABILITY_MIN, _PROBABILITY_MAX)
    return np.asarray(np.log(within) - np.log1p(-within))


def _takes_rows(shape: list[Any]) -> bool:
    """Whether an input of ``shape`` takes any number of payments; a dimension that has no number is free."""
    return len(shape) == 2 and not isinstance(shape[0], int) and shape[1] in (len(FEATURES), None, str(shape[1]))


def _described(tensors: list[Any]) -> str:
    return ", ".join(f"{each.name} {each.type} {each.shape}" for each in tensors) or "nothing"

"""Tiny graphs in the ONNX format, such as a data scientist might export."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from services.scorer.path.features.registry import FEATURES

K = len(FEATURES)


def linear_graph(
    seed: int, columns: int = 2, *, double: bool = False, features: int = K, squash: bool = True, rows: int | str = "n"
) -> bytes:
    """A logistic regression whose missing features count as 0: its probability [n, 1], or [n, 2] beside its complement.

    Without ``squash`` it gives log-odds, which are no probabilities.
    """
    kind: Any = TensorProto.DOUBLE if double else TensorProto.FLOAT
    number = np.float64 if double else np.float32
    weights = np.random.default_rng(seed).normal(0.0, 0.01, (features, 1)).astype(number)
    nodes = [
        helper.make_node("IsNaN", ["features"], ["absent"]),
        helper.make_node("Where", ["absent", "zero", "features"], ["filled"]),
        helper.make_node("MatMul", ["filled", "weights"], ["said"]),
        helper.make_node("Sigmoid" if squash else "Identity", ["said"], ["suspicious"]),
    ]
    out = "suspicious"
    if columns == 2:
        nodes += [
            helper.make_node("Sub", ["one", "suspicious"], ["rest"]),
            helper.make_node("Concat", ["rest", "suspicious"], ["both"], axis=1),
        ]
        out = "both"
    constants = {"zero": np.array(0.0, number), "one": np.array(1.0, number), "weights": weights}
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("features", kind, [rows, features])],
        [helper.make_tensor_value_info(out, kind, [rows, columns])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(made)
    return bytes(made.SerializeToString())


def linear_scores(seed: int, features: np.ndarray) -> np.ndarray:
    """The log-odds of ``linear_graph(seed)``, by hand and in double precision."""
    weights = np.random.default_rng(seed).normal(0.0, 0.01, (K, 1)).astype(np.float32)
    return np.asarray((np.nan_to_num(features, nan=0.0) @ weights.astype(np.float64))[:, 0])

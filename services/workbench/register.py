"""Registering a model that was made elsewhere: a graph in the ONNX format becomes a version of a line."""

from __future__ import annotations

from pathlib import Path

import msgspec

from models.kinds.onnx import graph_of, hash_of_graph
from models.learning.training import Snapshot
from models.registry.registry import Registry
from services.contract.announcement import ModelAnnouncement
from services.scorer.path.scoring.model import ModelRefused


def register(
    file: Path,
    name: str,
    registry: Registry,
    feature_schema_hash: str,
    output: str | None = None,
    trained_event_time_ms: int = 0,
) -> Snapshot:
    """Try the graph of ``file``, and save it as the next version of the line ``name``, a challenger.

    To register the latest version again changes nothing.

    Parameters
    ----------
    feature_schema_hash
        Of the features that it was trained on, which are those computed now.
    output
        The graph's output to take; ``None``: the only one that can be.
    trained_event_time_ms
        Latest label time among what it learned from; 0: not told.

    Raises
    ------
    ModelRefused
        When it cannot score in shadow, or the file cannot be read. The message says why.
    RegistryError
        When ``name`` is no name, or the line's latest version cannot be read.
    """
    try:
        data = file.read_bytes()
        graph = graph_of(data, output)
    except OSError as error:
        raise ModelRefused(f"{file}: {error.strerror}") from error
    except ModelRefused as error:
        raise ModelRefused(f"{file}: {error}") from None
    latest = registry.latest(name)
    said = ModelAnnouncement(
        name=name,
        version=1 if latest is None else latest.announcement.version + 1,
        model_hash=hash_of_graph(graph, feature_schema_hash),
        feature_schema_hash=feature_schema_hash,
        kind="onnx",
        review_probability=1.0,
        examples_offset=0,
        trained_event_time_ms=trained_event_time_ms,
        challenger=True,
        onnx=graph,
    )
    if latest is not None and latest.announcement == msgspec.structs.replace(said, version=said.version - 1):
        return latest
    snapshot = Snapshot(said, None, {"file": file.name, "bytes": len(data)})
    registry.save_graph(name, data)
    registry.save(snapshot)
    return snapshot

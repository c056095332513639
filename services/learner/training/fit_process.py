"""One fit, in a process of its own: ``python -m services.learner.training.fit_process``.

Standard input says what to fit (``written``), and then stays open for as long as somebody waits for the result, which
goes to standard output. Whoever stops waiting, or dies, lets the pipe go, and the process ends at
once: it outlives nobody. It knows neither Kafka nor settings, and nothing that it is given names an account.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterator
from importlib import import_module
from typing import BinaryIO

import numpy as np

from models.kinds.kind import FitInputs, PackedFit

NICENESS = 10
"""Beside the worker it is in no hurry."""
CHUNK_BYTES = 2**20


def written(fit: PackedFit, inputs: FitInputs) -> Iterator[bytes]:
    """What to write to the process: a line of JSON with where ``fit`` stands, shape and schema, then features, labels
    and weights as bytes, in pieces of at most ``CHUNK_BYTES``."""
    count, width = inputs.features.shape
    yield json.dumps([fit.__module__, fit.__qualname__, count, width, inputs.feature_schema_hash]).encode() + b"\n"
    for array in (inputs.features, inputs.labels, inputs.weights):
        data = array.reshape(-1).view(np.uint8)
        for start in range(0, len(data), CHUNK_BYTES):
            yield data[start : start + CHUNK_BYTES].tobytes()


def read(source: BinaryIO) -> tuple[PackedFit, FitInputs]:
    """The fit and the inputs that were ``written``. Of all kinds of models it imports the one that is to be fitted.

    Raises
    ------
    EOFError
        When the source ends before they do.
    """
    module, name, count, width, schema = json.loads(source.readline() or b'["", "", 0, 0, ""]')
    features = np.frombuffer(_exactly(source, 8 * count * width), dtype=np.float64).reshape(count, width)
    labels = np.frombuffer(_exactly(source, count), dtype=np.bool_)
    weights = np.frombuffer(_exactly(source, 8 * count), dtype=np.float64)
    return getattr(import_module(module), name), FitInputs(features, labels, weights, schema)


def _exactly(source: BinaryIO, size: int) -> bytes:
    data = source.read(size)
    if not size or len(data) < size:
        raise EOFError("whoever wanted the fit is gone")
    return data


def _end_with_the_pipe() -> None:
    """End this process when standard input ends, whatever the other threads are about. The descriptor is read itself:
    its buffer would be locked meanwhile, and the interpreter's end waits for that lock."""
    os.read(0, 1)
    os._exit(1)


def main() -> None:
    """Fit once. What a library prints goes to standard error: standard output is the result's."""
    os.nice(NICENESS)
    result = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    fit, inputs = read(sys.stdin.buffer)
    threading.Thread(target=_end_with_the_pipe, daemon=True).start()
    result.write(fit(inputs))
    result.close()


if __name__ == "__main__":
    main()

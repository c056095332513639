"""A fit that comes to no end, for a process that imports it."""

from __future__ import annotations

import threading

from models.kinds.kind import FitInputs


def endless(_inputs: FitInputs) -> bytes:
    """Stand still."""
    threading.Event().wait()
    return b""

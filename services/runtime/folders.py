"""Where on this machine Tocsin keeps what it can make or fetch again."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def cache_folder(environ: Mapping[str, str] | None = None) -> Path:
    """``$TOCSIN_CACHE``, else ``$XDG_CACHE_HOME/tocsin``, else ``~/.cache/tocsin``. Not created.

    Raises
    ------
    RuntimeError
        When none of the variables is set and the user has no home.
    """
    settings = os.environ if environ is None else environ
    if chosen := settings.get("TOCSIN_CACHE"):
        return Path(chosen).absolute()
    if shared := settings.get("XDG_CACHE_HOME"):
        return Path(shared).absolute() / "tocsin"
    return Path.home() / ".cache" / "tocsin"

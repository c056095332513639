"""Where on this machine Tocsin keeps what it can make or fetch again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def cache_folder(environ: Mapping[str, str]) -> Path:
    """``$TOCSIN_CACHE``, else ``$XDG_CACHE_HOME/tocsin``, else ``~/.cache/tocsin``. Not created.

    Raises
    ------
    RuntimeError
        When none of the variables is set and the user has no home.
    """
    if chosen := environ.get("TOCSIN_CACHE"):
        return Path(chosen).absolute()
    if shared := environ.get("XDG_CACHE_HOME"):
        return Path(shared).absolute() / "tocsin"
    return Path.home() / ".cache" / "tocsin"

"""Where things are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.runtime.folders import cache_folder


@pytest.mark.parametrize(
    "environ,expected",
    [
        ({"TOCSIN_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, Path("/a")),
        ({"XDG_CACHE_HOME": "/b"}, Path("/b/tocsin")),
        ({}, Path.home() / ".cache" / "tocsin"),
    ],
)
def test_the_cache_is_where_the_settings_say(environ: dict[str, str], expected: Path) -> None:
    assert cache_folder(environ) == expected

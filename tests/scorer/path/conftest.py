"""What the tests of the path share."""

from __future__ import annotations

from pathlib import Path

import pytest

import services.scorer.rulebook


@pytest.fixture(scope="session")
def shipped() -> str:
    """The text of the general ruleset that ships with the scorer."""
    return (Path(services.scorer.rulebook.__file__).parent / "rulesets" / "general.toml").read_text(encoding="utf-8")

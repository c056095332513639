"""What is said of a changelog that this code has not written."""

from __future__ import annotations

from services.contract.errors import TocsinError


class StateFormatError(TocsinError, ValueError):
    """A changelog entry was not written by this layout of the state. The message repeats nothing of it."""


def refused(why: str) -> StateFormatError:
    """The error that says why, and the way out."""
    return StateFormatError(
        f"{why}: delete the changelog topic and the group's offsets to rebuild the state from the input topic"
    )

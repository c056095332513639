"""The base of our errors."""

from __future__ import annotations


class TocsinError(Exception):
    """An error whose message people may read anywhere: it never repeats anything of a record."""

"""The base of our errors."""

from __future__ import annotations


class TocsinError(Exception):
    """An error whose message people may read anywhere: it never repeats anything of a record."""


class MissingExtra(TocsinError, ImportError):
    """An optional part is not installed. The message says which, and how to install it."""

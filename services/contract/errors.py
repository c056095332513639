"""The base of our errors."""

from __future__ import annotations

from typing import ClassVar


class TocsinError(Exception):
    """The base of all errors of ours. People may read its message anywhere: it repeats nothing of a record, unless its
    class ``may_quote``."""

    may_quote: ClassVar[bool] = False
    """Whether the message may repeat what a library said of a file: whoever named the file reads it, no log has it."""
    exit_code: ClassVar[int] = 1
    """Of a command that it ends; 2: something is to be put in order before the command is typed again."""


class MissingExtra(TocsinError, ImportError):
    """An optional part is not installed. The message says which, and how to install it."""

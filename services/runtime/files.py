"""Files that are there whole or not at all, and why one cannot be read."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def unreadable(path: object, error: OSError | UnicodeError, expected: str) -> str:
    """Why a file cannot be read, for people: its path, what is wrong, and ``expected``: what should have been there.

    >>> unreadable("rules.toml", FileNotFoundError(2, "No such file or directory"), "a TOML file of rules")
    'rules.toml: there is no such file; expected a TOML file of rules'
    >>> unreadable("rules.toml", IsADirectoryError(21, "Is a directory"), "a TOML file of rules")
    'rules.toml: is a directory; expected a TOML file of rules'
    """
    if isinstance(error, FileNotFoundError):
        wrong = "there is no such file"
    elif isinstance(error, OSError):
        wrong = (error.strerror or str(error)).lower()
    else:
        wrong = f"is not {error.encoding}" if isinstance(error, UnicodeDecodeError) else "is no text"
    return f"{path}: {wrong}; expected {expected}"


def write_durably(path: Path, data: bytes) -> None:
    """Put ``data`` in the place of ``path`` so that a crash of the machine leaves the old content or the new one.

    The folder is made when it is not there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".writing-", delete=False) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(file.name, path)
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

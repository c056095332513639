"""Apache Kafka's jars: pinned in ``kafka.lock.toml``, fetched once into a cache folder, checked at every use.

They come through Maven where ``mvn`` is on the path, else from the repository that ``TOCSIN_MAVEN_REPOSITORY`` gives
the base address of. Nothing that the lock file does not name by its SHA-256 is run.
"""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import os
import shutil
import subprocess
import tempfile
import tomllib
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console

from services.broker.errors import JarCorrupted, JarsUnavailable
from services.broker.process import run_to_end
from services.runtime.folders import cache_folder

LOCK_FILE: Final = Path(__file__).with_name("kafka.lock.toml")
REPOSITORY_SETTING: Final = "TOCSIN_MAVEN_REPOSITORY"
MAVEN_TIMEOUT_S: Final = 600.0
FETCH_TIMEOUT_S: Final = 60.0

_REASON_LENGTH_MAX = 300
_POM = """<project><modelVersion>4.0.0</modelVersion>
<groupId>tocsin</groupId><artifactId>broker</artifactId><version>1</version><packaging>pom</packaging>
<dependencies>{dependencies}</dependencies></project>
"""
_DEPENDENCY = """<dependency><groupId>{jar.group}</groupId><artifactId>{jar.artifact}</artifactId>
<version>{jar.version}</version><exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion>
</exclusions></dependency>"""


@dataclass(frozen=True, slots=True)
class Jar:
    """One line of the lock: a jar and the SHA-256 of its bytes, in hexadecimal."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def name(self) -> str:
        """Its file's name."""
        return f"{self.artifact}-{self.version}.jar"

    @property
    def address(self) -> str:
        """Where a Maven repository keeps it, relative to the repository's base."""
        return f"{self.group.replace('.', '/')}/{self.artifact}/{self.version}/{self.name}"


@dataclass(frozen=True, slots=True)
class Lock:
    """The lock file: Kafka's version, every jar it runs with, and a digest of it all that names the cache folder."""

    kafka: str
    jars: tuple[Jar, ...]
    digest: str


def read_lock(path: Path = LOCK_FILE) -> Lock:
    """Read a lock file. Raises ``KeyError`` or ``TypeError`` if it is malformed: it ships with the code."""
    content = path.read_bytes()
    table = tomllib.loads(content.decode())
    jars = tuple(Jar(**entry) for entry in table["jar"])
    return Lock(table["kafka"], jars, hashlib.sha256(content).hexdigest())


def resolve_jars(environ: Mapping[str, str] | None = None, lock: Lock | None = None) -> list[Path]:
    """The paths of all jars, in the lock's order, fetched if the cache lacks them and checked in any case.

    Two processes may do it at once: the second waits for the first and uses what it fetched. ``environ`` is read
    instead of the process's environment (``PATH``, ``TOCSIN_CACHE``, ``TOCSIN_MAVEN_REPOSITORY`` ...).

    Raises
    ------
    JarsUnavailable
        They are not cached, and neither Maven nor a repository gave them.
    JarCorrupted
        One is not what the lock says, in the cache or as fetched.
    """
    settings = os.environ if environ is None else environ
    pinned = read_lock() if lock is None else lock
    folder = cache_folder(settings) / f"kafka-{pinned.kafka}-{pinned.digest[:12]}"
    if not folder.is_dir():
        _fill(folder, pinned, settings)
    return check_jars(folder, pinned)


def check_jars(folder: Path, lock: Lock) -> list[Path]:
    """The paths of the lock's jars in ``folder``; raises ``JarCorrupted`` at the first that is not what it should."""
    for jar in lock.jars:
        path = folder / jar.name
        if not path.is_file():
            raise JarCorrupted(f"jar {jar.name} is missing; remove the folder {folder} to have it fetched again")
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != jar.sha256:
            raise JarCorrupted(
                f"jar {jar.name} is not the one pinned in {LOCK_FILE.name}: SHA-256 {found}, not {jar.sha256}; "
                f"if the cache was damaged, remove the folder {folder} to have it fetched again"
            )
    return [folder / jar.name for jar in lock.jars]


def _fill(folder: Path, lock: Lock, settings: Mapping[str, str]) -> None:
    """Fetch into a temporary folder beside ``folder``, check, and rename: it is there whole or not at all."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise JarsUnavailable(f"TOCSIN_CACHE: {folder.parent} cannot be created ({error.strerror})") from error
    with (folder.parent / "kafka.lock").open("w") as lock_file:
        fcntl.flock(lock_file, fcntl.LOCK_EX)  # freed when its holder dies: the wait is as long as a fetch at most
        if folder.is_dir():
            return
        with tempfile.TemporaryDirectory(prefix=".kafka-", dir=folder.parent, ignore_cleanup_errors=True) as work:
            fetched = Path(work)
            with Console(stderr=True).status(f"Fetching Apache Kafka {lock.kafka} ({len(lock.jars)} jars), once"):
                _fetch(fetched, lock, settings)
            check_jars(fetched, lock)
            fetched.rename(folder)


def _fetch(target: Path, lock: Lock, settings: Mapping[str, str]) -> None:
    maven = shutil.which("mvn", path=settings.get("PATH", ""))
    repository = settings.get(REPOSITORY_SETTING)
    if maven is None and not repository:
        raise JarsUnavailable(f"Kafka {lock.kafka} is not cached, mvn is not on PATH, {REPOSITORY_SETTING} is not set")
    if maven is not None:
        failure = _maven_failure(maven, target, lock, settings)
        if failure is None:
            return
        if not repository:
            raise JarsUnavailable(f"Maven could not fetch Kafka {lock.kafka}: {failure}")
    for jar in lock.jars:
        _download(f"{repository}".rstrip("/"), jar, target)


def _maven_failure(maven: str, target: Path, lock: Lock, settings: Mapping[str, str]) -> str | None:
    """Let Maven copy the jars into ``target``; return why it could not, in one line."""
    with tempfile.TemporaryDirectory(prefix="tocsin-maven-") as work:
        dependencies = "\n".join(_DEPENDENCY.format(jar=jar) for jar in lock.jars)
        Path(work, "pom.xml").write_text(_POM.format(dependencies=dependencies))
        command = [maven, "-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime"]
        command.append(f"-DoutputDirectory={target}")
        try:
            done = run_to_end(command, MAVEN_TIMEOUT_S, cwd=work, env=dict(settings))
        except subprocess.TimeoutExpired:
            return f"no end after {MAVEN_TIMEOUT_S:.0f} s"
        except OSError as error:
            return f"{maven} does not run ({error.strerror})"
    if done.returncode == 0:
        return None
    said = [line for line in (done.stdout + done.stderr).splitlines() if "ERROR" in line]
    return said[0][:_REASON_LENGTH_MAX] if said else f"exit status {done.returncode}"


def _download(repository: str, jar: Jar, target: Path) -> None:
    """Fetch one jar from ``repository``; its hash is checked with all others, afterwards."""
    try:
        with (
            urllib.request.urlopen(f"{repository}/{jar.address}", timeout=FETCH_TIMEOUT_S) as answer,
            (target / jar.name).open("wb") as file,
        ):
            shutil.copyfileobj(answer, file)
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = f"{REPOSITORY_SETTING}: {jar.name} was not fetched"
        raise JarsUnavailable(f"{reason} ({type(error).__name__}: {error})"[:_REASON_LENGTH_MAX]) from error

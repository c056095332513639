"""Building and starting the Kafka Streams application (``streams/``), the Java that a user might write instead."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Literal

from services.bench.worker import Place
from services.broker import NoJava
from services.broker.java import find_java
from services.broker.process import run_to_end
from services.contract.errors import TocsinError
from services.contract.identity import hash_of
from services.runtime.settings import Settings

SOURCES = Path(__file__).with_name("streams")
BUILDS = Path("var/bench")
MAVEN_S = 600.0
HEAP = "-Xmx4g"
_MAIN = "tocsin.bench.Application"
_REASON_LENGTH_MAX = 300

Store = Literal["memory", "rocksdb"]


class CannotBuild(TocsinError, RuntimeError):
    """The application cannot be built here. The message says why, in one line."""


def built(builds: Path = BUILDS) -> Path:
    """The folder with the application's jars, built by Maven if these sources never were.

    Raises
    ------
    CannotBuild
        Without ``mvn``, a JDK, or its dependencies.
    """
    sources = sorted(each for each in SOURCES.rglob("*") if each.suffix in {".java", ".xml"})
    version = hash_of(b"".join(each.read_bytes() for each in sources))[:12]
    folder = builds.absolute() / f"streams-{version}"
    if folder.is_dir():
        return folder
    maven = shutil.which("mvn")
    if maven is None:
        raise CannotBuild("mvn is not on PATH")
    builds.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".streams-", dir=builds.absolute()) as work:
        project = Path(work, "project")
        for each in sources:
            target = project / each.relative_to(SOURCES)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(each, target)
        _package(maven, project)
        jars = project / "target" / "jars"
        (project / "target" / "bench-streams.jar").rename(jars / "bench-streams.jar")
        if not folder.is_dir():
            jars.rename(folder)
    return folder


def _package(maven: str, project: Path) -> None:
    try:
        done = run_to_end([maven, "-q", "-B", "package"], MAVEN_S, cwd=project, env=dict(os.environ))
    except subprocess.TimeoutExpired:
        raise CannotBuild(f"Maven did not end within {MAVEN_S:.0f} s") from None
    except OSError as error:
        raise CannotBuild(f"{maven} does not run ({error.strerror})") from None
    if done.returncode:
        errors = [line for line in (done.stdout + done.stderr).splitlines() if "ERROR" in line]
        raise CannotBuild((errors[0] if errors else f"Maven: exit status {done.returncode}")[:_REASON_LENGTH_MAX])


def command(settings: Settings, place: Place, store: Store) -> list[str]:
    """What runs the application until it is told to end.

    Raises
    ------
    CannotBuild
        As ``built``, and without a Java to run it.
    """
    jars = built()
    try:
        java = find_java()
    except NoJava as missing:
        raise CannotBuild(str(missing)) from None
    application = [settings.bootstrap, settings.topic_prefix, str(settings.partitions), str(place.metrics_port)]
    return [str(java.path), *java.options, HEAP, "-cp", f"{jars}/*", _MAIN, *application, str(place.folder), store]

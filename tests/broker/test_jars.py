"""The jars: fetched from a repository that the test serves, kept, and refused if they are not the pinned ones."""

from __future__ import annotations

import hashlib
import http.server
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from services.broker import JarCorrupted, JarsUnavailable, KafkaBroker
from services.broker.jars import Jar, Lock, read_lock, resolve_jars

CONTENTS = {"alpha": b"first jar", "beta": b"second jar"}
LOCK = Lock(
    kafka="0.0.0",
    jars=tuple(Jar("org.example", name, "1.0", hashlib.sha256(body).hexdigest()) for name, body in CONTENTS.items()),
    digest="0" * 64,
)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        """Say nothing."""


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The address and the folder of a Maven repository with the jars of ``LOCK``."""
    folder = tmp_path / "repository"
    for jar in LOCK.jars:
        path = folder / jar.address
        path.parent.mkdir(parents=True)
        path.write_bytes(CONTENTS[jar.artifact])
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", folder
        server.shutdown()
        thread.join()


@pytest.fixture
def settings(repository: tuple[str, Path], tmp_path: Path) -> dict[str, str]:
    """An environment without Maven, with a repository and a cache of its own."""
    return {
        "PATH": str(tmp_path / "no programs"),
        "TOCSIN_CACHE": str(tmp_path / "cache"),
        "TOCSIN_MAVEN_REPOSITORY": repository[0],
    }


def test_jars_are_fetched_once_and_then_come_from_the_cache(
    settings: dict[str, str], repository: tuple[str, Path]
) -> None:
    first = resolve_jars(settings, LOCK)
    assert [path.read_bytes() for path in first] == list(CONTENTS.values())
    shutil.rmtree(repository[1])
    assert resolve_jars(settings, LOCK) == first


def test_many_that_fetch_at_once_get_the_same_jars_and_leave_no_rest(settings: dict[str, str]) -> None:
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: resolve_jars(settings, LOCK), range(8)))
    assert all(result == results[0] for result in results)
    left = {path.name for path in Path(settings["TOCSIN_CACHE"]).iterdir()}
    assert left == {results[0][0].parent.name, "kafka.lock"}


def test_a_jar_changed_in_the_cache_is_refused_by_name(settings: dict[str, str]) -> None:
    resolve_jars(settings, LOCK)[1].write_bytes(b"another jar")
    with pytest.raises(JarCorrupted, match=r"beta-1\.0\.jar is not the one pinned"):
        resolve_jars(settings, LOCK)


def test_a_jar_lost_from_the_cache_is_refused_by_name(settings: dict[str, str]) -> None:
    resolve_jars(settings, LOCK)[0].unlink()
    with pytest.raises(JarCorrupted, match=r"alpha-1\.0\.jar is missing"):
        resolve_jars(settings, LOCK)


def test_a_wrong_jar_from_the_repository_is_refused_and_not_kept(
    settings: dict[str, str], repository: tuple[str, Path]
) -> None:
    (repository[1] / LOCK.jars[0].address).write_bytes(b"a jar in disguise")
    with pytest.raises(JarCorrupted, match=r"alpha-1\.0\.jar"):
        resolve_jars(settings, LOCK)
    assert [path.name for path in Path(settings["TOCSIN_CACHE"]).iterdir()] == ["kafka.lock"]


def test_a_repository_without_a_jar_is_named_as_the_setting(
    settings: dict[str, str], repository: tuple[str, Path]
) -> None:
    (repository[1] / LOCK.jars[1].address).unlink()
    with pytest.raises(JarsUnavailable, match=r"TOCSIN_MAVEN_REPOSITORY: beta-1\.0\.jar was not fetched .*404"):
        resolve_jars(settings, LOCK)


def test_without_maven_and_repository_the_reason_is_one_line(settings: dict[str, str]) -> None:
    del settings["TOCSIN_MAVEN_REPOSITORY"]
    with pytest.raises(JarsUnavailable) as raised:
        resolve_jars(settings, LOCK)
    assert str(raised.value) == "Kafka 0.0.0 is not cached, mvn is not on PATH, TOCSIN_MAVEN_REPOSITORY is not set"


def test_a_maven_that_fails_is_quoted(settings: dict[str, str], tmp_path: Path) -> None:
    maven = tmp_path / "bin" / "mvn"
    maven.parent.mkdir()
    maven.write_text("#!/bin/sh\necho '[ERROR] cannot reach the repository'\nexit 1\n")
    maven.chmod(0o755)
    with pytest.raises(JarsUnavailable, match=r"Kafka 0\.0\.0: \[ERROR\] cannot reach the repository"):
        resolve_jars({"PATH": str(maven.parent), "TOCSIN_CACHE": settings["TOCSIN_CACHE"]}, LOCK)
    assert len(resolve_jars({**settings, "PATH": str(maven.parent)}, LOCK)) == 2


def test_the_lock_that_ships_pins_every_jar_once_and_the_version_that_the_broker_claims() -> None:
    lock = read_lock()
    assert KafkaBroker.kind == f"apache-kafka-{lock.kafka}"
    assert len({jar.name for jar in lock.jars}) == len(lock.jars) >= 40
    assert all(len(bytes.fromhex(jar.sha256)) == 32 for jar in lock.jars)
    assert {f"kafka_2.13-{lock.kafka}.jar", f"kafka-server-{lock.kafka}.jar"} <= {jar.name for jar in lock.jars}

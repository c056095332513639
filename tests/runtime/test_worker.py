"""A worker's start and end: it waits for a broker in one line, and is gone when it was told to end."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from services.broker import KafkaBroker
from services.broker.probe import free_ports
from services.broker.process import wait_until
from services.runtime.settings import Settings
from tests.broker_fixture import QUICK_JAVA
from tests.support.deployment import make_deployment
from tests.support.nursery import Process, nursery
from tests.support.worker import command, environment

ROLES = ("scorer", "learner", "shadow")
PATIENCE_S = 60.0
HEAD = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z [A-Z]+ [\w.]+ "


def nowhere(folder: Path, **chosen: object) -> Settings:
    """Settings that lead to a port where nothing listens."""
    (port,) = free_ports(1)
    return Settings.model_validate(
        {"bootstrap": f"127.0.0.1:{port}", "state_dir": folder / "state", "registry": folder / "registry"} | chosen
    )


class Started:
    """A worker and what it says. ``by_script``: started as people do, not forked from a process that waits for it."""

    def __init__(self, role: str, settings: Settings, *, by_script: bool = False, **secrets: str) -> None:
        folder = settings.state_dir.parent
        self._log = folder / f"{role}.log"
        environ = environment(settings) | secrets
        self.process: subprocess.Popen[bytes] | Process
        with self._log.open("wb") as log:
            if by_script:
                self.process = subprocess.Popen([command(), "worker", role], env=environ, stdout=log, stderr=log)
            else:
                self.process = nursery().start(["worker", role], environ, folder, log)

    @property
    def said(self) -> str:
        """Everything so far."""
        return self._log.read_text()

    def until(self, what: str) -> None:
        """Return once it has said ``what``."""
        assert wait_until(lambda: what in self.said or self.process.poll() is not None, PATIENCE_S), self.said
        assert what in self.said, self.said

    def end(self, timeout_s: float = PATIENCE_S) -> int:
        """Tell it to end; returns its status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_s)


@contextmanager
def started(role: str, settings: Settings, *, by_script: bool = False, **secrets: str) -> Iterator[Started]:
    """A worker that does not outlive the block."""
    worker = Started(role, settings, by_script=by_script, **secrets)
    try:
        yield worker
    finally:
        worker.process.kill()
        worker.process.wait()


@pytest.mark.parametrize("role", ROLES)
def test_without_a_broker_that_is_not_to_be_waited_for_it_ends_with_one_line(role: str, tmp_path: Path) -> None:
    settings = nowhere(tmp_path, broker_wait_s=0)
    with started(role, settings, by_script=True) as worker:
        assert worker.process.wait(PATIENCE_S) == 1
        said = re.escape(f"the worker ends: Kafka at {settings.bootstrap} does not answer")
        assert re.fullmatch(f"{HEAD}{said}\n", worker.said), worker.said


def test_a_broker_that_does_not_come_in_time_is_waited_for_in_one_line_and_given_up_in_another(tmp_path: Path) -> None:
    settings = nowhere(tmp_path, broker_wait_s=2)
    with started("scorer", settings) as worker:
        assert worker.process.wait(PATIENCE_S) == 1
        why = f"Kafka at {settings.bootstrap} does not answer"
        lines = [f"{why}; waiting", f"the worker ends: {why}; waited for 2 s (TOCSIN_BROKER_WAIT_S)"]
        wanted = "".join(f"{HEAD}{re.escape(line)}\n" for line in lines)
        assert re.fullmatch(wanted, worker.said), worker.said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_that_waits_ends_in_order_when_it_is_told_to(number: signal.Signals, tmp_path: Path) -> None:
    with started("scorer", nowhere(tmp_path)) as worker:
        worker.until("; waiting")
        worker.process.send_signal(number)
        assert worker.process.wait(PATIENCE_S) == 0
        assert "as it was told to" in worker.said


def test_a_worker_that_waits_lives_and_is_not_ready_and_says_what_for(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    settings = nowhere(tmp_path, metrics_port=port)
    with started("learner", settings) as worker:
        worker.until("; waiting")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/live", timeout=10) as answer:
            assert answer.status == 200
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=10)
        with refused.value as answer:
            (loop,) = json.load(answer)["loops"]
        assert (answer.code, loop["name"], loop["state"]) == (503, "broker", "retrying")
        assert loop["why"] == f"Kafka at {settings.bootstrap} does not answer"


def test_a_port_that_is_taken_ends_the_worker_with_one_line_that_names_the_setting(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with started("scorer", nowhere(tmp_path, metrics_port=port)) as worker:
            assert worker.process.wait(PATIENCE_S) == 1
            assert f"TOCSIN_METRICS_PORT: 127.0.0.1:{port}: Address already in use" in worker.said
            assert worker.said.count("\n") == 1


def test_the_log_of_a_worker_is_json_if_it_is_asked_for(tmp_path: Path) -> None:
    with started("scorer", nowhere(tmp_path, broker_wait_s=0, log_format="json")) as worker:
        assert worker.process.wait(PATIENCE_S) == 1
        assert worker.said.startswith('{"time":'), worker.said


@pytest.mark.kafka
def test_a_broker_that_comes_later_is_found(tmp_path: Path) -> None:
    with KafkaBroker(java_options=QUICK_JAVA) as broker:
        settings = make_deployment(broker.bootstrap, "later", tmp_path, partitions=1).settings
        broker.stop()
        with started("scorer", settings) as worker:
            worker.until("does not answer; waiting")
            broker.start()
            worker.until("answers")
            worker.until("restored")
            assert worker.end() == 0
            assert worker.said.count("waiting") == 1


@pytest.mark.kafka
def test_under_a_broker_that_stands_still_workers_are_gone_within_their_grace(tmp_path: Path) -> None:
    with KafkaBroker(java_options=QUICK_JAVA) as broker, ExitStack() as block:
        settings = make_deployment(broker.bootstrap, "still", tmp_path, partitions=1, stop_grace_s=4).settings
        workers = [block.enter_context(started(role, settings)) for role in ROLES]
        for worker, sign in zip(workers, ("restored", " services.", " services."), strict=True):
            worker.until(sign)
        block.enter_context(frozen(broker))
        for worker in workers:
            worker.process.send_signal(signal.SIGTERM)
        for worker in workers:
            assert worker.process.wait(4.0 + 6.0) in (0, 1), "its grace, and some seconds for a machine that is busy"
            assert worker.process.returncode == 0 or "(TOCSIN_STOP_GRACE_S): ended now" in worker.said


@pytest.mark.kafka
def test_a_broker_that_stands_still_from_the_start_is_no_broker(tmp_path: Path) -> None:
    with KafkaBroker(java_options=QUICK_JAVA) as broker:
        settings = make_deployment(broker.bootstrap, "asleep", tmp_path, partitions=1).settings
        with frozen(broker), started("scorer", settings) as worker:
            worker.until("does not answer; waiting")
            assert worker.end() == 0


@pytest.mark.kafka
def test_credentials_that_are_refused_are_named_as_such_and_not_shown(tmp_path: Path) -> None:
    open_port, controller, port = free_ports(3)
    with KafkaBroker(
        port=open_port, settings=with_login(open_port, controller, port), java_options=QUICK_JAVA
    ) as broker:
        settings = make_deployment(broker.bootstrap, "login", tmp_path, partitions=1).settings.model_copy(
            update={
                "bootstrap": f"127.0.0.1:{port}",
                "security_protocol": "SASL_PLAINTEXT",
                "sasl_mechanism": "PLAIN",
                "sasl_username": "scorer",
            }
        )
        with started("scorer", settings, TOCSIN_SASL_PASSWORD="hunter2") as worker:
            worker.until("refuses the credentials (SaslAuthenticationFailed; TOCSIN_SASL_USERNAME")
            assert worker.end() == 0
            assert "hunter2" not in worker.said
            assert "does not answer" not in worker.said
        with started("scorer", settings, TOCSIN_SASL_PASSWORD="right") as worker:
            worker.until("restored")
            assert worker.end() == 0
            assert "right" not in worker.said


def with_login(open_port: int, controller: int, port: int) -> dict[str, str]:
    """Kafka's settings for a second listener that wants a name and a password."""
    listeners = f"PLAINTEXT://127.0.0.1:{open_port},LOGIN://127.0.0.1:{port}"
    return {
        "listeners": f"{listeners},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": listeners,
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,LOGIN:SASL_PLAINTEXT",
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.login.plain.sasl.jaas.config": "org.apache.kafka.common.security.plain.PlainLoginModule "
        'required user_scorer="right";',
    }


def test_a_worker_that_hangs_on_its_way_down_is_ended_with_one_line() -> None:
    program = textwrap.dedent("""
        import logging, os, signal, time
        from services.runtime.logs import configure_logs
        from services.runtime.worker import Ending
        configure_logs("INFO", "text")
        ending = Ending(1)
        ending.listen()
        logging.getLogger().handlers[0].acquire()  # as if the main thread hung while it logs
        os.kill(os.getpid(), signal.SIGTERM)
        while True:
            time.sleep(10)
    """)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 1


@contextmanager
def frozen(broker: KafkaBroker) -> Iterator[None]:
    """The broker's Java stands still: it keeps its connections and answers nothing."""
    java = _child_of(broker)
    os.kill(java, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(java, signal.SIGCONT)


def _child_of(broker: KafkaBroker) -> int:
    guard = broker.process._guard
    assert guard is not None
    (child,) = Path(f"/proc/{guard.pid}/task/{guard.pid}/children").read_text().split()
    return int(child)

"""A real Prometheus on loopback, set up from the deployed files, and questions to it."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.broker.probe import free_ports
from services.broker.process import wait_until
from tests.deploy.files import PROMETHEUS, load_yaml
from tests.deploy.queries import queries_of

SCRAPE_INTERVAL = "1s"
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 15.0
ANSWER_TIMEOUT_S = 30.0

_CHOSEN = {"$__rate_interval": "4s", "$__range": "1m", "$scorer": ".*"}
"""What Grafana puts in for its variables: its rate interval is four scrapes long."""


def tool(name: str) -> str:
    """The path of ``prometheus`` or ``promtool``; skips the test where it is not installed."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not on the PATH: apt-get install prometheus")
    return found


def derived_configuration(targets: Mapping[str, int]) -> dict[str, Any]:
    """The deployed configuration for workers on loopback: same jobs, labels and rules; other addresses, one second."""
    deployed = load_yaml(PROMETHEUS)
    jobs = {job["job_name"]: job for job in deployed["scrape_configs"]}
    if unknown := sorted(targets.keys() - jobs.keys()):
        raise ValueError(f"{PROMETHEUS.name} has no job {', '.join(unknown)}")
    return {
        **deployed,
        "global": dict.fromkeys(deployed["global"], SCRAPE_INTERVAL),
        "rule_files": [str(PROMETHEUS.parent / name) for name in deployed["rule_files"]],
        "scrape_configs": [
            {
                **{name: value for name, value in jobs[job].items() if name != "dns_sd_configs"},
                "static_configs": [{"targets": [f"127.0.0.1:{port}"]}],
            }
            for job, port in targets.items()
        ],
    }


@contextmanager
def scraped_prometheus(targets: Mapping[str, int]) -> Iterator[str]:
    """A Prometheus that scrapes ``targets`` (job to port on loopback) every second: its URL, while it runs."""
    program, (port,) = tool("prometheus"), free_ports(1)
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(prefix="tocsin-prometheus-") as folder:
        work = Path(folder)
        (work / "prometheus.yml").write_text(yaml.safe_dump(derived_configuration(targets)))
        arguments = [
            f"--config.file={work / 'prometheus.yml'}",
            f"--storage.tsdb.path={work / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        with (work / "log").open("wb") as log:
            process = subprocess.Popen([program, *arguments], stdout=log, stderr=subprocess.STDOUT)
        try:
            if not wait_until(lambda: process.poll() is not None or _is_ready(url), START_TIMEOUT_S):
                pytest.fail(f"Prometheus was not ready after {START_TIMEOUT_S:.0f} s:\n{_tail(work)}")
            if process.poll() is not None:
                pytest.fail(f"Prometheus ended:\n{_tail(work)}")
            yield url
        finally:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def ask(prometheus_url: str, path: str, **parameters: str) -> Any:
    """The ``data`` of an answer of Prometheus's HTTP API; a refused query is an ``AssertionError`` with its reason."""
    url = f"{prometheus_url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]
    except urllib.error.HTTPError as refused:
        with refused:
            raise AssertionError(f"{parameters}: {json.load(refused)['error']}") from None


def answers(prometheus_url: str, query: str) -> list[dict[str, Any]]:
    """The series that answer ``query`` now, without those that have no number (NaN)."""
    result = ask(prometheus_url, "query", query=query)["result"]
    return [series for series in result if not math.isnan(float(series["value"][1]))]


def as_grafana_asks(expression: str) -> str:
    """``expression`` with Grafana's variables filled in."""
    for name, value in _CHOSEN.items():
        expression = expression.replace(name, value)
    return expression


def unanswered_panels(prometheus_url: str, dashboard: dict[str, Any]) -> list[str]:
    """Every query of the dashboard that has no data now, as ``panel title: query``."""
    return [
        f"{title}: {expression}"
        for title, expression in queries_of(dashboard)
        if not answers(prometheus_url, as_grafana_asks(expression))
    ]


def unanswered_at_last(
    prometheus_url: str, dashboard: dict[str, Any], timeout_s: float = ANSWER_TIMEOUT_S
) -> list[str]:
    """``unanswered_panels``, asked until there are none or ``timeout_s`` is over.

    A query counts as answered once it was: a rate may fall silent again when a run ends.
    """
    missing = dict.fromkeys(queries_of(dashboard))

    def all_answered() -> bool:
        for title, expression in list(missing):
            if answers(prometheus_url, as_grafana_asks(expression)):
                del missing[title, expression]
        return not missing

    wait_until(all_answered, timeout_s)
    return [f"{title}: {expression}" for title, expression in missing]


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _tail(work: Path) -> str:
    return "\n".join((work / "log").read_text(errors="replace").splitlines()[-15:])

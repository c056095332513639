"""Prometheus's configuration, recording rules and alerts, checked by Prometheus's own tools."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from services.broker.process import wait_until
from tests.deploy.files import PROMETHEUS, RULES, load_compose, load_yaml
from tests.deploy.queries import SCRAPE_LABELS, exposed, labels_named, metrics_named, recorded_named
from tests.deploy.scraping import answers, ask, derived_configuration, tool

RULES_TESTS = [Path(__file__).with_name(name) for name in ("rules_test.yml", "rules_month_test.yml")]
RULE_LIST: list[dict[str, Any]] = [rule for group in load_yaml(RULES)["groups"] for rule in group["rules"]]
ALERTS = [rule for rule in RULE_LIST if "alert" in rule]


def _promtool(*arguments: str) -> None:
    done = subprocess.run([tool("promtool"), *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_accepts_the_configuration() -> None:
    _promtool("check", "config", str(PROMETHEUS))


def test_promtool_accepts_the_rules_and_finds_nothing_to_warn_of() -> None:
    _promtool("check", "rules", "--lint=all", "--lint-fatal", str(RULES))


def test_every_alert_fires_when_it_should_and_not_otherwise() -> None:
    _promtool("test", "rules", *map(str, RULES_TESTS))


def test_every_alert_has_such_a_test() -> None:
    tests = [test for path in RULES_TESTS for test in load_yaml(path)["tests"]]
    tested = {case["alertname"] for test in tests for case in test["alert_rule_test"]}
    assert tested == {rule["alert"] for rule in ALERTS}


def test_every_job_finds_all_containers_of_a_worker_on_the_port_that_it_serves() -> None:
    services = load_compose()["services"]
    jobs = load_yaml(PROMETHEUS)["scrape_configs"]
    workers = {name for name, service in services.items() if "TOCSIN_METRICS_PORT" in service.get("environment", {})}
    assert {job["job_name"] for job in jobs} == workers == {"scorer", "learner", "shadow"}
    for job in jobs:
        (found,) = job["dns_sd_configs"]
        service = services[job["job_name"]]
        assert found["names"] == [job["job_name"]]
        assert found["type"] == "A"
        assert f"{found['port']}" == service["environment"]["TOCSIN_METRICS_PORT"]
        assert service["environment"]["TOCSIN_METRICS_HOST"] == "0.0.0.0"
        assert set(service["networks"]) & set(services["prometheus"]["networks"])


def test_the_data_source_knows_the_scrape_interval() -> None:
    (source,) = load_yaml(PROMETHEUS.parents[1] / "grafana/provisioning/datasources/prometheus.yml")["datasources"]
    assert source["jsonData"]["timeInterval"] == load_yaml(PROMETHEUS)["global"]["scrape_interval"]
    assert source["url"] == "http://prometheus:9090"


@pytest.mark.parametrize("rule", RULE_LIST, ids=lambda rule: rule.get("record") or rule["alert"])
def test_a_rule_names_metrics_and_labels_that_exist(rule: dict[str, Any]) -> None:
    series = exposed()
    recorded = {each["record"]: each["expr"] for each in RULE_LIST if "record" in each}
    metrics = metrics_named(rule["expr"])
    assert metrics <= series.keys()
    assert recorded_named(rule["expr"]) <= recorded.keys()
    sources = metrics.union(*(metrics_named(recorded[name]) for name in recorded_named(rule["expr"])))
    assert labels_named(rule["expr"]) <= SCRAPE_LABELS.union(*(series[name] for name in sources))


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_says_how_bad_it_is_what_is_wrong_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["alert"].startswith("Tocsin")
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert rule["annotations"].keys() == {"summary", "description"}
    assert rule["annotations"]["description"].endswith(".")


def test_the_tests_scrape_with_the_deployed_jobs_and_rules() -> None:
    derived = derived_configuration({"scorer": 19464})
    assert derived["scrape_configs"] == [
        {"job_name": "scorer", "static_configs": [{"targets": ["127.0.0.1:19464"]}]},
    ]
    assert derived["rule_files"] == [str(RULES)]
    with pytest.raises(ValueError, match="has no job ingest"):
        derived_configuration({"ingest": 1})


def test_a_real_prometheus_evaluates_every_rule_and_records_every_series(prometheus_url: str) -> None:
    recorded = [rule["record"] for rule in RULE_LIST if "record" in rule]
    assert wait_until(lambda: all(answers(prometheus_url, name) for name in recorded), 30.0), [
        name for name in recorded if not answers(prometheus_url, name)
    ]
    rules = [rule for group in ask(prometheus_url, "rules")["groups"] for rule in group["rules"]]
    assert {rule["name"] for rule in rules} == {rule.get("record") or rule["alert"] for rule in RULE_LIST}
    assert [(rule["name"], rule.get("lastError")) for rule in rules if rule["health"] != "ok"] == []

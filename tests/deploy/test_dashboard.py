"""The dashboard *Scoring path*: what it shows, and that a real Prometheus answers every query of it."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from tests.deploy.files import DASHBOARD, PROVISIONING, RULES, load_dashboard, load_services, load_yaml
from tests.deploy.queries import (
    SCRAPE_LABELS,
    exposed,
    families,
    family_of,
    labels_named,
    metrics_named,
    panels_of,
    queries_of,
    recorded_named,
)
from tests.deploy.scraping import (
    answers,
    as_grafana_asks,
    ask,
    scraped_prometheus,
    unanswered_at_last,
    unanswered_panels,
)

NOT_SHOWN: dict[str, str] = {}
"""Metrics that the dashboard leaves out on purpose, each with the reason."""

PANEL_TYPES = {"stat", "timeseries", "heatmap", "bargauge"}
COLUMNS = 24
PRIVATE = ("account", "payer", "payee", "subject", "payment_id", "customer", "name", "iban")
"""What no label may be called: it would hold somebody."""

DASHBOARD_JSON = load_dashboard()
PANELS = list(panels_of(DASHBOARD_JSON))
QUERIES = list(queries_of(DASHBOARD_JSON))


def _titles(panel: dict[str, Any]) -> str:
    return str(panel["title"])


def test_the_dashboard_is_called_scoring_path_and_is_found_where_it_is_provisioned() -> None:
    assert DASHBOARD_JSON["title"] == "Scoring path"
    assert DASHBOARD_JSON["uid"]
    (provider,) = load_yaml(PROVISIONING / "dashboards" / "tocsin.yml")["providers"]
    mounts = dict(mount.split(":")[:2] for mount in load_services()["grafana"]["volumes"])
    assert mounts[f"./grafana/{DASHBOARD.parent.name}"] == provider["options"]["path"]
    home = load_services()["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{provider['options']['path']}/{DASHBOARD.name}"


def test_every_query_asks_the_data_source_that_the_reader_chose() -> None:
    (source,) = load_yaml(PROVISIONING / "datasources" / "prometheus.yml")["datasources"]
    variables = {variable["name"]: variable for variable in DASHBOARD_JSON["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert variables["datasource"]["query"] == source["type"] == "prometheus"
    assert variables["datasource"]["current"]["value"] == source["uid"]
    for panel in PANELS:
        for asked in (panel, *panel["targets"]):
            assert asked["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, panel["title"]


@pytest.mark.parametrize("panel", PANELS, ids=_titles)
def test_a_panel_says_what_it_shows_and_in_which_unit(panel: dict[str, Any]) -> None:
    assert panel["type"] in PANEL_TYPES
    assert panel["title"]
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert len(panel["description"]) > 40, "a sentence that an operator understands"
    assert panel["description"].endswith(".")
    assert panel["targets"]
    assert all(target["legendFormat"] for target in panel["targets"])


def test_ids_titles_and_references_are_unique() -> None:
    everything = [*DASHBOARD_JSON["panels"], *PANELS]
    by_id = {panel["id"]: panel["title"] for panel in everything}
    assert len(by_id) == len({id(panel) for panel in everything})
    assert max(Counter(map(_titles, PANELS)).values()) == 1
    for panel in PANELS:
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references), panel["title"]


def test_panels_lie_beside_each_other_within_the_width_and_under_a_row() -> None:
    taken: dict[tuple[int, int], str] = {}
    assert DASHBOARD_JSON["panels"][0]["type"] == "row"
    for panel in DASHBOARD_JSON["panels"]:
        place = panel["gridPos"]
        assert 0 <= place["x"] < place["x"] + place["w"] <= COLUMNS, panel["title"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert taken.setdefault((x, y), panel["title"]) == panel["title"], f"{panel['title']} covers another"
    rows = {y for _, y in taken}
    assert rows == set(range(max(rows) + 1)), "no gap between the rows"


@pytest.mark.parametrize(("title", "query"), QUERIES, ids=[f"{title}-{n}" for n, (title, _) in enumerate(QUERIES)])
def test_a_query_names_metrics_and_labels_that_exist(title: str, query: str) -> None:
    series = exposed()
    metrics = metrics_named(query)
    assert metrics or "up{" in query, title
    assert metrics <= series.keys()
    labels = SCRAPE_LABELS.union(*(series[name] for name in metrics))
    assert labels_named(query) <= labels, "a label that these metrics do not have"
    recorded = {rule["record"] for group in load_yaml(RULES)["groups"] for rule in group["rules"] if "record" in rule}
    assert recorded_named(query) <= recorded
    assert "$" not in as_grafana_asks(query), "a variable that Grafana would not know"


def test_every_metric_of_a_worker_is_shown_or_left_out_on_purpose() -> None:
    shown = {family_of(name) for _, query in QUERIES for name in metrics_named(query)}
    assert shown | NOT_SHOWN.keys() == families()
    assert not shown & NOT_SHOWN.keys()


def test_no_label_of_a_worker_and_none_that_a_query_names_can_hold_an_account() -> None:
    series = exposed()
    assert {family_of(name) for name in series} == families(), "a metric that tests/deploy/plausible.py does not fill"
    labels = frozenset[str]().union(*series.values(), *(labels_named(query) for _, query in QUERIES))
    assert not [label for label in labels if any(word in label for word in PRIVATE)]


def test_the_dashboard_is_valid_json_that_ends_with_a_newline() -> None:
    text = DASHBOARD.read_text()
    assert text == json.dumps(DASHBOARD_JSON, indent=2, ensure_ascii=False) + "\n"


def test_a_real_prometheus_answers_every_panel_with_data(prometheus_url: str) -> None:
    assert unanswered_at_last(prometheus_url, DASHBOARD_JSON) == []


def test_a_panel_without_data_is_reported(prometheus_url: str) -> None:
    assert answers(prometheus_url, "up")
    panel = {"type": "stat", "title": "Nothing", "targets": [{"expr": "sum(rate(tocsin_absent[$__rate_interval]))"}]}
    no_number = {"type": "stat", "title": "No number", "targets": [{"expr": "0 * sum(up) / 0"}]}
    folded = {"type": "row", "title": "Folded", "panels": [panel]}
    assert unanswered_panels(prometheus_url, {"panels": [folded, no_number]}) == [
        "Nothing: sum(rate(tocsin_absent[$__rate_interval]))",
        "No number: 0 * sum(up) / 0",
    ]


@pytest.mark.kafka
def test_a_real_prometheus_answers_every_panel_from_workers_under_load(live_targets: dict[str, int]) -> None:
    with scraped_prometheus(live_targets) as url:
        assert unanswered_at_last(url, DASHBOARD_JSON, timeout_s=60.0) == []
        labels = set(ask(url, "labels"))
        known = SCRAPE_LABELS.union(*exposed().values(), {"__name__", "alertname", "alertstate", "severity"})
        assert labels <= known, "a label that no metric declares"
        rules = [rule for group in ask(url, "rules")["groups"] for rule in group["rules"]]
        assert [rule["name"] for rule in rules if rule["health"] not in ("ok", "unknown")] == []

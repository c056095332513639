"""The command: counts on stdout, progress on stderr, and exit codes that can be relied on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
import typer
from typer.testing import CliRunner, Result

from services.cli.replay import replay
from services.cli.replay_view import bad_row_lines, progress_line, summary_lines
from services.contract.codec import Rejection
from services.ingest.report import Report

Write = Callable[[str, str | bytes], Path]
GOOD = b'{"payment_id":"p","event_time_ms":1522540800000,"amount_minor":1,"currency":"EUR","payer":{"account":"a"},'
GOOD += b'"payee":{"account":"b"}}'
NOWHERE = "127.0.0.1:1"


def command(*arguments: str) -> Result:
    app = typer.Typer()
    app.command()(replay)
    return CliRunner().invoke(app, list(arguments))


def test_a_dry_run_shows_payments_counts_and_bad_lines(write: Write) -> None:
    path = write("own.ndjson", GOOD + b"\n\n{}\nx\n")
    result = command(str(path), "--mapping", "tocsin", "--dry-run", "--bad-listed", "1")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == GOOD.decode()
    assert lines[1].startswith("file:own.ndjson: 4 rows read, 1 payments (dry run: nothing sent), 2 bad, 1 filtered; ")
    assert lines[2:] == [
        "  bad, field_missing: 1",
        "  bad, not_json: 1",
        "  filtered, blank line: 1",
        "  line 3: field_missing (payment_id): Object missing required field `payment_id`",
        "  and 1 more",
    ]
    assert result.stderr == ""


def test_a_dry_run_for_machines_is_one_object(write: Write) -> None:
    result = command(str(write("own.ndjson", GOOD + b"\nx\n")), "-m", "tocsin", "--dry-run", "--json")
    counts = orjson.loads(result.stdout)
    assert (counts["rows_read"], counts["payments_ready"], counts["payments_sent"]) == (2, 1, 0)
    assert counts["bad"] == {"not_json": 1}
    assert counts["bad_rows"][0]["line"] == 2
    assert counts["first_payments"] == [orjson.loads(GOOD)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-m", "nonsense"], "nonsense: no such mapping"),
        (["-m", "tocsin", "--speed", "0"], "--speed: speed must be above 0"),
        (["-m", "tocsin", "--from", "soon"], "--from: Not an ISO 8601"),
        (["-m", "tocsin", "--bootstrap", "x"], "TOCSIN_BOOTSTRAP: "),
        (["-m", "tocsin", "--labels"], "tocsin.toml: label: missing"),
        (["-m", "handbook"], "own.ndjson"),
    ],
)
def test_what_the_user_chose_wrongly_is_exit_code_2(write: Write, arguments: list[str], message: str) -> None:
    result = command(str(write("own.ndjson", GOOD)), *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("as_json", [False, True])
def test_a_kafka_that_cannot_be_reached_is_exit_code_1(write: Write, as_json: bool) -> None:
    options = ["--json"] if as_json else []
    result = command(str(write("own.ndjson", GOOD)), "-m", "tocsin", "--bootstrap", NOWHERE, *options)
    assert result.exit_code == 1
    if as_json:
        counts = orjson.loads(result.stdout)
        assert counts["error"].startswith("Kafka: KafkaConnectionError: Unable to bootstrap")
        assert counts["payments_sent"] == 0
    else:
        assert "Kafka: KafkaConnectionError: Unable to bootstrap" in result.stderr


def test_the_list_of_bad_rows_is_bounded_and_its_rest_is_counted() -> None:
    report = Report("file:x", rows_read=5_000)
    for line in range(5_000):
        report.add_bad(line, Rejection("not_json", "", "No"))
    assert len(report.bad_rows) == 1_000
    assert report.as_dict()["bad_rows_not_listed"] == 4_000
    assert bad_row_lines(report, 2) == ["  line 0: not_json: No", "  line 1: not_json: No", "  and 4,998 more"]
    assert "5,000 bad" in summary_lines(report)[0]


def test_a_line_of_progress_has_rate_and_time_left() -> None:
    report = Report("file:x", rows_read=1_000, seconds=2.0, share=0.25)
    assert progress_line(report) == "replay: 1,000 rows, 500 rows/s, 0 bad, 25%, about 6 s left"

"""The command: files, exit codes, and messages that name what is wrong."""

from __future__ import annotations

import sys
from pathlib import Path

import orjson
import pytest
import typer
from typer.testing import CliRunner, Result

from services.cli.generate import generate
from services.contract.label import Label
from services.generator import Configuration, Stream
from services.generator.check import Finding
from services.generator.worlds import families

FEW = ["--payers", "60", "--months", "1", "--profile", "remitter"]


def command(*arguments: str) -> Result:
    app = typer.Typer()
    app.command()(generate)
    return CliRunner().invoke(app, list(arguments))


def test_payments_and_truth_go_to_two_files(tmp_path: Path) -> None:
    out, truth = tmp_path / "out.ndjson", tmp_path / "truth.ndjson"
    result = command(str(out), *FEW, "--truth", str(truth), "--json")
    assert result.exit_code == 0, result.output
    summary = orjson.loads(result.stdout)
    assert summary["records"] == len(out.read_bytes().splitlines()) > 50
    assert sum(summary["truth"].values()) == len(truth.read_bytes().splitlines())
    assert result.stderr == ""
    again = tmp_path / "again.ndjson"
    assert command(str(again), *FEW).exit_code == 0
    assert again.read_bytes() == out.read_bytes()


def test_people_read_counts(tmp_path: Path) -> None:
    result = command(str(tmp_path / "messages"), *FEW, "--format", "pacs008")
    assert result.exit_code == 0
    assert " records in " in result.stdout
    assert "left out, since the format cannot say it" in result.stdout


def test_a_check_shows_a_table_and_a_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    plot = tmp_path / "picture.svg"
    result = command("--check", "--plot", str(plot), *FEW)
    assert result.exit_code == 0, result.output
    assert "lsac.n mean" in result.stdout
    assert f"0 deviate; {plot}" in result.stdout
    assert plot.is_file()


def test_a_check_that_finds_a_deviation_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = Finding("lsac.n mean", 10.5, 99.0, 1.0, "D", 100)
    monkeypatch.setattr(sys.modules[generate.__module__], "findings", lambda measures: [bad])
    result = command("--check", "--plot", str(tmp_path / "p.svg"), "--json", *FEW)
    assert result.exit_code == 3
    assert orjson.loads(result.stdout)["deviating"] == ["lsac.n mean"]


def test_worlds_go_to_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "worlds"
    few = ["--payers", "50", "--months", "1", "--base-rate", "0.05", "--json"]
    result = command(str(folder), "--worlds", "held-out", *few)
    assert result.exit_code == 0, result.output
    summary = orjson.loads(result.stdout)
    assert summary["payments"] == len((folder / "payments.ndjson").read_bytes().splitlines()) > 100
    assert summary["accounts"] == len((folder / "truth.ndjson").read_bytes().splitlines())
    assert summary["worlds"] == len(families(held_out=True))
    assert command(str(tmp_path / "one"), "--world", "harbour/3", *FEW).exit_code == 0


def test_worlds_are_listed() -> None:
    result = command("--list-worlds")
    assert result.exit_code == 0
    for name in (*families(held_out=False), *families(held_out=True)):
        assert f" {name} " in result.stdout
    listed = orjson.loads(command("--list-worlds", "--json").stdout)["families"]
    assert [each["name"] for each in listed] == [*families(held_out=False), *families(held_out=True)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--worlds", "training", *FEW], "OUT: missing (a folder)"),
        (["out", "--worlds", "training", "--hard", *FEW], "--worlds: only with --payers"),
        (["out", "--world", "harbour/none", *FEW], "world: 'harbour/none' is no family/number"),
        (["--check", "--world", "harbour/1", *FEW], "--check: not with --world"),
        (FEW, "OUT: missing (or --kafka, --check, --truth)"),
        (["out", "--kafka", *FEW], "OUT: not with --kafka"),
        (["out", *FEW, "--base-rate", "often"], "base_rate: a number or one of"),
        (["out", *FEW, "--payers", "3"], "payers: must be 50 to"),
        (["out", *FEW, "--truth", "out"], "--truth: must not be OUT"),
        (["out", *FEW, "--plot", "p.png"], "--plot: only with --check"),
        (["/proc/none/out", *FEW], "/proc/none/out: "),
    ],
)
def test_errors_name_what_is_wrong(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = command(*arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith(message)
    assert list(tmp_path.iterdir()) == []


def test_a_kafka_that_is_not_there_is_exit_code_1() -> None:
    result = command("--kafka", "--bootstrap", "127.0.0.1:1", *FEW)
    assert result.exit_code == 1
    assert result.stderr.startswith("Kafka: ")


def test_kafka_gets_every_record_and_the_labels_of_the_horizon() -> None:
    configuration = Configuration(payers=300, months=3, seed=2, base_rate=0.2)
    stream = Stream(configuration)
    sent = list(stream.events(stream.days()))
    labels = [each for each in sent if isinstance(each, Label)]
    values = [each for each in sent if isinstance(each, bytes)]
    assert values == [value for chunk in Stream(configuration).chunks() for value in chunk.values]
    assert len(labels) > 20
    assert max(label.label_time_ms for label in labels) < configuration.end_ms
    assert any(label.label_time_ms >= configuration.end_ms for label in stream.case_labels())

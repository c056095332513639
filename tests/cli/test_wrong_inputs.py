"""What people get wrong: one message, before any work is done, that names the file or setting and what was expected."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from services.cli import main

NOWHERE = "127.0.0.1:1"
DATA_SET = "expected a Parquet file that `tocsin dataset export`"
NO_FILE = "there is no such file; expected "


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with files that are not what anybody expects, and a deployment without anything."""
    (tmp_path / "noise").write_bytes(bytes(range(256)))
    (tmp_path / "broken.toml").write_text("a = = b", "utf-8")
    (tmp_path / "override.toml").write_text("", "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOCSIN_REGISTRY", "registry")
    monkeypatch.setenv("TOCSIN_STATE_DIR", "state")
    monkeypatch.setenv("TOCSIN_BOOTSTRAP", NOWHERE)
    monkeypatch.setenv("COLUMNS", "400")
    return tmp_path


def said(
    arguments: list[str],
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> tuple[int, str]:
    """Exit code and standard error of a command."""
    monkeypatch.setattr(sys, "argv", ["tocsin", *arguments])
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        main()
    assert isinstance(ended.value.code, int)
    return ended.value.code, capsys.readouterr().err


FILES = [
    (["evaluate", "none.parquet"], "none.parquet: " + NO_FILE + DATA_SET.removeprefix("expected ")),
    (["evaluate", "noise"], DATA_SET),
    (["train", "."], ".: is a directory; " + DATA_SET),
    (["replay", "none.csv", "-m", "berka"], "none.csv: " + NO_FILE + "a CSV or NDJSON file"),
    (["replay", "none.parquet", "-m", "handbook"], "none.parquet: " + NO_FILE + "a Parquet file"),
    (["replay", "noise", "-m", "handbook"], "noise: is no Parquet file, as the mapping says"),
    (["replay", "noise", "-m", "none"], "none: no such mapping"),
    (
        ["replay", "noise", "-m", "tocsin", "--from", "May"],
        "--from: Not an ISO 8601 date and time: 'May'; expected one such",
    ),
    (["pack", "show", "none"], "none: pack.toml: " + NO_FILE + "one of account-takeover,"),
    (["evaluate", "handbook", "--data", "none"], "fdh_raw.parquet: not there; --data or TOCSIN_DATA names its folder"),
    (["schema", "--out", "noise/schemas"], "noise/schemas: cannot make the folder"),
    (["dataset", "export", "."], ". is a folder; expected the name of a file to write"),
    (["dataset", "generate", "noise/out.parquet"], "noise/out.parquet: cannot make the folder noise"),
    (["assess", "--report", "noise/report.md"], "noise/report.md: cannot make the folder noise"),
]


@pytest.mark.parametrize(("arguments", "message"), FILES)
def test_a_file_that_cannot_be_used_is_named_with_what_was_expected(
    arguments: list[str],
    message: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, error = said(arguments, {}, monkeypatch, capsys)
    assert code in (1, 2)
    assert message in error
    assert "Traceback" not in error


FIRST = [
    (["train", "none.parquet", "--kind", "none"], "--kind none: there is no such kind; expected one of "),
    (["train", "none.parquet", "--name", "a/b"], "a name is letters, digits"),
    (["evaluate", "none.parquet", "--model", "none"], "--model none: there is no such model; expected one of served, "),
    (["backtest", "none.parquet", "--model", "none"], "registry: has no model none; `tocsin model list` shows"),
    (["backtest", "none.parquet", "--model", "none/1"], "registry: has no model none/1; `tocsin model list` shows"),
    (["compare", "none", "other", "--data", "none.parquet"], "registry: has no model none; `tocsin model list` shows"),
    (["promote", "none"], "registry: has no model none; `tocsin model list` shows"),
    (
        ["bench", "--only", "scorer,none-such"],
        "--only none-such: there is no such part; expected some of scorer, unheld, hops, ",
    ),
    (["bench", "--only", "none"], "--only none: there is nothing to show; expected --figures of an earlier run"),
    (["bench", "--figures", "noise"], "noise: no figures; expected a file that `tocsin bench --figures` wrote"),
    (["bench", "--report", "override.toml"], "override.toml has no block to renew; expected a line <!-- tocsin bench"),
    (["assess", "--base-rates", "bench,none"], "--base-rates bench,none: base_rate: a number or one of unit_test"),
]


@pytest.mark.parametrize(("arguments", "message"), FIRST)
def test_an_unknown_model_kind_rate_or_part_is_told_before_files_are_read_and_kafka_is_asked(
    arguments: list[str],
    message: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, error = said(arguments, {}, monkeypatch, capsys)
    assert code == 1
    assert message in error
    assert len(error.splitlines()) == 1


DECIDE = ["backtest", "--model", "untrained"]
KEY = {"TOCSIN_PACK_KEY": "a key of the tests"}
SETTINGS = [
    ({"TOCSIN_RULESET": "none.toml"}, "TOCSIN_RULESET: none.toml: " + NO_FILE + "a TOML file of rules"),
    ({"TOCSIN_RULESET": "noise"}, "TOCSIN_RULESET: noise: is not utf-8; expected a TOML file of rules"),
    ({"TOCSIN_RULESET": "broken.toml"}, "TOCSIN_RULESET: broken.toml: not TOML"),
    ({"TOCSIN_PACKS": "none"}, "TOCSIN_PACKS: none: pack.toml: " + NO_FILE + "one of account-takeover,"),
    ({**KEY, "TOCSIN_PACK_OVERRIDE": "none"}, "TOCSIN_PACK_OVERRIDE: none: " + NO_FILE + "a TOML file"),
    (
        {**KEY, "TOCSIN_PACK_OVERRIDE": "override.toml"},
        "override.toml.sig: " + NO_FILE + "what `tocsin pack sign override.toml` writes",
    ),
    ({"TOCSIN_PACK_OVERRIDE": "override.toml"}, "TOCSIN_PACK_KEY: an override must be signed"),
    ({**KEY, "TOCSIN_LEXICON": "none"}, "TOCSIN_LEXICON: none: " + NO_FILE + "32 hexadecimal digits a line"),
    ({**KEY, "TOCSIN_CONFIRMED_PAYEES": "noise"}, "TOCSIN_CONFIRMED_PAYEES: noise: line 1 is no hash"),
    ({"TOCSIN_CONFIG": "noise"}, "TOCSIN_CONFIG: noise is no TOML"),
    ({"TOCSIN_CONFIG": "none.toml"}, "TOCSIN_CONFIG: no such file: none.toml; expected a TOML file of settings"),
    ({"TOCSIN_BOOTSTRAP": "kafka:port"}, "TOCSIN_BOOTSTRAP: 'kafka:port' is no address; expected host:port"),
]


@pytest.mark.parametrize(("environment", "message"), SETTINGS)
def test_a_setting_that_cannot_be_used_is_named_with_its_file_and_what_was_expected(
    environment: dict[str, str],
    message: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, error = said(DECIDE, environment, monkeypatch, capsys)
    assert code == 2
    assert message in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize("name", ["TOCSIN_STATE_DIR", "TOCSIN_REGISTRY"])
def test_a_learner_says_which_folder_it_cannot_have(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, error = said(["worker", "learner"], {name: "noise/folder"}, monkeypatch, capsys)
    assert code == 2
    assert error.startswith(f"{name}: noise/folder is no folder and cannot be made")


ASKING = [
    ["topics", "describe"],
    ["recompute", "x"],
    ["alert", "show", "x"],
    ["rollback"],
    ["dataset", "export", "out"],
]


@pytest.mark.parametrize("arguments", ASKING)
def test_a_kafka_that_does_not_answer_is_one_line_that_says_where_it_was_looked_for(
    arguments: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, error = said(arguments, {}, monkeypatch, capsys)
    assert code == 1
    assert error.startswith(f"Kafka at {NOWHERE} does not answer: name yours by TOCSIN_BOOTSTRAP")
    assert len(error.splitlines()) == 1


def test_a_key_to_sign_with_and_what_to_sign_are_asked_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, error = said(["pack", "sign", "none.toml"], {}, monkeypatch, capsys)
    assert (code, "TOCSIN_PACK_KEY: not set" in error) == (2, True)
    code, error = said(["pack", "sign", "none.toml"], KEY, monkeypatch, capsys)
    assert (code, "none.toml: " + NO_FILE + "an override of packs" in error) == (2, True)


def test_a_registry_without_models_says_how_one_is_made(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["tocsin", "model", "list"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert "registry has no model yet: `tocsin train` makes one" in capsys.readouterr().out

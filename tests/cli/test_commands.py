"""The command as people type it: it reads well, and its errors say what to do."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import orjson
import pytest
import typer
from typer.testing import CliRunner

from services.broker import KafkaBroker
from services.cli import app_of
from services.contract.codec import encode
from services.contract.payment import Party, Payment
from services.contract.topics import Topics
from services.runtime.settings import SettingsError, load_settings
from tests.support.nursery import run_command_text

APP = app_of()


def commands(of: Any, *path: str) -> Iterator[list[str]]:
    """Every command under ``of``, as it is typed."""
    for name, command in getattr(of, "commands", {}).items():
        yield [*path, name]
        yield from commands(command, *path, name)


COMMANDS = list(commands(typer.main.get_command(APP)))


def tocsin(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return run_command_text(arguments, os.environ | {"COLUMNS": "120", **environment})


def test_help_names_every_command() -> None:
    shown = tocsin("--help")
    assert shown.returncode == 0
    named = [command for command, *rest in COMMANDS if not rest]
    assert {"alert", "dataset", "demo", "evaluate", "promote", "worker"} <= set(named)
    assert all(re.search(rf"\b{command}\b", shown.stdout) for command in named)


def test_the_version_is_that_of_the_package() -> None:
    project = tomllib.loads(Path("pyproject.toml").read_text("utf-8"))["project"]
    shown = tocsin("--version")
    assert (shown.returncode, shown.stdout) == (0, f"tocsin {project['version']}\n")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(command: list[str]) -> None:
    shown = CliRunner().invoke(APP, [*command, "--help"])
    assert shown.exit_code == 0
    assert "Usage" in shown.stdout
    assert shown.stdout.count("\n") > 3


def test_a_wrong_setting_is_named_and_nothing_is_started() -> None:
    said = tocsin("worker", "scorer", TOCSIN_PARTITIONS="many", TOCSIN_BATCH_WAIT_MS="-1")
    assert said.returncode == 2
    assert "TOCSIN_PARTITIONS" in said.stderr
    assert "TOCSIN_BATCH_WAIT_MS" in said.stderr
    assert "Traceback" not in said.stderr


def test_a_ruleset_that_cannot_be_used_is_refused_with_the_rule_that_is_wrong(tmp_path: Path) -> None:
    shipped = Path("services/scorer/rulebook/rulesets/general.toml").read_text("utf-8")
    broken = tmp_path / "rules.toml"
    broken.write_text(shipped.replace('feature = "payer_new_payees_1d"', 'feature = "no_such_thing"'), "utf-8")
    said = tocsin("worker", "scorer", TOCSIN_RULESET=str(broken))
    assert said.returncode == 2
    assert "new-payee-burst" in said.stderr
    assert "no_such_thing" in said.stderr


def test_settings_come_from_the_file_and_the_environment_is_stronger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('bootstrap = "file:1"\npartitions = 3\n', "utf-8")
    monkeypatch.setenv("TOCSIN_CONFIG", str(file))
    monkeypatch.setenv("TOCSIN_PARTITIONS", "7")
    settings = load_settings()
    assert (settings.bootstrap, settings.partitions) == ("file:1", 7)
    assert load_settings(partitions=9).partitions == 9


def test_an_unknown_key_in_the_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("partitons = 3\n", "utf-8")
    monkeypatch.setenv("TOCSIN_CONFIG", str(file))
    with pytest.raises(SettingsError, match="TOCSIN_PARTITONS"):
        load_settings()


def test_a_config_file_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_CONFIG", "/no/such/file.toml")
    with pytest.raises(SettingsError, match="TOCSIN_CONFIG"):
        load_settings()


def test_the_schema_of_a_payment_accepts_a_payment() -> None:
    schema = orjson.loads(tocsin("schema", "payment.v1").stdout)
    jsonschema.validate(orjson.loads(encode(Payment("p", 1_764_000_000_000, 1, "EUR", Party("a"), Party("b")))), schema)


def test_schemas_are_written_one_file_each(tmp_path: Path) -> None:
    tocsin("schema", "--out", str(tmp_path))
    assert {each.name for each in tmp_path.iterdir()} >= {"payment.v1.schema.json", "decision.v1.schema.json"}


def test_no_two_topics_share_a_name_and_the_prefix_is_on_all() -> None:
    names = [topic.name for topic in Topics("x.").all()]
    assert len(set(names)) == len(names)
    assert all(name.startswith("x.") for name in names)


@pytest.mark.kafka
def test_topics_are_created_once_and_described(kafka: KafkaBroker) -> None:
    place = {"TOCSIN_BOOTSTRAP": kafka.bootstrap, "TOCSIN_TOPIC_PREFIX": "cli.", "TOCSIN_PARTITIONS": "2"}
    assert tocsin("topics", "describe", **place).returncode == 1
    for _ in range(2):
        assert tocsin("topics", "create", **place).returncode == 0
    described = tocsin("topics", "describe", "--json", **place)
    assert described.returncode == 0
    wanted = {topic.name: topic.partitions or 2 for topic in Topics("cli.").all()}
    assert {each["topic"]: each["partitions"] for each in orjson.loads(described.stdout)} == wanted


@pytest.mark.kafka
def test_topics_with_another_number_of_partitions_are_refused_with_the_remedy(kafka: KafkaBroker) -> None:
    place = {"TOCSIN_BOOTSTRAP": kafka.bootstrap, "TOCSIN_TOPIC_PREFIX": "other."}
    assert tocsin("topics", "create", "--partitions", "2", **place).returncode == 0
    said = tocsin("topics", "create", "--partitions", "3", **place)
    assert said.returncode == 2
    assert "other.payments.v1: 2 partitions, 3 wanted" in said.stderr


def test_without_a_broker_the_error_is_one_line() -> None:
    said = tocsin("topics", "create", TOCSIN_BOOTSTRAP="127.0.0.1:1")
    assert said.returncode == 1
    assert len(said.stderr.splitlines()) == 1

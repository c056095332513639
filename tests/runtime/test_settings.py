"""Settings: a name that is none, a contradiction, and several errors at once are told with their remedy."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from pydantic import SecretStr

from services.runtime.settings import NO_SETTINGS, PREFIX, Settings, SettingsError, load_settings, unknown_variables

ROOT = Path(__file__).parents[2]
KUBERNETES = {
    "TOCSIN_SCORER_SERVICE_HOST": "10.96.0.12",
    "TOCSIN_SCORER_SERVICE_PORT": "9464",
    "TOCSIN_SCORER_SERVICE_PORT_METRICS": "9464",
    "TOCSIN_SCORER_PORT": "tcp://10.96.0.12:9464",
    "TOCSIN_SCORER_PORT_9464_TCP": "tcp://10.96.0.12:9464",
    "TOCSIN_SCORER_PORT_9464_TCP_PROTO": "tcp",
    "TOCSIN_SCORER_PORT_9464_TCP_PORT": "9464",
    "TOCSIN_SCORER_PORT_9464_TCP_ADDR": "10.96.0.12",
    "TOCSIN_PORT": "tcp://[fd00::12]:9464",
    "TOCSIN_SERVICE_HOST": "fd00::12",
}
"""What every pod of a namespace gets for services named ``tocsin-scorer`` and ``tocsin``."""


@pytest.fixture(autouse=True)
def _no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [each for each in os.environ if each.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def refused(monkeypatch: pytest.MonkeyPatch, **environment: str) -> list[str]:
    """The lines of the error under ``environment``."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as raised:
        load_settings()
    return str(raised.value).split("\n")


def test_a_misspelt_variable_is_an_error_that_suggests_the_nearest_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert refused(monkeypatch, TOCSIN_PARTITONS="8") == [
        "TOCSIN_PARTITONS: there is no such setting; did you mean TOCSIN_PARTITIONS?"
    ]


def test_a_variable_like_no_setting_gets_no_suggestion(monkeypatch: pytest.MonkeyPatch) -> None:
    assert refused(monkeypatch, TOCSIN_QQQ="1") == ["TOCSIN_QQQ: there is no such setting"]


def test_a_misspelt_key_of_the_file_is_told_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("tocsin.toml").write_text("partitons = 8\n")
    assert refused(monkeypatch) == ["TOCSIN_PARTITONS: there is no such setting; did you mean TOCSIN_PARTITIONS?"]


def test_a_file_that_is_no_toml_is_named_with_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("tocsin.toml").write_text("partitions 8\n")
    (line,) = refused(monkeypatch)
    assert line.startswith("TOCSIN_CONFIG: tocsin.toml is no TOML: ")
    assert "line 1" in line


def test_several_errors_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("tocsin.toml").write_text('loglevel = "INFO"\n')
    lines = refused(monkeypatch, TOCSIN_PARTITIONS="many", TOCSIN_BATCH_WAIT_MS="0", TOCSIN_BOOTSTRAPS="k:9092")
    assert [line.split(":")[0] for line in lines] == [
        "TOCSIN_BOOTSTRAPS", "TOCSIN_PARTITIONS", "TOCSIN_BATCH_WAIT_MS", "TOCSIN_LOGLEVEL",
    ]  # fmt: skip
    assert lines[-1].endswith("did you mean TOCSIN_LOG_LEVEL?")


def test_what_kubernetes_puts_into_every_pod_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KUBERNETES.items():
        monkeypatch.setenv(name, value)
    assert load_settings().model_fields_set == set()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TOCSIN_METRIC_PORT", "9464"),
        ("TOCSIN_METRICS_PORTS", "9464"),
        ("TOCSIN_SERVICE_HOST", "scorer.local"),
        ("TOCSIN_SCORER_PORT", "9464"),
    ],
)
def test_a_typing_error_does_not_pass_for_one_of_kubernetes(name: str, value: str) -> None:
    assert [line.split(":")[0] for line in unknown_variables({name: value})] == [name]


def test_every_variable_that_the_project_reads_or_names_is_known() -> None:
    files = [
        path
        for place in ("services", "models", "deploy")
        for path in (ROOT / place).rglob("*")
        if path.suffix in {".py", ".yml", ".toml"} or path.name == "Dockerfile"
    ]
    spoken = {name for path in files for name in re.findall(r"\bTOCSIN_[A-Z_]*[A-Z]\b", path.read_text())}
    examples = {"TOCSIN_PARTITONS", "TOCSIN_METRIC_PORT", "TOCSIN_SCORER_PORT"}
    assert spoken >= {"TOCSIN_BOOTSTRAP", *NO_SETTINGS}
    assert [line.split(":")[0] for line in unknown_variables(dict.fromkeys(spoken - examples, ""))] == []


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({}, ["TOCSIN_SASL_USERNAME", "TOCSIN_SASL_PASSWORD"]),
        ({"TOCSIN_SASL_USERNAME": "scorer"}, ["TOCSIN_SASL_PASSWORD"]),
        ({"TOCSIN_SASL_PASSWORD": "hunter2"}, ["TOCSIN_SASL_USERNAME"]),
    ],
)
def test_sasl_without_credentials_names_both_settings(
    given: dict[str, str], missing: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = refused(monkeypatch, TOCSIN_SECURITY_PROTOCOL="SASL_SSL", **given)
    assert [line.split(":")[0] for line in lines] == missing
    assert all("needs TOCSIN_SASL_USERNAME and TOCSIN_SASL_PASSWORD" in line for line in lines)
    assert "hunter2" not in "".join(lines)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TOCSIN_SASL_USERNAME", "scorer"),
        ("TOCSIN_SASL_PASSWORD", "hunter2"),
        ("TOCSIN_SASL_MECHANISM", "PLAIN"),
        ("TOCSIN_SSL_CAFILE", "ca.pem"),
    ],
)
def test_security_that_would_not_be_had_is_an_error(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (line,) = refused(monkeypatch, **{name: value})
    assert line.startswith(f"{name}: ")
    assert "TOCSIN_SECURITY_PROTOCOL is PLAINTEXT" in line
    assert "hunter2" not in line


def test_a_file_of_authorities_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = refused(monkeypatch, TOCSIN_SECURITY_PROTOCOL="SSL", TOCSIN_SSL_CAFILE="ca.pem")
    assert lines == ["TOCSIN_SSL_CAFILE: no such file: ca.pem"]


def test_sasl_with_credentials_is_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_SECURITY_PROTOCOL", "SASL_PLAINTEXT")
    monkeypatch.setenv("TOCSIN_SASL_USERNAME", "scorer")
    monkeypatch.setenv("TOCSIN_SASL_PASSWORD", "hunter2")
    assert load_settings().sasl_username == "scorer"


def test_no_key_is_ever_shown() -> None:
    keys = {name for name, field in Settings.model_fields.items() if field.annotation is SecretStr}
    assert keys >= {"sasl_password", "pack_key", "models_key", "hash_key"}
    for name in keys:
        assert "hunter2" not in repr(Settings.model_validate({name: "hunter2"}))

"""The compose file: valid by the Compose specification, hardened, scalable, and in step with the code."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from services.broker.single_node import MESSAGE_BYTES_MAX
from services.ingest.mapping_file import shipped_mappings
from services.runtime.settings import PREFIX, Settings, load_settings
from tests.deploy.files import COMPOSE, ROOT, docker_instructions, image_environment, load_compose, load_services

SCHEMA = "check_jsonschema/builtin_schemas/vendor/compose-spec.json"
SERVICES = load_services()
OURS = [name for name, service in SERVICES.items() if service["image"].startswith("tocsin:")]
WORKERS = ["scorer", "learner", "shadow"]
ONE_SHOT = ["topics", "replay"]
PINNED = re.compile(r"^[a-z0-9./-]+:v?\d+\.\d+\.\d+$")


def _compose_schema() -> dict[str, Any]:
    """The Compose specification's schema, as the package check-jsonschema ships it. Read as a file: nothing is run."""
    path = importlib.metadata.distribution("check-jsonschema").locate_file(SCHEMA)
    schema: dict[str, Any] = json.loads(Path(str(path)).read_text())
    return schema


def _mounts(service: dict[str, Any]) -> dict[str, tuple[str, bool]]:
    """Source and writability of each volume of a service, by target."""
    found: dict[str, tuple[str, bool]] = {}
    for volume in service.get("volumes", []):
        if isinstance(volume, dict):
            found[volume["target"]] = volume["source"], not volume.get("read_only", False)
        else:
            source, target, *mode = volume.split(":")
            found[target] = source, mode != ["ro"]
    return found


def test_the_file_is_valid_by_the_compose_specification() -> None:
    schema = _compose_schema()
    validator = jsonschema.validators.validator_for(schema)
    validator.check_schema(schema)
    errors = [f"{error.json_path}: {error.message}" for error in validator(schema).iter_errors(load_compose())]
    assert errors == []


def test_the_schema_refuses_what_compose_does_not_know() -> None:
    compose = load_compose()
    compose["services"]["scorer"]["scale_out"] = 2
    with pytest.raises(jsonschema.ValidationError, match="scale_out"):
        jsonschema.validate(compose, _compose_schema())


def test_every_choice_has_a_default() -> None:
    assert not re.search(r"\$(?!\{[A-Z_]+:-)", COMPOSE.read_text()), "a variable without a default"


def test_every_tocsin_variable_is_a_setting() -> None:
    named = set(re.findall(rf"\b{PREFIX}[A-Z_]+", COMPOSE.read_text() + " ".join(image_environment())))
    settings = {PREFIX + name.upper() for name in Settings.model_fields}
    assert named
    assert named - settings == set()


@pytest.mark.parametrize("name", OURS)
def test_the_settings_of_a_service_are_accepted(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in [each for each in os.environ if each.startswith(PREFIX)]:
        monkeypatch.delenv(variable)
    monkeypatch.chdir(tmp_path)
    environment = image_environment() | SERVICES[name]["environment"]
    for variable, value in environment.items():
        monkeypatch.setenv(variable, f"{value}")
    settings = load_settings()
    assert settings.bootstrap == "kafka:19092"
    assert settings.delivery == "exactly_once"


def test_our_image_is_built_from_the_projects_root() -> None:
    for name in OURS:
        build = SERVICES[name]["build"]
        assert (COMPOSE.parent / build["context"]).resolve() == ROOT
        assert (ROOT / build["dockerfile"]).is_file()


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_runs_a_pinned_image(name: str) -> None:
    assert PINNED.match(SERVICES[name]["image"])


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_no_more_rights_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "devices", "pid", "ipc", "network_mode", "user"} & service.keys()
    assert not [source for source, _ in _mounts(service).values() if "docker.sock" in source]


@pytest.mark.parametrize("name", OURS)
def test_our_containers_write_only_where_they_must(name: str) -> None:
    service, environment, mounts = SERVICES[name], image_environment(), _mounts(SERVICES[name])
    writable = {target for target, (_, is_writable) in mounts.items() if is_writable}
    temporary = {mount.split(":")[0] for mount in service["tmpfs"]}
    assert service["read_only"] is True
    assert "/tmp" in temporary
    assert environment["NUMBA_CACHE_DIR"] in writable, "each start would compile the kernels"
    written = {environment["NUMBA_CACHE_DIR"]}
    if name in WORKERS:
        assert environment["TOCSIN_STATE_DIR"] in writable | temporary
        assert ("WORKDIR", environment["TOCSIN_STATE_DIR"]) in docker_instructions()[-1], "Faust writes where it starts"
        written.add(environment["TOCSIN_STATE_DIR"])
    if name == "learner":
        assert {environment["TOCSIN_REGISTRY"], environment["TOCSIN_STATE_DIR"]} <= writable
        written.add(environment["TOCSIN_REGISTRY"])
    assert writable | temporary - {"/tmp"} == written | temporary - {"/tmp"}


def test_scorers_and_the_shadow_read_the_registry_that_the_learner_writes() -> None:
    registry = image_environment()["TOCSIN_REGISTRY"]
    assert _mounts(SERVICES["learner"])[registry] == ("registry", True)
    for name in ("scorer", "shadow"):
        assert _mounts(SERVICES[name])[registry] == ("registry", False)


def test_every_volume_is_declared_and_used() -> None:
    used = {source for service in SERVICES.values() for source, _ in _mounts(service).values() if "/" not in source}
    assert used == load_compose()["volumes"].keys()


def test_every_mounted_file_exists() -> None:
    mounted = [
        source
        for name, service in SERVICES.items()
        if name != "replay"
        for source, _ in _mounts(service).values()
        if source.startswith(".")
    ]
    assert mounted
    assert [source for source in mounted if not (COMPOSE.parent / source).exists()] == []


@pytest.mark.parametrize("name", ["scorer", "shadow"])
def test_a_worker_that_shares_partitions_can_be_scaled(name: str) -> None:
    assert "container_name" not in SERVICES[name]
    assert "ports" not in SERVICES[name], "a second one could not bind the same port"
    assert "hostname" not in SERVICES[name]


def test_ports_are_bound_to_loopback() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_only_viewers_that_are_on_this_machine_reach_grafana() -> None:
    environment = SERVICES["grafana"]["environment"]
    assert environment["GF_AUTH_ANONYMOUS_ENABLED"] == "true"
    assert environment["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"
    assert environment["GF_AUTH_DISABLE_LOGIN_FORM"] == "true"
    assert environment["GF_AUTH_BASIC_ENABLED"] == "false"
    assert SERVICES["grafana"]["ports"] == ["127.0.0.1:3000:3000"]
    assert not set(SERVICES["grafana"]["networks"]) & set(SERVICES["kafka"]["networks"])


def test_workers_start_after_the_topics_and_the_topics_after_kafka() -> None:
    assert SERVICES["topics"]["depends_on"] == {"kafka": {"condition": "service_healthy"}}
    for name in [*WORKERS, "replay"]:
        assert SERVICES[name]["depends_on"] == {
            "kafka": {"condition": "service_healthy"},
            "topics": {"condition": "service_completed_successfully"},
        }


def test_what_runs_on_is_restarted_and_what_ends_is_not() -> None:
    restart = {name: service["restart"] for name, service in SERVICES.items()}
    assert restart.pop("replay") == "no"
    assert restart.pop("topics").startswith("on-failure")
    assert set(restart.values()) == {"unless-stopped"}


def test_what_runs_on_has_a_health_check() -> None:
    for name, service in SERVICES.items():
        if name in ONE_SHOT:
            assert service["healthcheck"] == {"disable": True}
        elif name in WORKERS:
            assert "healthcheck" not in service, "the image's own, on the port of TOCSIN_METRICS_PORT"
            assert int(service["environment"]["TOCSIN_METRICS_PORT"])
        else:
            assert service["healthcheck"]["test"][0] == "CMD"


def test_workers_have_time_to_hand_over() -> None:
    for name in [*WORKERS, "kafka"]:
        seconds = int(SERVICES[name]["stop_grace_period"].removesuffix("s"))
        assert seconds >= 30, "an engine kills after ten seconds by itself"
        assert seconds > Settings.model_fields["stop_grace_s"].default, "a worker ends itself before it is killed"
    assert all(SERVICES[name]["init"] for name in OURS), "signals reach the worker, and its children are reaped"


def test_replay_runs_only_when_asked_for_and_cannot_change_the_data() -> None:
    replay = SERVICES["replay"]
    assert [name for name, service in SERVICES.items() if "profiles" in service] == ["replay"]
    assert replay["profiles"] == ["replay"]
    assert _mounts(replay)["/data"][1] is False
    command, file, option, mapping = replay["command"]
    assert (command, option) == ("replay", "--mapping")
    assert file.startswith("/data/")
    assert mapping == "handbook"
    assert mapping in shipped_mappings()


def test_kafka_is_the_release_that_the_tests_run_on_set_up_for_one_node() -> None:
    kafka, environment = SERVICES["kafka"], SERVICES["kafka"]["environment"]
    release = tomllib.loads((ROOT / "services" / "broker" / "kafka.lock.toml").read_text())["kafka"]
    assert kafka["image"] == f"apache/kafka:{release}"
    assert int(environment["KAFKA_MESSAGE_MAX_BYTES"]) == MESSAGE_BYTES_MAX == 8 * 1024 * 1024
    assert int(environment["KAFKA_REPLICA_FETCH_MAX_BYTES"]) == MESSAGE_BYTES_MAX
    copies = {name: value for name, value in environment.items() if "REPLICATION_FACTOR" in name or "_ISR" in name}
    assert len(copies) == 6
    assert set(copies.values()) == {"1"}
    assert environment["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    assert environment["KAFKA_LOG_DIRS"] in _mounts(kafka)


def test_kafka_is_reached_by_the_name_that_it_advertises() -> None:
    environment = SERVICES["kafka"]["environment"]
    advertised = dict(each.split("://") for each in environment["KAFKA_ADVERTISED_LISTENERS"].split(","))
    bootstrap = SERVICES["scorer"]["environment"]["TOCSIN_BOOTSTRAP"]
    assert advertised[environment["KAFKA_INTER_BROKER_LISTENER_NAME"]] == bootstrap
    assert SERVICES["kafka"]["ports"] == [f"{advertised['HOST']}:9092"]
    assert bootstrap.split(":")[0] in SERVICES
    assert bootstrap.split(":")[1] in SERVICES["kafka"]["healthcheck"]["test"][-1]

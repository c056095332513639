"""The deployed files, read as the programs that use them read them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = DEPLOY / "docker-compose.yml"
DOCKERFILE = DEPLOY / "Dockerfile"
PROMETHEUS = DEPLOY / "prometheus" / "prometheus.yml"
RULES = DEPLOY / "prometheus" / "rules.yml"
PROVISIONING = DEPLOY / "grafana" / "provisioning"
DASHBOARD = DEPLOY / "grafana" / "dashboards" / "scoring-path.json"

_VARIABLE = re.compile(r"\$\{(?P<name>[A-Z_]+):-(?P<default>[^}]*)\}")


def load_yaml(path: Path) -> Any:
    """The content of a YAML file."""
    return yaml.safe_load(path.read_text())


def load_compose() -> dict[str, Any]:
    """The compose file with every ``${NAME:-default}`` at its default, as it runs when nothing is chosen."""
    compose: dict[str, Any] = _interpolated(load_yaml(COMPOSE))
    return compose


def _interpolated(value: Any) -> Any:
    """``value`` with variables filled in where Compose does it: in the strings of the parsed file, keys aside."""
    if isinstance(value, dict):
        return {name: _interpolated(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_interpolated(each) for each in value]
    return _VARIABLE.sub(lambda found: found["default"], value) if isinstance(value, str) else value


def load_services() -> dict[str, dict[str, Any]]:
    """The services of the compose file, by name."""
    services: dict[str, dict[str, Any]] = load_compose()["services"]
    return services


def load_dashboard() -> dict[str, Any]:
    """The dashboard *Scoring path*."""
    dashboard: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return dashboard


def docker_instructions() -> list[list[tuple[str, str]]]:
    """The Dockerfile's instructions by stage, each as keyword and rest; comments and line continuations resolved."""
    lines = [line for line in DOCKERFILE.read_text().splitlines() if not line.lstrip().startswith("#")]
    text = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    stages: list[list[tuple[str, str]]] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        keyword, _, rest = line.partition(" ")
        if keyword == "FROM":
            stages.append([])
        stages[-1].append((keyword, rest.strip()))
    return stages


def image_environment() -> dict[str, str]:
    """The environment that the image sets."""
    pairs: dict[str, str] = {}
    for keyword, rest in docker_instructions()[-1]:
        if keyword == "ENV":
            pairs |= dict(pair.split("=", 1) for pair in rest.split())
    return pairs

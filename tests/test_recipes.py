"""Every recipe of docs/recipes.md is short, and does what it says when it is followed as it stands there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
LINES_MAX = 10
STEP = re.compile(
    r"^(?P<how>Append to|Write|In|Run)(?: `(?P<file>[^`]+)`)?(?:, after the line `(?P<line>[^`]+)`)?:\n\n"
    r"```\w+\n(?P<block>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
NOT_COPIED = shutil.ignore_patterns("__pycache__", "*.nbi", "*.nbc")


class Step(NamedTuple):
    """One step of a recipe."""

    how: str
    file: str
    line: str
    block: str


def read_recipes() -> dict[str, list[Step]]:
    sections = (ROOT / "docs/recipes.md").read_text("utf-8").split("\n## ")[1:]
    read = {}
    for section in sections:
        title, _, body = section.partition("\n")
        read[title] = [Step(**{k: v or "" for k, v in found.groupdict().items()}) for found in STEP.finditer(body)]
        assert body.count("```") == 2 * len(read[title]), f"{title}: a block says not where it goes"
    return read


RECIPES = read_recipes()


def python(tree: Path, program: str, **variables: str) -> str:
    """What ``program`` prints when it is run in ``tree``."""
    return run(tree, [sys.executable, "-c", program], **variables)


def run(tree: Path, command: list[str], **variables: str) -> str:
    """What ``command`` prints in ``tree``. Kernels run as Python: for a few payments, none is worth compiling anew."""
    environ = {**os.environ, "PYTHONPATH": str(tree), "NUMBA_DISABLE_JIT": "1", **variables}
    done = subprocess.run(command, cwd=tree, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def follow(tree: Path, step: Step) -> None:
    """Do what a step says."""
    if step.how == "Run":
        tocsin = f'tocsin() {{ "{sys.executable}" -m services.cli "$@"; }}\n'
        run(tree, ["bash", "-ec", tocsin + step.block])
        return
    path = tree / step.file
    if step.how == "Write":
        assert not path.exists()
        path.write_text(step.block, "utf-8")
    elif step.how == "Append to":
        path.write_text(path.read_text("utf-8") + step.block, "utf-8")
    else:
        text = path.read_text("utf-8")
        assert text.count(f"\n{step.line}\n") == 1, f"{step.file}: not one line {step.line!r}"
        path.write_text(text.replace(f"\n{step.line}\n", f"\n{step.line}\n{step.block}"), "utf-8")


@pytest.fixture
def followed(tmp_path: Path) -> Callable[[str], Path]:
    """A copy of the tree in which a recipe was followed."""

    def copy(recipe: str) -> Path:
        for name in ("services", "models", "tests"):
            shutil.copytree(ROOT / name, tmp_path / name, ignore=NOT_COPIED)
        shutil.copy(ROOT / "pyproject.toml", tmp_path)
        for step in RECIPES[recipe]:
            follow(tmp_path, step)
        return tmp_path

    return copy


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_is_at_most_ten_lines_to_write(recipe: str) -> None:
    written = [line for step in RECIPES[recipe] for line in step.block.splitlines() if line.strip()]
    assert 1 <= len(written) <= LINES_MAX
    assert len({step.file.rpartition("/")[0] for step in RECIPES[recipe]}) == 1, "in one place"


def test_there_is_a_recipe_for_each_thing_that_people_add() -> None:
    assert list(RECIPES) == ["A feature", "A rule", "A pack", "A model kind", "An input format", "A metric"]


def test_a_feature_stands_in_the_registry_and_in_the_features_of_a_run(followed: Callable[[str], Path]) -> None:
    program = """
import json
from services.scorer.path.features.registry import FEATURES, INDEX, NAMES
from tests.scorer.rulebook.test_fixtures import FIXTURES, features_of
features = features_of(FIXTURES["structuring"][0].payments)
used = ["amount", "payee_value_1d", "amount_over_payee_day"]
print(json.dumps([NAMES[-1], FEATURES[-1].side, features[:, [INDEX[name] for name in used]].tolist()]))
"""
    name, side, rows = json.loads(python(followed("A feature"), program))
    assert (name, side) == ("amount_over_payee_day", "payee")
    assert len(rows) > 1
    assert [derived for _, _, derived in rows] == [amount / (value + 1.0) for amount, value, _ in rows]


def test_a_rule_hits_where_it_says(followed: Callable[[str], Path]) -> None:
    program = """
import json, numpy as np
from services.runtime.settings import load_settings
from services.scorer.path.features.registry import INDEX, NAMES
from services.scorer.path.rules.evaluate import HIT, Rules
from services.scorer.rulebook.ruleset_file import load_ruleset
ruleset = load_ruleset(load_settings())
features = np.zeros((2, len(NAMES)))
features[:, INDEX["amount"]] = 999999.0, 1000000.0
outcome = Rules(ruleset).evaluate(features).outcome
print(json.dumps([ruleset.rules[-1].id, (outcome[:, -1] == HIT).tolist()]))
"""
    assert json.loads(python(followed("A rule"), program)) == ["very-large-amount", [False, True]]


def test_a_pack_is_checked_with_those_that_ship_and_speaks_of_its_fixtures(followed: Callable[[str], Path]) -> None:
    tree = followed("A pack")
    checked = run(tree, [sys.executable, "-m", "services.cli", "pack", "lint"])
    assert "evening 1: 6 indicators, 2 fixtures" in checked
    assert "2 passed" in suite(tree, "tests/scorer/rulebook/test_fixtures.py", "-k", "evening")


def test_a_kind_passes_the_suite_of_kinds_and_is_among_the_challengers(followed: Callable[[str], Path]) -> None:
    tree = followed("A model kind")
    assert "10 passed" in suite(tree, "tests/models/kinds/test_every_kind.py", "-k", "cautious", NUMBA_DISABLE_JIT="0")
    program = "from services.learner.app import *; from services.runtime.settings import *\n"
    program += "print(*(plan.kind for plan in challenger_plans_of(load_settings())))"
    assert "cautious" in python(tree, program).split()


def test_a_mapping_reads_the_file_that_it_is_for(followed: Callable[[str], Path]) -> None:
    tree = followed("An input format")
    lines = "Order No,When,Amount,From,To\n11,2018-04-01T02:00:00Z,12.50,anna,shop-7\n"
    (tree / "orders.csv").write_text(lines, "utf-8")
    options = ["orders.csv", "--mapping", "orders", "--dry-run", "--json"]
    said = json.loads(run(tree, [sys.executable, "-m", "services.cli", "replay", *options]))
    (payment,) = said["first_payments"]
    assert (payment["payment_id"], payment["amount_minor"], payment["payee"]["account"]) == ("order-11", 1250, "shop-7")


def test_a_metric_is_exposed(followed: Callable[[str], Path]) -> None:
    program = """
from prometheus_client import generate_latest
from services.runtime.metrics import Metrics
metrics = Metrics()
metrics.promotions.labels("done").inc()
print(generate_latest(metrics.registry).decode())
"""
    assert 'tocsin_promotions_total{result="done"} 1.0' in python(followed("A metric"), program).splitlines()


def suite(tree: Path, *options: str, **variables: str) -> str:
    """What pytest says at the end of a run in ``tree``. Digests overflow on purpose: in silence, once compiled."""
    plain = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-W", "ignore:overflow:RuntimeWarning"]
    return run(tree, [sys.executable, "-m", "pytest", *plain, *options], **variables)

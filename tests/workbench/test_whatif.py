"""Deciding again: with what served, what was said, payment for payment; on any number of processes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from services.runtime.settings import load_settings
from services.scorer.path.scoring.model import untrained_model
from services.scorer.rulebook.ruleset_file import load_ruleset
from services.workbench.whatif import CHUNK, askers, compared, reviewed
from tests.support.models import random_model
from tests.workbench.samples import SCHEMA, sample

RULESET = load_ruleset(load_settings())


def quiet(_share: float) -> None:
    """Tell nobody."""


def test_the_number_of_processes_changes_nothing() -> None:
    data = sample(1, CHUNK + 500)
    one, two = (reviewed(data, RULESET, random_model(1, SCHEMA), quiet, workers) for workers in (1, 2))
    for name in ("review", "asked", "scores"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    assert one.askers == askers(RULESET)
    np.testing.assert_array_equal(one.review, one.asked.any(axis=1))


def test_what_would_be_reviewed_stands_beside_what_was() -> None:
    data = sample(2, 2_000)
    loose = replace(random_model(2, SCHEMA), review_probability=0.001)
    strict = replace(loose, review_probability=0.9999)
    found = compared(data, reviewed(data, RULESET, loose, quiet))
    less = compared(data, reviewed(data, RULESET, strict, quiet))
    none = compared(data, reviewed(data, RULESET, untrained_model(SCHEMA), quiet))
    assert found["decisions"] == 2_000
    assert found["did"]["payments"] == int((data.outcome == "review").sum())
    assert found["both"] + found["only_did"] == found["did"]["payments"]
    assert found["both"] + found["only_would"] == found["would"]["payments"]
    assert found["would"]["payments"] > less["would"]["payments"] >= none["would"]["payments"]


def test_an_empty_data_set_is_no_error() -> None:
    nothing = sample(3).chosen(np.zeros(400, dtype=np.bool_))
    assert compared(nothing, reviewed(nothing, RULESET, untrained_model(SCHEMA), quiet))["would"]["payments"] == 0

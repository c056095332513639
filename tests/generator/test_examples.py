"""The examples in the generator's docstrings are executed."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

from services import generator

MODULES = [
    "services.generator",
    *(f"services.generator.{each.name}" for each in pkgutil.iter_modules(generator.__path__)),
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_hold(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0

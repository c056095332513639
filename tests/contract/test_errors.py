"""One base of all our errors, and packages that say what they are the face of."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import models
import services
from services.contract.errors import TocsinError

ROOT = Path(__file__).parents[2]
OF_OTHER_ENVIRONMENTS = ("services.bench.quix",)
"""Run by an interpreter that has what ours has not."""


def our_errors() -> Iterator[type[BaseException]]:
    for package in (services, models):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if found.name.endswith("__main__") or found.name in OF_OTHER_ENVIRONMENTS:
                continue
            module = importlib.import_module(found.name)
            for each in vars(module).values():
                if isinstance(each, type) and issubclass(each, BaseException) and each.__module__ == found.name:
                    yield each


def test_every_error_of_ours_is_a_tocsin_error() -> None:
    errors = set(our_errors())
    assert len(errors) > 30
    assert {each.__qualname__ for each in errors if not issubclass(each, TocsinError)} == set()


def test_a_package_that_is_a_face_says_what_it_shows() -> None:
    faces = []
    for file in sorted([*(ROOT / "services").rglob("__init__.py"), *(ROOT / "models").rglob("__init__.py")]):
        own = ".".join(file.parent.relative_to(ROOT).parts)
        body = ast.parse(file.read_text("utf-8")).body
        shown = {
            alias.asname or alias.name
            for each in body
            if isinstance(each, ast.ImportFrom) and (each.module or "").startswith(own + ".")
            for alias in each.names
        }
        if shown and own != "services":  # which imports what has to come before anything of it is imported
            faces.append(own)
            listed = next(
                (ast.literal_eval(each.value) for each in body if isinstance(each, ast.Assign)
                 and [ast.unparse(target) for target in each.targets] == ["__all__"]), None,
            )  # fmt: skip
            assert listed, f"{own}: no __all__"
            assert all(hasattr(importlib.import_module(own), name) for name in listed)
    assert "services.broker" in faces

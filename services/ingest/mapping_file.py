"""Reading a mapping file: one that ships, or somebody's own."""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from services.ingest.checks import check
from services.ingest.mapping import Mapping, MappingError

SHIPPED = resources.files("services.ingest") / "mappings"


def shipped_mappings() -> tuple[str, ...]:
    """The names of the mappings that ship."""
    return tuple(sorted(each.name[:-5] for each in SHIPPED.iterdir() if each.name.endswith(".toml")))


def load_mapping(name_or_path: str | Path) -> Mapping:
    """The mapping that ships under this name, or that this file holds.

    Raises
    ------
    MappingError
        When there is none, or something in it is wrong.
    """
    name = str(name_or_path)
    if name in shipped_mappings():
        return parse_mapping((SHIPPED / f"{name}.toml").read_text("utf-8"), f"{name}.toml")
    try:
        text = Path(name).read_text("utf-8")
    except UnicodeDecodeError:
        raise MappingError(f"{name}: not UTF-8") from None
    except OSError as error:
        known = ", ".join(shipped_mappings())
        raise MappingError(f"{name}: no such mapping ({error.strerror}); shipped: {known}") from None
    return parse_mapping(text, name)


def parse_mapping(text: str, origin: str) -> Mapping:
    """The mapping that ``text`` spells; ``origin`` names it in errors.

    Raises
    ------
    MappingError
        One line for each problem, starting with ``origin`` and the key.
    """
    try:
        raw: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise MappingError(f"{origin}: {error}") from None
    try:
        mapping = msgspec.convert(raw | {"origin": origin}, Mapping)
    except msgspec.ValidationError as error:
        detail, _, path = str(error).partition(" - at `$")
        key = path.rstrip("`").lstrip(".")
        raise MappingError(": ".join(part for part in (origin, key, detail) if part)) from None
    problems = [f"{origin}: {key}: {detail}" for key, detail in check(mapping)]
    if problems:
        raise MappingError("\n".join(problems))
    return mapping

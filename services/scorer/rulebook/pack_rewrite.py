"""A pack's file with other weights: the text as it stands, comments and all, with other numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

from services.scorer.path.rules.pack_format import PackError
from services.scorer.path.rules.pack_parse import parse_pack

_HEADER = re.compile(r"^\[\[?[^\n]*\]\]?[^\n]*$", re.MULTILINE)
_ID = re.compile(r'^id = "([^"]+)"', re.MULTILINE)
_WEIGHT = re.compile(r"^weight = [^\n]*$", re.MULTILINE)
_TOLD = re.compile(r"^(?:interval|innocent) = [^\n]*\n", re.MULTILINE)
_PRIOR = re.compile(r"^prior = [^\n]*$", re.MULTILINE)


class NewWeight(NamedTuple):
    """What stands of an indicator."""

    weight: float
    interval: tuple[float, float] | None
    """Not told where no world could measure it."""
    innocent: bool
    """Whether it speaks for an innocent reading."""


def with_weights(text: str, prior: float, weights: Mapping[str, NewWeight]) -> str:
    """The ``pack.toml`` of ``text`` with another prior, and with other weights by indicator.

    Each key must stand on a line of its own, as in the packs that ship.

    Raises
    ------
    PackError
        When an indicator or its weight is not found, or the pack could not be used.
    """
    starts = [match.start() for match in _HEADER.finditer(text)]
    cuts = [0, *starts, len(text)]
    parts = [text[begin:end] for begin, end in pairwise(cuts)]
    parts[0], priors = _PRIOR.subn(f"prior = {prior!r}", parts[0])
    left = dict(weights)
    for at, part in enumerate(parts):
        found = _ID.search(part)
        if part.startswith("[[indicator]]") and found is not None and found[1] in left:
            parts[at] = _changed(part, found[1], left.pop(found[1]))
    if priors != 1 or left:
        raise PackError(f"{', '.join(left) or 'prior'}: not on a line of its own, so no other number can be written")
    rewritten = "".join(parts)
    parse_pack(rewritten)
    return rewritten


def _changed(part: str, identity: str, new: NewWeight) -> str:
    lines = [f"weight = {new.weight!r}"]
    if new.interval is not None:
        lines.append(f"interval = [{new.interval[0]!r}, {new.interval[1]!r}]")
    if new.innocent and new.weight == 0.0:
        lines.append("innocent = true")
    changed, found = _WEIGHT.subn("\n".join(lines), _TOLD.sub("", part))
    if found != 1:
        raise PackError(f"{identity}: weight: not on a line of its own, so no other number can be written")
    return changed

"""Mutations that know the structure of a record, so that most of what they make comes further than the first check."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

EXTREMES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 0.0, -0.0, 1.5, 255, 256, 2**31 - 1, 2**31, 2**47, 2**53, 2**53 + 1, 2**63 - 1, 2**63,
    2**64, -(2**31), -(2**63), -(2**63) - 1, 10**30, 10**400, 5e-324, 1e-300, 1e300, 1.7976931348623157e308, -1e308,
    4_102_444_800_000, 4_102_444_800_001, "", " ", "0", "a", "\x00", "\x1f", "\x7f", "\ud800", "\udfff\ud800",
    "\u2028\ufeff", "\U0001f3e6" * 40, "x" * 128, "x" * 129, "x" * 1_000, "[{" * 200, "\\" * 50, '"' * 50, "DE", "EUR",
    "JPY", "accepted", "rejected", "review", "champion", [], {}, [None], [[]], {"": None}, {"a": 1},
)  # fmt: skip
"""Values that are at, or just beyond, some limit."""
TOKENS = (
    b'"', b"\\", b"\\u0000", b"\\ud800", b"\\udc00\\ud800", b"{", b"}", b"[", b"]", b",", b":", b"null", b"NaN",
    b"Infinity", b"-", b"1e999", b"-1e999", b"0" * 30, b"9" * 400, b"\xff", b"\xc0\x80", b"\xed\xa0\x80",
    b"\xf4\x90\x80", b"\x00", b"\r\n", b"\xef\xbb\xbf", b"[" * 260, b"]" * 260, b'{"a":' * 260, b"[" * 2_000,
)  # fmt: skip
"""Pieces that readers of JSON and of UTF-8 stumble over."""


def mutated(seed: bytes, others: list[bytes], draw: random.Random) -> bytes:
    """``seed`` with one change, now and then with several; sometimes none, so that good records stand among bad."""
    times = draw.choice((0, 1, 1, 1, 1, 2, 3))
    for _ in range(times):
        change: Callable[[bytes, list[bytes], random.Random], bytes] = draw.choice((
            with_value, with_value, with_value, with_field, nested, with_token, with_token, flipped, spliced, cut,
        ))  # fmt: skip
        seed = change(seed, others, draw)
    return seed


def with_value(seed: bytes, others: list[bytes], draw: random.Random) -> bytes:
    """One value of the document becomes an extreme one, or the value of another document."""
    content = _parsed(seed)
    places = _places(content)
    if not places:
        return with_token(seed, others, draw)
    holder, key = draw.choice(places)
    if draw.random() < 0.2 and others:
        strange = [each[0][each[1]] for each in _places(_parsed(draw.choice(others)))]
        holder[key] = draw.choice(strange or [None])
    else:
        holder[key] = draw.choice(EXTREMES)
    return _written(content, draw)


def with_field(seed: bytes, others: list[bytes], draw: random.Random) -> bytes:
    """A field is left out, comes twice, or is one that nobody knows."""
    content = _parsed(seed)
    objects = [each for each in [content, *(holder[key] for holder, key in _places(content))] if isinstance(each, dict)]
    if not objects:
        return flipped(seed, others, draw)
    chosen = draw.choice(objects)
    kind = draw.randrange(3)
    if kind == 0 and chosen:
        del chosen[draw.choice(list(chosen))]
    elif kind == 1:
        chosen[draw.choice(("x", "", "\x1f", "\ud800", "a" * 2_000))] = draw.choice(EXTREMES)
    elif content and isinstance(content, dict):
        name = draw.choice(list(content))
        twice = json.dumps({name: draw.choice(EXTREMES)}).encode()
        return _written(content, draw)[:-1] + b"," + twice[1:]
    return _written(content, draw)


def nested(seed: bytes, others: list[bytes], draw: random.Random) -> bytes:
    """An unknown field, nested: within the limit, at it, or beyond all stacks."""
    depth = draw.choice((1, 100, 248, 249, 250, 251, 900, 1_020, 5_000))
    opening, closing = draw.choice(((b"[", b"]"), (b'{"a":', b"}")))
    inner = draw.choice((b"1", b"", b'"]"'))
    return seed[:-1] + b',"x":' + opening * depth + inner + closing * draw.choice((depth, depth, depth - 1)) + seed[-1:]


def with_token(seed: bytes, others: list[bytes], draw: random.Random) -> bytes:
    """A token at any place, or instead of what stands there."""
    at, token = draw.randrange(len(seed) + 1), draw.choice(TOKENS)
    return seed[:at] + token + seed[at + draw.choice((0, 0, 1, len(token))) :]


def flipped(seed: bytes, others: list[bytes], draw: random.Random) -> bytes:
    """A few bits."""
    changed = bytearray(seed)
    for _ in range(draw.randrange(1, 4) if changed else 0):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def spliced(seed: bytes, others: list[bytes], draw: random.Random) -> bytes:
    """The beginning of one record and the end of another; or a stretch of one that comes twice."""
    other = draw.choice(others) if others and draw.random() < 0.7 else seed
    return seed[: draw.randrange(len(seed) + 1)] + other[draw.randrange(len(other) + 1) :]


def cut(seed: bytes, others: list[bytes], draw: random.Random) -> bytes:
    """The beginning only."""
    return seed[: draw.randrange(len(seed) + 1)]


def _parsed(value: bytes) -> Any:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return None


def _places(content: Any) -> list[tuple[Any, Any]]:
    """Every place of a document that a value stands at: what holds it, and its name or number there."""
    found: list[tuple[Any, Any]] = []
    open_ = [content]
    while open_ and len(found) < 500:
        holder = open_.pop()
        if not isinstance(holder, dict | list):
            continue
        for key in holder if isinstance(holder, dict) else range(min(len(holder), 20)):
            found.append((holder, key))
            open_.append(holder[key])
    return found


def _written(content: Any, draw: random.Random) -> bytes:
    """JSON of a document, with or without escapes; what cannot be UTF-8 stays as it is in memory."""
    try:
        text = json.dumps(content, ensure_ascii=draw.random() < 0.5, separators=(",", ":"))
    except (RecursionError, ValueError):
        return b"{}"
    return text.encode("utf-8", "surrogatepass")

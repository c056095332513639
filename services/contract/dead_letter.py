"""Dead letters: a record that could not be processed, as it came, and in its headers why and where it stood.

A dead letter can always be written, whatever the record is. One that is larger than any record should be, which only
compression can bring, is cut to its beginning: the headers then tell its size and SHA-256, and topic, partition and
offset say where the rest is. Everything is a function of the record alone, so a replay writes the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import NamedTuple

from msgspec import Struct

from services.contract.codec import RecordInvalid, Rejection
from services.contract.events import Headers, cloud_event
from services.contract.fields import Count, Sha256
from services.contract.topics import BATCH_BYTES_MAX

WHOLE_BYTES_MAX = BATCH_BYTES_MAX + 64 * 1024
"""Key and value together that are kept whole. The topic takes twice ``BATCH_BYTES_MAX``."""
BEGINNING_BYTES = 64 * 1024
"""What is kept of a key or value that is cut."""
ORIGINAL = "original_"
"""Before the names of the record's own headers, which may be named like ours."""
ORIGINALS_MAX = 32
ORIGINAL_BYTES_MAX = 32 * 1024
"""The record's own headers that are kept, in their order; how many are left out is counted."""
TEXT_BYTES_MAX = 1_000
_PREFIX = "tocsin_"
_REQUIRED = ("reason", "field", "detail", "topic", "partition", "offset")
_NUMBERS = ("partition", "offset", "size", "key_size", "headers_left_out", "first_offset", "first_generation")


class DeadLetter(Struct, frozen=True, omit_defaults=True):
    """Why a record could not be processed. Travels in headers, as ``tocsin_<field>``; key and value are the record's
    own bytes, and its headers stand beside as ``original_<name>``.

    ``topic`` may also be ``file:<name>`` or ``stream:<name>``; then ``offset`` is the line, counted from 1.
    """

    reason: str
    """One of a few codes. Of payments: ``empty``, ``oversized``, ``not_json``, ``not_a_payment``, ``field_missing``,
    ``field_invalid``, ``key_mismatch``, ``wrong_partition``, ``event_time_unit``, ``event_time_in_future``,
    ``event_time_in_past``, ``conflicting_repeat``."""
    field: str
    detail: str
    topic: str
    partition: Count
    offset: Count
    truncated: str | None = None
    """``key``, ``value`` or ``key,value``: of what only the beginning is kept. The log has the rest, at ``offset``."""
    size: Count | None = None
    """Of the value as it came, bytes; with a value that was cut."""
    sha256: Sha256 | None = None
    """Of the same."""
    key_size: Count | None = None
    key_sha256: Sha256 | None = None
    headers_left_out: Count = 0
    """How many of the record's own headers were too many, or too large."""
    first_offset: Count | None = None
    """Of a payment that conflicts with an earlier one of the same id: where that stands, in the same partition."""
    first_generation: Count | None = None
    """Where that is a former log of the partition: how many logs people had accepted in place of others by then."""


class First(NamedTuple):
    """The first record of a payment, in the topic and partition of the one that conflicts with it."""

    offset: int
    generation: int | None
    """As ``DeadLetter`` has it."""


class Written(NamedTuple):
    """Key, value and headers of a dead letter."""

    key: bytes | None
    value: bytes | None
    headers: Headers


def dead_letter(
    rejection: Rejection,
    origin: tuple[str, int, int],
    key: bytes | None,
    value: bytes | None,
    headers: Iterable[tuple[str, bytes | None]] = (),
    first: First | None = None,
) -> Written:
    """The dead letter of a record, of which ``key``, ``value`` and ``headers`` are its own, and ``origin`` topic,
    partition and offset, as ``DeadLetter`` has them. ``first`` is the record that it conflicts with."""
    topic, partition, offset = origin
    named = cloud_event("dead-letter.v1", f"{_text(topic).decode()}/{partition}/{offset}")[:-1]
    said = {
        "reason": _text(rejection.reason), "field": _text(rejection.field), "detail": _text(rejection.detail),
        "topic": _text(topic), "partition": b"%d" % partition, "offset": b"%d" % offset,
    }  # fmt: skip
    if len(key or b"") + len(value or b"") > WHOLE_BYTES_MAX:
        cut = [name for name, whole in (("key", key), ("value", value)) if len(whole or b"") > BEGINNING_BYTES]
        said["truncated"] = ",".join(cut).encode()
        for prefix, whole in (("", value), ("key_", key)):
            if whole is not None and len(whole) > BEGINNING_BYTES:
                said[f"{prefix}size"] = b"%d" % len(whole)
                said[f"{prefix}sha256"] = sha256(whole).hexdigest().encode()
        key, value = (None if whole is None else whole[:BEGINNING_BYTES] for whole in (key, value))
    if first is not None:
        said["first_offset"] = b"%d" % first.offset
        if first.generation is not None:
            said["first_generation"] = b"%d" % first.generation
    originals, left_out = _originals(headers)
    if left_out:
        said["headers_left_out"] = b"%d" % left_out
    return Written(key, value, [*named, *((_PREFIX + name, text) for name, text in said.items()), *originals])


def read_dead_letter(headers: Sequence[tuple[str, bytes | None]]) -> DeadLetter:
    """The dead letter that ``headers`` describe.

    Raises
    ------
    RecordInvalid
        When they are not those of a dead letter; it names the header.
    """
    said = {name.removeprefix(_PREFIX): value for name, value in headers if name.startswith(_PREFIX)}
    fields: dict[str, str | int] = {}
    for name in DeadLetter.__struct_fields__:
        value = said.get(name)
        if value is None and name not in _REQUIRED:
            continue
        try:
            text = (value if value is not None else b"\xff").decode()
            fields[name] = _number(text) if name in _NUMBERS else text
        except ValueError:
            raise RecordInvalid(Rejection("dead_letter_invalid", _PREFIX + name, "Missing, or not readable")) from None
    return DeadLetter(**fields)  # type: ignore[arg-type]


def _originals(headers: Iterable[tuple[str, bytes | None]]) -> tuple[Headers, int]:
    """The record's own headers to be kept, the first that fit, and how many are left out."""
    kept: Headers = []
    left_out = size = 0
    for name, value in headers:
        spelled = name.encode(errors="backslashreplace")
        size_after = size + len(spelled) + len(value or b"")
        if len(kept) == ORIGINALS_MAX or size_after > ORIGINAL_BYTES_MAX:
            left_out += 1
            continue
        size = size_after
        kept.append((ORIGINAL + spelled.decode(), value or b""))
    return kept, left_out


def _text(text: str) -> bytes:
    """UTF-8 of ``text``, cut to what a header is to hold; what has none (a lone surrogate) is spelled out."""
    return text.encode(errors="backslashreplace")[:TEXT_BYTES_MAX].decode(errors="ignore").encode()


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 19):
        raise ValueError("not a number")
    return int(text)

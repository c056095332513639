"""Where streams with known truth come from: a folder, or the generator. To the assessment they are the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec
import numpy as np

from models.measures import Whole
from services.contract.payment import Role
from services.generator import Configuration, Stream
from services.ingest.readers import Lines
from services.scorer.path.records import Records
from services.workbench.assessment.truth import Truth, generated_truth, read_truth

PAYMENTS_FILE, TRUTH_FILE = "payments.ndjson", "truth.ndjson"
BATCH_LINES = 8_192
EXPECTED = "NDJSON of payments (payment.v1), one a line, in order of arrival"


class Piece(NamedTuple):
    """The next records of a stream, and how much of it is read with them, 0 to 1."""

    records: Records
    share: float


class Source(Protocol):
    """A stream whose truth is known. It can be read more than once."""

    @property
    def name(self) -> str:
        """For people."""

    @property
    def truth(self) -> Truth: ...

    def pieces(self) -> Iterator[Piece]:
        """The records as they would stand in ``payments.v1``, in order of arrival, in bounded pieces."""


class _Party(msgspec.Struct, gc=False):
    account: str


class _Payment(msgspec.Struct, gc=False):
    """As much of a payment as its record's key and timestamp need."""

    payer: _Party
    event_time_ms: int


class Folder:
    """A folder with ``payments.ndjson`` and ``truth.ndjson``, gzipped or not.

    When a payment arrived is not told. Its record's timestamp is the latest event time up to it, so that none is ahead
    of its arrival; a line that is no payment has the key of nobody, and becomes a dead letter.

    Raises
    ------
    SourceError, TruthError
        When one of the files cannot be read, or the truth cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self.name = str(folder)
        self._path = folder / PAYMENTS_FILE
        self.truth = read_truth(folder / TRUTH_FILE)
        Lines(self._path, EXPECTED).close()

    def pieces(self) -> Iterator[Piece]:
        """As ``Source``."""
        source, latest_ms = Lines(self._path, EXPECTED), -1
        try:
            while values := _some_lines(source):
                keys, times_ms = _keys_and_times(values, latest_ms)
                latest_ms = int(times_ms[-1])
                yield Piece(_records(keys, values, times_ms), source.share())
        finally:
            source.close()


class Generated:
    """A run of the generator, as one world.

    Parameters
    ----------
    world
        The number that its figures stand under.
    """

    def __init__(self, configuration: Configuration, world: int, name: str) -> None:
        self.name, self.configuration = name, configuration
        self.accounts = list(Stream(configuration).accounts())
        """What the generator says of them, by line of the truth."""
        self.truth = generated_truth(self.accounts, world, name)

    def pieces(self) -> Iterator[Piece]:
        """As ``Source``."""
        start_ms, end_ms = self.configuration.start_ms, self.configuration.end_ms
        for chunk in Stream(self.configuration).chunks():
            share = (int(chunk.times_ms[-1]) - start_ms) / (end_ms - start_ms)
            yield Piece(_records(chunk.keys, chunk.values, chunk.times_ms), min(max(share, 0.0), 1.0))


def role_of(side: int) -> Role:
    """The role of the first or the second column of what is told by payer and payee."""
    return "payee" if side else "payer"


def _some_lines(source: Lines) -> list[bytes]:
    """Up to ``BATCH_LINES`` further lines, without blank ones and without what ends a line."""
    lines: list[bytes] = []
    while len(lines) < BATCH_LINES and (line := source.next()):
        if not line.isspace():
            lines.append(line.rstrip(b"\r\n"))
    return lines


_decoder = msgspec.json.Decoder(_Payment)


def _keys_and_times(values: list[bytes], latest_ms: int) -> tuple[list[bytes], Whole]:
    keys: list[bytes] = []
    times_ms = np.full(len(values), latest_ms, dtype=np.int64)
    for at, value in enumerate(values):
        try:
            payment = _decoder.decode(value)
            keys.append(payment.payer.account.encode())
            times_ms[at] = payment.event_time_ms
        except (msgspec.DecodeError, UnicodeError, OverflowError, RecursionError):
            keys.append(b"")
    return keys, np.maximum.accumulate(np.maximum(times_ms, latest_ms))


def _records(keys: list[bytes], values: list[bytes], times_ms: Whole) -> Records:
    n = len(values)
    lengths = np.fromiter(map(len, [*values, *keys]), dtype=np.int64, count=2 * n)
    ends = np.cumsum(lengths)
    spans = np.stack([ends - lengths, lengths], axis=1)
    data = np.frombuffer(b"".join([*values, *keys]), dtype=np.uint8)
    return Records(
        data, np.arange(n), times_ms, np.ascontiguousarray(spans[n:]), np.ascontiguousarray(spans[:n]), [()] * n
    )

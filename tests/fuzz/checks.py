"""What must hold of every output, whatever the input was."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from services.contract.codec import Rejection
from services.contract.dead_letter import WHOLE_BYTES_MAX, read_dead_letter
from services.contract.evidence import Evidence, read_evidence
from services.contract.served import Served, read_served
from services.scorer.path.features.registry import NAMES
from services.scorer.path.hops import schema_of
from services.scorer.path.records import HopResult
from tests.fuzz import seeds

SECRET = "SECRET"
HEADERS_BYTES_MAX = 48 * 1024


def check_result(result: HopResult) -> None:
    """Every JSON value parses strictly, every batch and every dead letter can be read, and no counter repeats a
    record."""
    for role, records in result.outputs.items():
        for record in records:
            check_headers(record.headers)
            if role == "dead_letters":
                check_letter(record.key, record.value, record.headers)
            elif role == "features":
                assert isinstance(read_served(record.value), Served), read_served(record.value)
            elif role == "evidence":
                found = read_evidence(record.value, schema_of(seeds.ruleset()), 1, len(NAMES))
                assert isinstance(found, Evidence), found
            elif role != "payments_by_payee":
                orjson.loads(record.value)
    for counter in (result.counts, result.reasons, result.rules, result.alerts, result.thresholds):
        assert SECRET not in repr(list(counter)), "a metric would repeat a record"


def check_letter(key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]]) -> None:
    """A dead letter is bounded, says why and where, and repeats nothing in what it says."""
    assert len(key or b"") + len(value or b"") <= WHOLE_BYTES_MAX
    assert sum(len(name.encode()) + len(held) for name, held in headers) <= HEADERS_BYTES_MAX
    said = read_dead_letter(headers)
    assert said.reason
    assert SECRET not in said.detail + said.field


def check_headers(headers: Iterable[tuple[str, Any]]) -> None:
    """What aiokafka can write."""
    for name, value in headers:
        name.encode()
        assert type(value) is bytes


def check_message(error: Exception) -> None:
    """What an error that is expected says repeats nothing."""
    assert SECRET not in str(error)


def check_rejection(found: Any) -> str:
    """The reason of a rejection that repeats nothing."""
    assert isinstance(found, Rejection)
    assert SECRET not in str(found)
    str(found).encode()
    return found.reason

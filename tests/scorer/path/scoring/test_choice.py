"""Which model scores follows from what stands in ``models.v1`` and from the pinned model, and from nothing else."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from services.contract.announcement import CHAMPION, ModelAnnouncement, Promotion
from services.contract.codec import Rejection, encode
from services.scorer.path.scoring.choice import Announced, Choice, chosen
from services.scorer.path.scoring.model import ModelRefused, untrained_model
from tests.support.models import announcement_of, random_model

SCHEMA = "ab" * 32
Entry = tuple[bytes, bytes | None]
A, B, C = (announcement_of(random_model(seed, SCHEMA)) for seed in (1, 2, 3))
CHALLENGER = msgspec.structs.replace(C, challenger=True)
UNTRAINED = untrained_model(SCHEMA).hash


def said(announcement: ModelAnnouncement, **changed: Any) -> Entry:
    """An announcement as a record."""
    announcement = msgspec.structs.replace(announcement, **changed)
    return f"{announcement.name}/{announcement.version}".encode(), encode(announcement)


def promoted(announcement: ModelAnnouncement) -> Entry:
    return CHAMPION, encode(Promotion(announcement))


def gone(announcement: ModelAnnouncement) -> Entry:
    return said(announcement)[0], None


DEMOTED: Entry = (CHAMPION, None)


def after(log: list[Entry], pinned: str = "") -> Choice:
    """Record by record, the first written at 1 ms, the second at 2 ms, and so on."""
    choice = Choice(SCHEMA, pinned)
    for at, (key, value) in enumerate(log, start=1):
        assert choice.take(key, value, at) is None
    return choice


@pytest.mark.parametrize(
    "log, pinned, scoring",
    [
        ([], "", UNTRAINED),
        ([said(A)], "", A.model_hash),
        ([said(A), said(B)], "", B.model_hash),
        ([said(B), said(A)], "", A.model_hash),
        # A champion scores whatever is announced, before or after it, until it is demoted.
        ([promoted(A)], "", A.model_hash),
        ([promoted(A), said(B)], "", A.model_hash),
        ([said(B), promoted(A)], "", A.model_hash),
        ([promoted(A), promoted(B)], "", B.model_hash),
        ([said(A), promoted(B), said(C), DEMOTED], "", C.model_hash),
        ([promoted(B), DEMOTED], "", UNTRAINED),
        ([said(A), DEMOTED], "", A.model_hash),
        # Challengers are the shadow worker's until one is promoted.
        ([said(A), said(CHALLENGER)], "", A.model_hash),
        ([said(A), said(CHALLENGER), promoted(CHALLENGER)], "", C.model_hash),
        # That an announcement is taken away stops nobody from scoring.
        ([said(A), gone(A)], "", A.model_hash),
        ([promoted(A), said(B), gone(A)], "", A.model_hash),
        # No promotion and no later announcement overrides a pinned model.
        ([said(A), promoted(B)], A.model_hash, A.model_hash),
        ([promoted(B), said(A)], A.model_hash, A.model_hash),
        ([said(A), said(B), said(C)], A.model_hash, A.model_hash),
        ([said(A), promoted(B), DEMOTED], A.model_hash, A.model_hash),
        ([said(B), promoted(B), said(C)], A.model_hash, UNTRAINED),
        ([said(CHALLENGER), said(A)], C.model_hash, C.model_hash),
    ],
)
def test_the_champion_scores_else_the_latest_and_a_pinned_model_whatever_is_promoted(
    log: list[Entry], pinned: str, scoring: str
) -> None:
    assert after(log, pinned).current.model.hash == scoring


@pytest.mark.parametrize("pinned, has_champion, expected", [("", True, 7), ("", False, 8), ("x", True, 8)])
def test_a_pin_comes_before_a_champion_and_a_champion_before_the_latest(
    pinned: str, has_champion: bool, expected: int
) -> None:
    champion, latest = (Announced(random_model(seed, SCHEMA), seed) for seed in (7, 8))
    assert chosen(pinned, champion if has_champion else None, latest).written_ms == expected


def test_what_scores_says_when_it_was_announced_or_promoted() -> None:
    assert after([]).current.written_ms == 0
    assert after([said(A), said(B)]).current.written_ms == 2
    assert after([said(A), said(B), promoted(A), said(C)]).current.written_ms == 3
    assert after([said(A), said(B), promoted(A), said(C), DEMOTED]).current.written_ms == 4


def test_the_same_model_under_another_version_is_not_another_model() -> None:
    choice = after([said(A), said(A, version=99), promoted(A)])
    assert (choice.current.model.version, choice.current.written_ms) == (A.version, 1)


REFUSED: list[tuple[str, Entry, type[Rejection | ModelRefused]]] = [
    ("no JSON", (b"test/9", b"{"), Rejection),
    ("a promotion that is none", (CHAMPION, b"{}"), Rejection),
    ("of other features", said(B, feature_schema_hash="00" * 32), ModelRefused),
    ("with another hash", said(B, model_hash="00" * 32), ModelRefused),
    ("a champion of other features", promoted(msgspec.structs.replace(B, feature_schema_hash="00" * 32)), ModelRefused),
    ("a champion that only scores in shadow", promoted(msgspec.structs.replace(B, kind="onnx")), ModelRefused),
]


@pytest.mark.parametrize("entry, why", [pytest.param(*rest, id=name) for name, *rest in REFUSED])
@pytest.mark.parametrize("pinned", ["", A.model_hash])
@pytest.mark.parametrize("before", [[said(A)], [said(A), promoted(A)]])
def test_what_cannot_be_used_is_refused_and_the_model_in_use_stays(
    entry: Entry, why: type[Rejection | ModelRefused], pinned: str, before: list[Entry]
) -> None:
    choice = after(before, pinned)
    in_use = choice.current
    assert isinstance(choice.take(*entry, 9), why)
    assert choice.current is in_use
    assert choice.take(*DEMOTED, 10) is None
    assert choice.current.model.hash == A.model_hash


def test_a_challenger_is_passed_over_unread_unless_it_is_pinned() -> None:
    broken = said(CHALLENGER, feature_schema_hash="00" * 32)
    assert Choice(SCHEMA).take(*broken, 1) is None
    assert isinstance(Choice(SCHEMA, pinned=C.model_hash).take(*broken, 1), ModelRefused)

"""Promotion and rollback as pure steps: what becomes champion, and what a rollback goes back to."""

from __future__ import annotations

import pytest

from services.contract.announcement import CHAMPION, ModelAnnouncement, Promotion, model_of, read_announced
from services.contract.codec import Rejection, encode
from services.kafka.announcing import name_of
from services.learner.champion import BEFORE_MAX, PromotionError, promoted, rolled_back
from tests.support.models import announcement_of, random_model

SCHEMA = "a" * 64


def version(at: int) -> ModelAnnouncement:
    return announcement_of(random_model(at, SCHEMA))


def load(name: str, at: int) -> ModelAnnouncement:
    assert name == "test"
    return version(at)


def test_a_rollback_goes_back_through_the_champions_and_then_to_the_learner() -> None:
    first = promoted(version(1), None)
    third = promoted(version(3), promoted(version(2), first))
    assert third.before == ("test/1", "test/2")
    second = rolled_back(third, load)
    assert second == Promotion(version(2), ("test/1",))
    assert rolled_back(second, load) == first
    assert rolled_back(first, load) is None


def test_to_promote_the_champion_again_changes_nothing() -> None:
    current = promoted(version(2), promoted(version(1), None))
    assert promoted(version(2), current) is current


def test_there_is_nothing_to_go_back_to_where_nothing_was_promoted() -> None:
    with pytest.raises(PromotionError, match="no model was promoted"):
        rolled_back(None, load)


def test_the_champions_remembered_are_bounded() -> None:
    current: Promotion | None = None
    for at in range(BEFORE_MAX + 10):
        current = promoted(version(at), current)
    assert current is not None
    assert len(current.before) == BEFORE_MAX
    assert current.before[-1] == f"test/{BEFORE_MAX + 8}"


def test_a_record_of_the_models_topic_is_read_by_its_key() -> None:
    one = version(1)
    promotion = Promotion(one)
    assert read_announced(b"test/1", encode(one)) == one
    assert read_announced(CHAMPION, encode(promotion)) == promotion
    assert model_of(promotion) == model_of(one) == one
    assert name_of(one) == "test/1"
    assert isinstance(read_announced(CHAMPION, encode(one)), Rejection)

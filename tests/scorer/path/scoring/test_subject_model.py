"""A subject model: its bytes, what it refuses, and that its contributions are its risk."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from services.contract.payment import Role
from services.scorer.path.features.registry import FEATURES
from services.scorer.path.scoring.forest import Forest
from services.scorer.path.scoring.model import ModelRefused
from services.scorer.path.scoring.subject_model import SubjectModel, subject_model_from
from services.scorer.path.scoring.trees import MISSING_LEFT, Trees
from services.scorer.path.subjects.facts import PAYEE_SUBJECT_FEATURES, PAYER_SUBJECT_FEATURES, subject_schema_hash
from services.scorer.path.subjects.leads import PAYEE_LEADS, PAYER_LEADS
from services.scorer.rulebook.pack_file import pack_subject_model

ROLES: tuple[Role, Role] = ("payer", "payee")
WIDTHS = {"payer": len(PAYER_SUBJECT_FEATURES), "payee": len(PAYEE_SUBJECT_FEATURES)}
LEADS = {"payer": len(PAYER_LEADS), "payee": len(PAYEE_LEADS)}


def stump(width: int, feature: int, threshold: float, low: float, high: float, schema: str | None = None) -> Forest:
    """A tree with one split."""
    trees = Trees(
        features=np.array([feature, 0, 0], dtype=np.int32),
        thresholds=np.array([threshold, 0.0, 0.0]),
        lefts=np.array([1, 1, 2], dtype=np.int32),
        missing=np.array([MISSING_LEFT, 0, 0], dtype=np.int8),
        roots=np.array([0], dtype=np.int32),
        width=width,
    )
    return Forest(0, schema or subject_schema_hash(), trees, np.array([(low + high) / 2, low, high]))


def model(schema: str | None = None) -> SubjectModel:
    """One split each."""
    return SubjectModel(
        stump(len(FEATURES), 0, 100.0, -1.0, 2.0, schema),
        (stump(WIDTHS["payer"], WIDTHS["payer"] - 1, 0.5, -3.0, 4.0), stump(WIDTHS["payee"], 2, 5.0, -2.0, 1.0)),
        (stump(LEADS["payer"], 0, 0.0, -4.0, 3.0), stump(LEADS["payee"], 1, -2.0, -5.0, 2.0)),
        (-2.0, 0.25),
    )


def test_a_model_comes_back_from_its_bytes_to_the_bit() -> None:
    known = model()
    again = subject_model_from(known.packed)
    assert again.hash == known.hash
    draw = np.random.default_rng(1)
    for role in ROLES:
        features, leads = (draw.normal(size=(50, each[role])) * 3.0 for each in (WIDTHS, LEADS))
        features[draw.random(features.shape) < 0.3] = np.nan
        assert np.array_equal(again.worth(role, features), known.worth(role, features))
        assert np.array_equal(again.risk(role, leads), known.risk(role, leads))


@pytest.mark.parametrize("role", ROLES)
def test_contributions_and_bias_are_the_worth(role: Role) -> None:
    features = np.random.default_rng(2).normal(size=(20, WIDTHS[role])) * 5.0
    parts, bias = model().contributions(role, features), model().first[ROLES.index(role)].bias
    assert np.array_equal(parts.sum(axis=1) + bias, model().worth(role, features))


def test_each_side_has_its_own_shift() -> None:
    leads = {role: np.full((1, width), -10.0) for role, width in LEADS.items()}
    assert [model().risk(role, leads[role])[0] for role in ROLES] == [-6.0, -4.75]


def test_evidence_is_what_a_payment_says_beyond_the_mean_one() -> None:
    features = np.full((2, len(FEATURES)), np.nan)
    features[:, 0] = (50.0, 200.0)
    assert model().evidence_of(features).tolist() == [-1.5, 1.5]


@pytest.mark.parametrize(
    "damage", [b"", b"\x81", lambda packed: packed[:-9], lambda packed: packed.replace(b"f8", b"f4")]
)
def test_what_is_no_model_is_refused(damage: object) -> None:
    packed = damage(model().packed) if callable(damage) else damage
    with pytest.raises(ModelRefused):
        subject_model_from(packed)  # type: ignore[arg-type]


def test_a_model_of_other_features_is_refused() -> None:
    with pytest.raises(ModelRefused, match="schema"):
        subject_model_from(model("0" * 64).packed)


def test_a_shift_must_be_a_number() -> None:
    said = msgspec.msgpack.decode(model().packed)
    with pytest.raises(ModelRefused, match="shift"):
        subject_model_from(msgspec.msgpack.encode({**said, "shifts": (0.0, float("nan"))}))


def test_the_model_that_ships_fits_what_this_release_adds_up() -> None:
    shipped = pack_subject_model("lsac")
    assert shipped is not None
    for role in ROLES:
        worth = shipped.worth(role, np.full((1, WIDTHS[role]), np.nan))
        assert np.isfinite([worth, shipped.risk(role, np.full((1, LEADS[role]), np.nan))]).all()


def test_packs_without_a_subject_model_have_none() -> None:
    assert pack_subject_model("mule") is None

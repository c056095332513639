"""The subject model that ships with a pack: written, read again, refused when damaged, and told on its card."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from services.scorer.path.rules.pack_format import PackError
from services.scorer.rulebook.pack_file import SUBJECT_CARD, SUBJECT_MODEL, pack_folder, pack_subject_model
from services.workbench.assessment.prior import PriorOptions, card_of, save_prior
from services.workbench.assessment.streams import NOTE
from tests.scorer.path.scoring.test_subject_model import model


def test_a_model_in_a_packs_folder_is_that_packs(tmp_path: Path) -> None:
    save_prior(tmp_path, model(), card_of(model(), PriorOptions(), cases=3, worlds=2))
    found = pack_subject_model(str(tmp_path))
    assert found is not None
    assert found.hash == model().hash == orjson.loads((tmp_path / SUBJECT_CARD).read_bytes())["hash"]


@pytest.mark.parametrize("damage", [b"", b"not compressed", b"x\x9c\x03\x00\x00\x00\x00\x01"])
def test_a_damaged_file_is_refused_with_the_way_to_another(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / SUBJECT_MODEL).write_bytes(damage)
    with pytest.raises(PackError, match="tocsin pack learn"):
        pack_subject_model(str(tmp_path))


def test_the_card_that_ships_is_of_the_model_that_ships() -> None:
    shipped, card = pack_subject_model("lsac"), orjson.loads((pack_folder("lsac") / SUBJECT_CARD).read_bytes())
    assert shipped is not None
    assert card["hash"] == shipped.hash
    assert NOTE in card["limits"]


def test_a_card_says_which_features_move_the_score() -> None:
    card = card_of(model(), PriorOptions(), cases=3, worlds=2)
    assert card["most_telling"]["payees"][0] == {"feature": "subject_counterparties", "moves": 3.0}
    assert card["learned_from"]["positive_payers"] == 3

"""The deployer's own files: overrides that are signed, and lists that only hashes tell of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from services.runtime.settings import Settings, SettingsError
from services.scorer.path.features.private import KeyedList, PrivateLists, keyed_hash, term_of
from services.scorer.path.rules.ruleset import with_packs
from services.scorer.rulebook.pack_file import load_packs, load_private, signature_of
from services.scorer.rulebook.ruleset_file import load_ruleset


def chosen_settings(**chosen: object) -> Settings:
    return Settings.model_validate(chosen)


def test_an_override_is_applied_only_with_the_deployers_signature(tmp_path: Path) -> None:
    file = tmp_path / "override.toml"
    file.write_text("[mule]\nprior = -5.0\n")
    chosen = chosen_settings(pack_override=file, pack_key="secret")
    with pytest.raises(SettingsError, match="TOCSIN_PACK_OVERRIDE"):
        load_packs(chosen)
    signature = tmp_path / "override.toml.sig"
    signature.write_text(signature_of(b"another", file.read_bytes()))
    with pytest.raises(SettingsError, match="not the signature"):
        load_packs(chosen)
    signature.write_text(signature_of(b"secret", file.read_bytes()))
    assert next(pack for pack in load_packs(chosen) if pack.name == "mule").prior == -5.0
    with pytest.raises(SettingsError, match="TOCSIN_PACK_KEY"):
        load_packs(chosen_settings(pack_override=file))
    file.write_text("[nothing]\nprior = -5.0\n")
    signature.write_text(signature_of(b"secret", file.read_bytes()))
    with pytest.raises(SettingsError, match="nothing: no such pack"):
        load_packs(chosen)


LISTS = {"confirmed_payees": "confirmed", "lexicon": "lexicon"}


@pytest.mark.parametrize("setting", LISTS)
def test_private_lists_are_hashes_under_the_deployers_key(setting: str, tmp_path: Path) -> None:
    def load(key: str = "") -> KeyedList:
        found: KeyedList = getattr(load_private(chosen_settings(**{setting: file}, pack_key=key)), LISTS[setting])
        return found

    file = tmp_path / "list"
    file.write_text(keyed_hash(b"secret", "acc-1").hex() + "\n\n")
    assert "acc-1" in load("secret")
    assert "acc-2" not in load("secret")
    assert "acc-1" not in load("another")
    file.write_text("acc-1\n")
    with pytest.raises(SettingsError, match=f"TOCSIN_{setting.upper()}"):
        load("secret")
    file.write_text("ab\n")
    with pytest.raises(SettingsError, match="line 1 is no hash"):
        load("secret")
    with pytest.raises(SettingsError, match="TOCSIN_PACK_KEY"):
        load()


def test_without_a_lexicon_nothing_is_known_of_a_reference() -> None:
    lists = PrivateLists(lexicon=KeyedList(b"key", [keyed_hash(b"key", term_of("LEX_PRIVATE_07"))]))
    assert lists.hold_terms(["see lex_private_07", "LEX_PRIVATE_08"]).tolist() == [1.0, 0.0]
    assert np.isnan(lists.hold_terms([None])).all(), "a text that is not told may hold anything"
    assert np.isnan(PrivateLists().hold_terms(["LEX_PRIVATE_07"])).all()
    for text in ("", "--", "one two three four"):
        with pytest.raises(ValueError, match="1 to 3 words"):
            term_of(text)


def test_a_decision_names_the_private_lists_it_was_made_with() -> None:
    ruleset, some = load_ruleset(chosen_settings()), KeyedList(b"key", [keyed_hash(b"key", "term")])
    lists = (PrivateLists(), PrivateLists(lexicon=some), PrivateLists(confirmed=some))
    assert len({with_packs(ruleset, (), each).hash for each in lists}) == 3

"""Reading typology packs, a deployer's signed override of them, and its private lists."""

from __future__ import annotations

import hmac
import tomllib
import zlib
from hashlib import sha256
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from services.contract.identity import Digests
from services.runtime.files import unreadable
from services.runtime.settings import Settings, SettingsError
from services.scorer.path.features.private import HASH_BYTES, KeyedList, PrivateLists
from services.scorer.path.features.references import Texts
from services.scorer.path.rules.pack_format import Pack, PackError
from services.scorer.path.rules.pack_parse import parse_pack
from services.scorer.path.scoring.model import ModelRefused
from services.scorer.path.scoring.subject_model import SubjectModel, subject_model_from

_FOLDER = resources.files("services.scorer.rulebook").joinpath("packs")
SHIPPED = tuple(sorted(each.name for each in _FOLDER.iterdir() if each.is_dir()))
SIGNATURE_SUFFIX = ".sig"


def pack_folder(name: str) -> Traversable:
    """The folder of a pack that ships, or this folder."""
    return _FOLDER / name if name in SHIPPED else Path(name)


def pack_text(name: str) -> str:
    """The ``pack.toml`` of a pack that ships, or of a folder.

    Raises
    ------
    PackError
        When it cannot be read.
    """
    try:
        return (pack_folder(name) / "pack.toml").read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        expected = f"one of {', '.join(SHIPPED)}, or a folder with a pack.toml"
        raise PackError(unreadable("pack.toml", error, expected)) from None


SUBJECT_MODEL, SUBJECT_CARD = "subjects.model", "subjects.json"
"""In a pack's folder: the subject model that ships with it, compressed, and its card."""


def pack_subject_model(name: str) -> SubjectModel | None:
    """The subject model of a pack that ships, or of a folder; ``None`` where the pack has none.

    Raises
    ------
    PackError
        When it cannot be read or used.
    """
    file = pack_folder(name) / SUBJECT_MODEL
    if not file.is_file():
        return None
    try:
        return subject_model_from(zlib.decompress(file.read_bytes()))
    except (OSError, zlib.error, ModelRefused) as error:
        raise PackError(f"{SUBJECT_MODEL}: {error}; `tocsin pack learn {name}` makes it anew") from None


def load_packs(settings: Settings) -> tuple[Pack, ...]:
    """The deployment's packs, with its override.

    Raises
    ------
    SettingsError
        When a pack cannot be read or used, or the override is not signed with the deployment's key.
    """
    names = [name.strip() for name in settings.packs.split(",") if name.strip()]
    override = load_override(settings)
    unknown = set(override) - {Path(name).name for name in names}
    if unknown:
        raise SettingsError(f"TOCSIN_PACK_OVERRIDE: {', '.join(sorted(unknown))}: no such pack is run")
    packs = []
    for name in names:
        try:
            packs.append(parse_pack(pack_text(name), override.get(Path(name).name)))
        except PackError as error:
            raise SettingsError(f"TOCSIN_PACKS: {name}: {error}") from None
    if len({pack.name for pack in packs}) < len(packs):
        raise SettingsError("TOCSIN_PACKS: two packs have the same name")
    return tuple(packs)


def signature_of(key: bytes, content: bytes) -> str:
    """HMAC-SHA256 of an override file, in hexadecimal: what stands in the file beside it, named ``.sig``."""
    return hmac.new(key, content, sha256).hexdigest()


def load_override(settings: Settings) -> dict[str, dict[str, Any]]:
    """The deployer's changes by pack; none without a file.

    Raises
    ------
    SettingsError
        When the file or its signature cannot be read, the key is missing, or the signature is another's.
    """
    path = settings.pack_override
    if path is None:
        return {}
    key = settings.pack_key.get_secret_value().encode()
    if not key:
        raise SettingsError("TOCSIN_PACK_KEY: an override must be signed, and there is no key")
    beside = path.with_name(path.name + SIGNATURE_SUFFIX)
    content = _read(path, "TOCSIN_PACK_OVERRIDE", "a TOML file of changes to packs")
    signature = _read(beside, "TOCSIN_PACK_OVERRIDE", f"what `tocsin pack sign {path}` writes").strip()
    try:
        found: dict[str, dict[str, Any]] = tomllib.loads(content.decode())
    except ValueError as error:
        raise SettingsError(f"TOCSIN_PACK_OVERRIDE: {path} is no TOML: {error}") from None
    if not hmac.compare_digest(signature, signature_of(key, content).encode()):
        raise SettingsError(
            f"TOCSIN_PACK_OVERRIDE: {beside} is not the signature of {path} under TOCSIN_PACK_KEY; `tocsin pack sign "
            f"{path}` writes it anew"
        )
    return found


def _read(path: Path, setting: str, expected: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{setting}: {unreadable(path, error, expected)}") from None


def load_private(settings: Settings) -> PrivateLists:
    """The deployer's confirmed payees and lexicon, and its key of digests.

    Raises
    ------
    SettingsError
        When one cannot be read, a line is no hash, or there is no key.
    """
    return PrivateLists(
        _load_list(settings, "TOCSIN_CONFIRMED_PAYEES", settings.confirmed_payees),
        _load_list(settings, "TOCSIN_LEXICON", settings.lexicon),
        Texts(Digests(settings.hash_key.get_secret_value().encode())),
    )


def list_key(settings: Settings) -> bytes:
    """The key that private lists are hashed under.

    Raises
    ------
    SettingsError
        When there is none, or one that is too long.
    """
    key = settings.pack_key.get_secret_value().encode()
    if not 1 <= len(key) <= 64:
        raise SettingsError("TOCSIN_PACK_KEY: private lists need a key of 1 to 64 bytes")
    return key


def _load_list(settings: Settings, setting: str, path: Path | None) -> KeyedList:
    if path is None:
        return KeyedList()
    key, hashes = list_key(settings), []
    expected = f"{2 * HASH_BYTES} hexadecimal digits a line, as `tocsin pack hash-payee` and `hash-term` print"
    for number, line in enumerate(_read(path, setting, expected).splitlines(), start=1):
        if line.strip():
            try:
                hashes.append(bytes.fromhex(line.strip().decode("ascii")))
            except ValueError:
                hashes.append(b"")
            if len(hashes[-1]) != HASH_BYTES:
                raise SettingsError(f"{setting}: {path}: line {number} is no hash; expected {expected}")
    return KeyedList(key, hashes)

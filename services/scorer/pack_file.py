"""Reading typology packs, a deployer's signed override of them, and the list of confirmed payees."""

from __future__ import annotations

import hmac
import tomllib
from hashlib import sha256
from importlib import resources
from pathlib import Path
from typing import Any

from services.scorer.path.confirmed import HASH_BYTES, Confirmed
from services.scorer.path.pack import Pack, PackError, parse_pack
from services.settings import Settings, SettingsError

SHIPPED = ("lsac", "fsec-victim", "mule", "structuring", "account-takeover", "card-testing")
SIGNATURE_SUFFIX = ".sig"


def pack_text(name: str) -> str:
    """The ``pack.toml`` of a pack that ships, or of a folder.

    Raises
    ------
    OSError
        When it cannot be read.
    """
    if name in SHIPPED:
        return resources.files("services.scorer").joinpath(f"packs/{name}/pack.toml").read_text("utf-8")
    return (Path(name) / "pack.toml").read_text("utf-8")


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
        except (OSError, PackError) as error:
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
    try:
        content = path.read_bytes()
        signature = path.with_name(path.name + SIGNATURE_SUFFIX).read_text("ascii").strip()
        found: dict[str, dict[str, Any]] = tomllib.loads(content.decode())
    except (OSError, ValueError) as error:
        raise SettingsError(f"TOCSIN_PACK_OVERRIDE: {error}") from None
    if not hmac.compare_digest(signature, signature_of(key, content)):
        raise SettingsError(f"TOCSIN_PACK_OVERRIDE: {path.name}{SIGNATURE_SUFFIX} is not the signature of {path.name}")
    return found


def load_confirmed(settings: Settings) -> Confirmed:
    """The deployer's list of confirmed payees.

    Raises
    ------
    SettingsError
        When it cannot be read, a line is no hash, or there is no key.
    """
    path = settings.confirmed_payees
    if path is None:
        return Confirmed()
    key = settings.pack_key.get_secret_value().encode()
    if not 1 <= len(key) <= 64:
        raise SettingsError("TOCSIN_PACK_KEY: the list of confirmed payees needs a key of 1 to 64 bytes")
    hashes = []
    try:
        for number, line in enumerate(path.read_text("ascii").splitlines(), start=1):
            if line.strip():
                hashes.append(bytes.fromhex(line.strip()))
                if len(hashes[-1]) != HASH_BYTES:
                    raise SettingsError(f"TOCSIN_CONFIRMED_PAYEES: line {number}: not {HASH_BYTES} bytes")
    except (OSError, ValueError) as error:
        raise SettingsError(f"TOCSIN_CONFIRMED_PAYEES: {error}") from None
    return Confirmed(key, hashes)

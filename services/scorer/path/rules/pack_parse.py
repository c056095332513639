"""Reading a typology pack, and refusing one that could never speak, or on too little, or that says what none may."""

from __future__ import annotations

import math
import re
import tomllib
from copy import deepcopy
from typing import Any

import msgspec
import orjson

from services.contract.identity import hash_of
from services.contract.payment import Role
from services.scorer.path.features.registry import FEATURES, INDEX
from services.scorer.path.rules.condition import Condition, RulesetError
from services.scorer.path.rules.pack_format import (
    READ,
    ROLES,
    STRONG_FAMILIES,
    WEIGHT_MAX,
    Indicator,
    Pack,
    PackError,
    PackFile,
)

HEADLINE = "pattern consistent with published indicators"
"""What every headline says: an indicator is no verdict."""
_FORBIDDEN = """
abuser abusers attacker attackers convict criminal criminals culprit fraudster fraudsters guilty molester
offender offenders paedophile paedophiles pedophile pedophiles perpetrator perpetrators predator predators thief
ethnic ethnicity female foreigner foreigners gender immigrant immigrants male migrant migrants nationality
nationalities race racial religion religious
"""
FORBIDDEN_WORDS = frozenset(_FORBIDDEN.split())
"""A pack accuses nobody, and speaks of no trait that is protected."""


def parse_pack(text: str, override: dict[str, Any] | None = None) -> Pack:
    """Read and check a pack from TOML.

    ``override`` is a deployer's: ``prior``, ``combination``, ``model``, and ``indicator.<id>`` tables with ``weight``,
    ``measure`` or ``conditions``; it is part of the hash. It sets numbers: what an indicator measures, and on which
    conditions, stays as it is.

    Raises
    ------
    PackError
        When the text is not TOML, a key is missing or unknown, the pack could never speak, or on too little, or it says
        what no pack may. The message names the pack, the indicator and the key.
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PackError(f"not TOML: {error}") from None
    file = _converted(raw, raw)
    _check(file)
    if override:
        file = _overridden(file, raw, override)
        _check(file)
    content = msgspec.to_builtins(file)  # as it was read: every number is one that JSON can carry
    content_hash = hash_of(orjson.dumps([content, bool(override)], option=orjson.OPT_SORT_KEYS))
    return Pack(**msgspec.structs.asdict(file), hash=content_hash)


def _converted(content: Any, raw: dict[str, Any]) -> PackFile:
    try:
        return msgspec.convert(content, PackFile)
    except msgspec.ValidationError as error:
        raise PackError(f"{raw.get('name', 'pack')}: {_located(raw, str(error))}") from None


def _located(raw: dict[str, Any], message: str) -> str:
    """``message`` with the indicator's id before it, where it speaks of one."""
    found = re.search(r"\$\.indicator\[(\d+)\]", message)
    indicators = raw.get("indicator")
    if found is None or not isinstance(indicators, list):
        return message
    indicator = indicators[int(found[1])]
    return f"indicator {indicator.get('id', found[1])}: {message}" if isinstance(indicator, dict) else message


def _overridden(file: PackFile, raw: dict[str, Any], override: dict[str, Any]) -> PackFile:
    """``file`` with the deployer's numbers."""
    if not isinstance(override, dict):
        raise PackError(f"{file.name}: override: not a table")
    merged = deepcopy(raw)
    for key, value in override.items():
        if key == "prior":
            merged[key] = value
        elif key in ("combination", "model", "indicator"):
            if not isinstance(value, dict):
                raise PackError(f"{file.name}: override: {key}: not a table")
            merged[key] = _indicators(file, raw, value) if key == "indicator" else raw.get(key, {}) | value
        else:
            raise PackError(
                f"{file.name}: override: {key}: only prior, combination, model and indicator may be changed"
            )
    changed = _converted(merged, raw)
    for before, after in zip(file.indicators, changed.indicators, strict=True):
        if [_kind(bound) for bound in before.bounds] != [_kind(bound) for bound in after.bounds]:
            raise PackError(
                f"{file.name}: override: indicator {before.id}: measure and conditions keep their features, "
                "their order and at_least or below; only their numbers may be changed"
            )
    return changed


def _indicators(file: PackFile, raw: dict[str, Any], changes: dict[str, Any]) -> list[dict[str, Any]]:
    known = {each.id for each in file.indicators}
    for identity, change in changes.items():
        if identity not in known or not isinstance(change, dict) or set(change) - {"weight", "measure", "conditions"}:
            raise PackError(
                f"{file.name}: override: indicator.{identity}: no such indicator, or more than may be changed"
            )
    return [each | changes.get(each["id"], {}) for each in raw["indicator"]]


def _kind(bound: Condition) -> tuple[str, bool, bool]:
    return bound.feature, bound.at_least is not None, bound.below is not None


def _check(file: PackFile) -> None:
    """What the shape alone does not promise."""
    numbers = {"prior": file.prior, "combination.score_min": file.combination.score_min}
    for key, number in numbers.items():
        if not math.isfinite(number):
            raise PackError(f"{file.name}: {key}: not a finite number")
    for key in ("title", "headline"):
        _check_words(f"{file.name}: {key}", getattr(file, key))
    for limit in file.limits:
        _check_words(f"{file.name}: limits", limit)
    if HEADLINE not in file.headline.lower():
        raise PackError(f"{file.name}: headline: must say {HEADLINE!r}")
    ids = [each.id for each in file.indicators]
    for indicator in file.indicators:
        where = f"{file.name}: indicator {indicator.id}"
        if ids.count(indicator.id) > 1:
            raise PackError(f"{where}: two have the same id")
        _check_indicator(where, indicator)
    meanings = [each.counters for each in file.indicators]
    if meanings != sorted(meanings):
        raise PackError(f"{file.name}: indicator: counter-evidence (a weight below 0) stands after the evidence")
    _check_bounds(f"{file.name}: applies", file.applies)
    _check_bounds(f"{file.name}: silent_when", file.silent_when)
    _check_bounds(f"{file.name}: silent_of_payee_when", file.silent_of_payee_when)
    if file.silent_of_payee_when and not file.silent_when:
        raise PackError(f"{file.name}: silent_of_payee_when: narrows silent_when, and there is none")
    for omitted in file.omitted:
        _check_words(f"{file.name}: omitted {omitted.id}", omitted.reason)
        if omitted.id in ids or [each.id for each in file.omitted].count(omitted.id) > 1:
            raise PackError(f"{file.name}: omitted {omitted.id}: is used, or stands here twice")
    for role in ROLES:
        _check_combination(file, role)


def _check_indicator(where: str, indicator: Indicator) -> None:
    if not abs(indicator.weight) <= WEIGHT_MAX:
        raise PackError(f"{where}: weight: at most {WEIGHT_MAX:g} either way")
    if indicator.innocent and indicator.weight > 0.0:
        raise PackError(f"{where}: innocent: counter-evidence has no weight above 0")
    ends = indicator.interval
    if ends is not None and not (-math.inf < ends[0] <= ends[1] < math.inf):
        raise PackError(f"{where}: interval: two finite ends, the lower first")
    if not indicator.raises and (indicator.immediate or indicator.queue):
        raise PackError(f"{where}: immediate, queue: only of evidence")
    if len(set(indicator.subjects)) < len(indicator.subjects):
        raise PackError(f"{where}: subjects: one occurs twice")
    _check_bounds(where, indicator.bounds)
    for key in ("statement", "reason"):
        _check_words(f"{where}: {key}", getattr(indicator, key))
    _check_reason(where, indicator)
    source = indicator.source
    if source.url and not source.url.startswith("https://"):
        raise PackError(f"{where}: source.url: must begin with https://")
    if source.tag in READ and not source.url:
        raise PackError(f"{where}: source.url: what was read (tags {' and '.join(READ)}) names its page")


def _check_reason(where: str, indicator: Indicator) -> None:
    """A reason that could not be filled in would stop a worker at the first hit."""
    places = set(re.findall(r"\{(\w*)\}", indicator.reason))
    if places - {"measured", "threshold"} or re.search(r"[{}]", re.sub(r"\{\w+\}", "", indicator.reason)):
        raise PackError(f"{where}: reason: braces hold measured or threshold and nothing else")
    is_flag = FEATURES[INDEX[indicator.measure.feature]].unit == "flag"
    if not is_flag and places != {"measured", "threshold"}:
        raise PackError(f"{where}: reason: must say {{measured}} and {{threshold}}")


def _check_words(where: str, text: str) -> None:
    found = FORBIDDEN_WORDS & set(re.findall(r"[a-z]+", text.lower()))
    if found:
        raise PackError(f"{where}: the word {min(found)!r} has no place in a pack")


def _check_combination(file: PackFile, role: Role) -> None:
    """What speaks of a role must be able to come together, and on more than corridor, channel and text."""
    spoken = [each for each in file.indicators if role in each.subjects and each.raises]
    if all(each.immediate for each in spoken):
        return
    families = {each.family for each in spoken}
    if len(spoken) < file.combination.indicators_min or len(families) < file.combination.families_min:
        raise PackError(f"{file.name}: combination: can never be met by what speaks of a {role}")
    if not families & STRONG_FAMILIES:
        raise PackError(f"{file.name}: only corridor, channel or text speaks of a {role}")
    highest = file.prior + sum(each.weight for each in spoken) + file.model.weight * file.model.limit
    if highest < file.combination.score_min:
        never = f"can never be met by what speaks of a {role}: its score reaches {highest:g} at most"
        raise PackError(f"{file.name}: combination: {never}")


def _check_bounds(where: str, bounds: tuple[Condition, ...]) -> None:
    for bound in bounds:
        if bound.feature not in INDEX:
            raise PackError(f"{where}: there is no feature {bound.feature!r}")
        try:
            threshold = bound.threshold
        except RulesetError as error:
            raise PackError(f"{where}: {error}") from None
        if (bound.at_least is None) == (bound.below is None) or not math.isfinite(threshold):
            raise PackError(f"{where}: {bound.feature}: give one finite at_least or below")
    for low in bounds:
        for high in bounds:
            if low.feature != high.feature or low.at_least is None or high.below is None:
                continue
            if low.at_least >= high.below:
                raise PackError(f"{where}: {low.feature}: at_least and below leave no number between them")

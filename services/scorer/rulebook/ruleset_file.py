"""Reading the ruleset that the settings name, and what they say of taking payments."""

from __future__ import annotations

from importlib import resources

from services.runtime.files import unreadable
from services.runtime.settings import Settings, SettingsError
from services.scorer.path.intake import Intake
from services.scorer.path.rules.condition import RulesetError
from services.scorer.path.rules.evaluate import Rules
from services.scorer.path.rules.ruleset import Ruleset, parse_ruleset, with_packs
from services.scorer.rulebook.pack_file import load_packs, load_private


def load_ruleset(settings: Settings) -> Ruleset:
    """The deployment's ruleset, or the one that ships, with its typology packs and private lists.

    Raises
    ------
    SettingsError
        When the file cannot be read or is not a ruleset; it names the setting, the rule and the key.
    """
    try:
        if settings.ruleset is None:
            text = resources.files("services.scorer.rulebook").joinpath("rulesets/general.toml").read_text("utf-8")
        else:
            text = settings.ruleset.read_text("utf-8")
        ruleset = parse_ruleset(text, settings.account_idle_days)
        ruleset = with_packs(ruleset, load_packs(settings), load_private(settings))
        Rules(ruleset)  # refuses rules on features that do not exist
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"TOCSIN_RULESET: {unreadable(settings.ruleset, error, 'a TOML file of rules')}") from None
    except RulesetError as error:
        raise SettingsError(f"TOCSIN_RULESET: {settings.ruleset or 'the rules that ship'}: {error}") from None
    return ruleset


def intake_of(settings: Settings) -> Intake:
    """What the deployment takes of ``payments.v1``."""
    return Intake.chosen(
        settings.partitions,
        settings.event_ahead_hours,
        settings.event_behind_days,
        settings.window_payments,
        settings.window_days,
    )

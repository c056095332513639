"""The learner as a worker: a Faust app that hosts the joiner and a trainer for each line of models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import faust

from models.kinds.table import CHALLENGERS
from models.learning.training import Plan
from services.contract.units import DAY_MS
from services.kafka.start import start
from services.learner.health.alarms import Alarms, Hook
from services.learner.joining.join import Limits
from services.learner.joining.joiner import Joiner
from services.learner.joining.served import ServedPlan
from services.learner.measures import Measures
from services.learner.training.trainer import TrainerService, can_run
from services.runtime.faust_app import create_app
from services.runtime.metrics import Metrics
from services.runtime.settings import Settings, SettingsError
from services.runtime.together import Together
from services.runtime.worker import run_worker
from services.scorer.path.features.registry import feature_schema_hash
from services.scorer.rulebook.ruleset_file import load_ruleset


def plan_of(settings: Settings) -> Plan:
    """The line of models that a deployment's scorers follow.

    Raises
    ------
    SettingsError
        When the ruleset, whose parameters decide features, cannot be read.
    """
    schema = feature_schema_hash(load_ruleset(settings).parameters)
    return Plan(schema, settings.snapshot_examples, settings.alert_budget_share)


def limits_of(settings: Settings) -> Limits:
    """What a deployment's join keeps."""
    return Limits(
        keep_share=settings.keep_share,
        keep_probability=settings.keep_probability,
        learn_share=settings.learn_share,
        label_maturity_ms=settings.label_maturity_days * DAY_MS,
        label_frequency=settings.label_frequency,
    )


def challenger_plans_of(settings: Settings) -> list[Plan]:
    """The lines of challengers that a deployment trains beside it, those included whose extra is not installed.

    Raises
    ------
    SettingsError
        As ``plan_of``, and when a kind that is to be trained is none that can be.
    """
    chosen = CHALLENGERS if settings.challengers == "all" else tuple(filter(None, settings.challengers.split(",")))
    for kind in chosen:
        if kind not in CHALLENGERS:
            raise SettingsError(f"TOCSIN_CHALLENGERS: {kind!r}: there are {', '.join(CHALLENGERS)}; all: every one")
    beside = replace(
        plan_of(settings),
        refit_examples=settings.refit_examples,
        refit_window_examples=settings.refit_window_examples,
    )
    return [replace(beside, kind=kind) for kind in CHALLENGERS if kind in chosen]


def drift_plan_of(settings: Settings) -> ServedPlan:
    """How a deployment looks for drift in what is served.

    Raises
    ------
    SettingsError
        As ``plan_of``.
    """
    return ServedPlan(
        feature_schema_hash=plan_of(settings).feature_schema_hash,
        sample_one_in=settings.drift_sample,
        window_days=settings.drift_window_days,
        window_decisions=settings.drift_window_decisions,
        psi_limit=settings.drift_psi,
        reference=settings.drift_reference,
    )


def create_learner(settings: Settings, metrics: Metrics | None = None, hooks: Sequence[Hook] = ()) -> faust.App:
    """The learner of a deployment, not yet started. ``hooks`` are called with each alarm of drift.

    Raises
    ------
    SettingsError
        As ``plan_of``.
    """
    measures = Measures(metrics or Metrics())
    alarms = Alarms(settings.state_dir, measures.health, hooks)
    app, plan = create_app(settings, "learner"), plan_of(settings)
    joiner = Joiner(settings, measures, drift_plan_of(settings), alarms, limits_of(settings))
    measures.line_running.labels(plan.kind).set(1)
    champion = TrainerService(settings, measures, plan, alarms)
    challengers = [each for each in challenger_plans_of(settings) if can_run(each, measures)]
    app.add_dependency(Together(joiner, champion, *(TrainerService(settings, measures, each) for each in challengers)))
    return app


def run_learner(settings: Settings) -> None:
    """Run the learner until SIGTERM or SIGINT.

    Raises
    ------
    SettingsError
        As ``plan_of``, before anything is started.
    SystemExit
        As ``run_worker``.
    """
    run_worker(settings, start, lambda metrics: create_learner(settings, metrics))

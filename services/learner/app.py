"""The learner as a worker: a Faust app that hosts joiner and trainer.

Faust manages their life; records move through aiokafka in batches, so Faust's own clients stay closed.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import Any

import faust
from faust.app.base import BootStrategy

from models.training import Plan
from services.learner.joiner import Joiner
from services.learner.measures import Measures
from services.learner.trainer import TrainerService
from services.metrics import Metrics
from services.scorer.path.features import feature_schema_hash
from services.scorer.ruleset_file import load_ruleset
from services.settings import Settings


class _Boot(BootStrategy):
    enable_kafka = False
    enable_web = False


class _App(faust.App):
    BootStrategy = _Boot


def plan_of(settings: Settings) -> Plan:
    """The line of models that a deployment trains.

    Raises
    ------
    SettingsError
        When the ruleset, whose parameters decide features, cannot be read.
    """
    schema = feature_schema_hash(load_ruleset(settings).parameters)
    return Plan(schema, settings.snapshot_examples, settings.alert_budget_share)


def create_learner(settings: Settings, metrics: Metrics | None = None) -> faust.App:
    """The learner of a deployment, not yet started.

    Raises
    ------
    SettingsError
        As ``plan_of``.
    """
    measures = Measures(metrics or Metrics())
    folder = settings.state_dir / "faust"
    folder.mkdir(parents=True, exist_ok=True)
    app = _App(
        f"{settings.app_id}-learner",
        broker=";".join(f"aiokafka://{host.strip()}" for host in settings.bootstrap.split(",")),
        broker_credentials=_credentials(settings),
        store="memory://",
        datadir=folder,
        web_enabled=False,
        topic_disable_leader=True,
    )
    app.service(Joiner(settings, measures))
    app.service(TrainerService(settings, measures, plan_of(settings)))
    return app


def run_learner(settings: Settings) -> None:
    """Run the learner until SIGTERM or SIGINT; raises what made it end otherwise.

    Raises
    ------
    SettingsError
        As ``plan_of``, before anything is started.
    LearnerError, RegistryError, StoreError, ProducerFenced
        When it cannot go on by itself.
    """
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    for chatty in ("aiokafka", "faust", "mode"):
        logging.getLogger(chatty).setLevel(logging.ERROR)
    metrics = Metrics()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    app = create_learner(settings, metrics)
    metrics.serve(settings.metrics_host, settings.metrics_port)
    worker = faust.Worker(app, loop=loop, quiet=True, override_logging=False, redirect_stdouts=False)
    worker.spinner = None
    try:
        worker.execute_from_commandline()
    except SystemExit as end:
        if end.code:
            raise


def _credentials(settings: Settings) -> Any:
    """Faust's form of the security settings, for whoever opens its clients."""
    protocol = settings.security_protocol
    context = None
    if protocol.endswith("SSL"):
        context = ssl.create_default_context(cafile=str(settings.ssl_cafile) if settings.ssl_cafile else None)
    if protocol.startswith("SASL"):
        return faust.SASLCredentials(
            username=settings.sasl_username,
            password=settings.sasl_password.get_secret_value(),
            ssl_context=context,
            mechanism=settings.sasl_mechanism,
        )
    return faust.SSLCredentials(context) if context else None

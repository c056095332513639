"""The scorer worker, put together: a lane for each hop and for the alerter, and the model they follow."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence

import faust

from services.contract.codec import encode
from services.contract.payment import Party, Payment
from services.contract.units import DAY_MS, HOUR_MS
from services.kafka import building
from services.kafka.start import start
from services.runtime.faust_app import create_app
from services.runtime.metrics import Metrics
from services.runtime.settings import Settings
from services.runtime.together import Together
from services.runtime.worker import run_worker
from services.scorer.path.alerts.alert_state import Horizon
from services.scorer.path.alerts.alerter import Alerter
from services.scorer.path.asking.hop import SubjectHop
from services.scorer.path.asking.safeguard import SubjectScoring
from services.scorer.path.features.registry import feature_schema_hash
from services.scorer.path.hops import PayeeHop, PayerHop, schema_of
from services.scorer.path.records import Outbound, Record, Records
from services.scorer.path.rules.ruleset import Ruleset
from services.scorer.path.scoring.model import Model, untrained_model
from services.scorer.rulebook.ruleset_file import intake_of, load_ruleset
from services.scorer.shell.lane import Lane
from services.scorer.shell.models import ModelFollower
from services.scorer.shell.partition import Hop
from services.scorer.shell.stages import Pace

HOPS = ("payer", "payee", "subject", "alerter")
_WARM_UP_MS = 1_700_000_000_000
PACES = {"payer": Pace(), "payee": Pace(behind_s=0.2), "subject": Pace(0.1, 0.5), "alerter": Pace(0.1, 0.5)}
"""Payments under a pack and reviews are few: each would cost a transaction, as thousands of payments do."""
GC_THRESHOLD = 50_000
"""Batches make many short-lived objects and no cycles; the default of 700 would search them hundreds of times each."""


def create_scorer(
    settings: Settings, metrics: Metrics, hops: Sequence[str] = HOPS, subject_model: SubjectScoring | None = None
) -> faust.App:
    """The scorer's Faust app, with the lanes of ``hops``, and the model of subjects by which packs ask, if any."""
    app = create_app(settings, "scorer")
    app.add_dependency(Scorer(settings, metrics, load_ruleset(settings), hops, subject_model))
    return app


class Scorer(Together):
    """The payment path of one worker."""

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        ruleset: Ruleset,
        hops: Sequence[str],
        subject_model: SubjectScoring | None = None,
    ) -> None:
        self._ruleset = ruleset
        models = ModelFollower(settings, metrics, feature_schema_hash(ruleset.parameters))
        topics, count, repeats = settings.topics, settings.partitions, settings.repeats_possible
        most, most_subjects, intake = settings.accounts_max, settings.subjects_max, intake_of(settings)
        payments, by_payee, reviews = topics.payments.name, topics.payments_by_payee.name, topics.reviews.name
        evidence, schema = topics.evidence.name, schema_of(ruleset)
        lanes: dict[str, tuple[str, str, Callable[[int], Hop[Model]]]] = {
            "payer": (
                payments, topics.payer_state.name,
                lambda at: PayerHop(ruleset, payments, at, count, most, intake),
            ),
            "payee": (
                by_payee, topics.payee_state.name,
                lambda at: PayeeHop(
                    ruleset, by_payee, at, count, count, repeats, most, most_subjects, subject_model,
                    settings.subject_evidence,
                ),
            ),
            "subject": (
                evidence, topics.subject_state.name,
                lambda at: SubjectHop(ruleset, schema, evidence, at, count, repeats, most_subjects, subject_model),
            ),
            "alerter": (reviews, topics.alerter_state.name, lambda at: make_alerter(settings, ruleset, at)),
        }  # fmt: skip
        super().__init__(models, *(Lane(hop, settings, metrics, models, *lanes[hop], PACES[hop]) for hop in hops))

    async def on_start(self) -> None:
        warm_up(self._ruleset)
        building.warm_up()
        gc.collect()
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD, 20, 50)
        await super().on_start()


def make_alerter(settings: Settings, ruleset: Ruleset, partition: int) -> Alerter:
    """The alerter of a partition. What is left of an alert is kept as long as an idle account."""
    return Alerter(
        settings.topics.reviews.name,
        partition,
        per_day=settings.alerts_per_day / settings.partitions,
        quiet_ms=round(settings.alert_quiet_hours * HOUR_MS),
        horizon=Horizon(settings.alert_life_days * DAY_MS, ruleset.parameters.account_idle_ms),
        queues=ruleset.queues,
    )


def warm_up(ruleset: Ruleset) -> None:
    """Compile the kernels, or load them from numba's cache, so that no payment waits for it: for two payments, since
    arrays of one are laid out otherwise, and one of them not plain (``path.decode``)."""
    model = untrained_model(feature_schema_hash(ruleset.parameters))
    parties = Party("a", country="SE"), Party("b", country="PH")
    payments = [
        encode(Payment(f"warm-up-{at}", _WARM_UP_MS, 1, "EUR", *parties, reference="warm-up")) for at in range(2)
    ]
    payer, payee = PayerHop(ruleset, "", 0, 1), PayeeHop(ruleset, "", 0, 1, 1)
    subject = SubjectHop(ruleset, schema_of(ruleset), "", 0, 1)
    records = [Record(at, -1, b"a", value + at * b" ") for at, value in enumerate(payments)]
    handed_over = payer.process(Records.of(records), model).outputs["payments_by_payee"]
    evidence = payee.process(_read(handed_over), model).outputs["evidence"]
    subject.process(_read(evidence), model)
    for hop in (payer, payee, subject):
        hop.state.checkpoint(len(payments))
        hop.state.begin_at(len(payments), 0)


def _read(written: Sequence[Outbound]) -> Records:
    """What one hop has written, as the next reads it."""
    return Records.of(Record(at, 0, each.key, each.value) for at, each in enumerate(written))


def run_scorer(settings: Settings, hops: Sequence[str] = HOPS) -> None:
    """Run a scorer worker until SIGTERM or SIGINT."""
    run_worker(settings, start, lambda metrics: create_scorer(settings, metrics, hops))

"""``python -m tests.support.subject_worker``: a scorer whose packs ask by a small model of subjects; and its handle."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from services.kafka.start import start
from services.runtime.settings import load_settings
from services.runtime.worker import run_worker
from services.scorer.shell.app import HOPS, create_scorer
from tests.support.nursery import die_with_the_tests
from tests.support.subject_models import LinearSubjects
from tests.support.worker import Worker, environment

SUBJECTS = LinearSubjects(
    {
        "subject_counterparties": 0.4,
        "remit_new_payees_180d_mean": 0.5,
        "others_number_maximum": 0.4,
        "payers_number": 0.4,
        "payee_remit_180d_maximum": 0.2,
        "payer_payments_30d_maximum": 0.1,
        "model_evidence_mean": 0.2,
    },
    bias=-3.0,
)


class SubjectWorker(Worker):
    """Such a scorer, as a process of its own."""

    def start(self) -> None:
        """Start the worker; it must not be running."""
        assert not self.alive, f"{self.name} runs already"
        self.starts += 1
        with self.log.open("ab") as log:
            self.mark()
            self._process = subprocess.Popen(  # type: ignore[assignment]
                [sys.executable, "-m", __name__],
                env=environment(self.settings),
                cwd=Path(__file__).parents[2],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_the_tests,
            )
        self._is_to_live = True


if __name__ == "__main__":
    settings = load_settings()
    run_worker(settings, start, lambda metrics: create_scorer(settings, metrics, HOPS, SUBJECTS))

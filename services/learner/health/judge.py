"""The judge's shell: what ``services.learner.health.prequential`` knows, kept in a file and shown as metrics.

The file may be behind what was shown, and is never ahead of the log: a judge that begins anew reads the examples again
and comes to the same figures and alarms. Without a file, or with one that cannot be used, it begins at the first of
them.
"""

from __future__ import annotations

import logging

from services.contract.label import Example
from services.learner.health.alarms import Alarms
from services.learner.health.prequential import NAMES, Prequential, StateRefused
from services.learner.measures import Measures
from services.runtime.files import write_durably
from services.runtime.settings import Settings

FILE = "prequential.state"
SAVE_EXAMPLES = 2_000
"""Examples between two files."""
SHOW_S = 1.0
"""One cohort's figures are computed in so long, at most: 4 ms of a core."""

logger = logging.getLogger(__name__)


class Judge:
    """Judges the examples of a deployment from where its file stands."""

    def __init__(self, settings: Settings, measures: Measures, alarms: Alarms) -> None:
        self._path = settings.state_dir / FILE
        self._budget_share = settings.alert_budget_share
        self._measures = measures
        self._alarms = alarms
        self._prequential = self._restored()
        self._saved_offset = self.next_offset
        self._saved_judged = self._prequential.judged
        self._shown_s = 0.0
        for cohort in NAMES:
            self._show(cohort)
        measures.losses(self._prequential.losses())

    @property
    def next_offset(self) -> int:
        """The first example not yet judged."""
        return self._prequential.next_offset

    def take(self, example: Example, offset: int) -> None:
        """Judge the example at ``offset`` of the log, unless it was judged before; an alarm is heard at once."""
        if offset < self.next_offset:
            return
        alarm = self._prequential.take(example, offset)
        if alarm is not None:
            self._alarms.ring(alarm)
        if self._prequential.judged - self._saved_judged >= SAVE_EXAMPLES:
            self.save()

    def show(self, now_s: float) -> None:
        """Bring metrics up to date: one cohort, and only once in ``SHOW_S``. ``now_s`` is of any steady clock."""
        if now_s - self._shown_s < SHOW_S:
            return
        self._shown_s = now_s
        self._alarms.refresh()
        cohort = self._prequential.next_changed()
        if cohort is not None:
            self._show(cohort)
            self._measures.losses(self._prequential.losses())

    def save(self) -> None:
        """Write the file, if anything was judged since it was."""
        if self.next_offset != self._saved_offset:
            write_durably(self._path, self._prequential.pack())
            self._saved_offset, self._saved_judged = self.next_offset, self._prequential.judged

    def _show(self, cohort: str) -> None:
        self._measures.judged(cohort, self._prequential.figures(cohort, self._budget_share))

    def _restored(self) -> Prequential:
        try:
            return Prequential(self._path.read_bytes())
        except FileNotFoundError:
            return Prequential()
        except StateRefused as error:
            logger.warning("%s: %s; judging the examples from the first one on", FILE, error)
            return Prequential()

"""What an alarm of drift does: it is counted, logged, and written down as a request to refit. Nothing is refitted,
promoted or replaced by it: that is for people, or for a command that they run.

The request is a file, ``drift.json`` in the state folder, with the latest alarm of each kind. Whoever has acted on it,
or decided not to, removes it (``settle``). Alarms are functions of the logs, so a learner that reads a part of a log
again after a crash writes the same again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct

from models.drift import KINDS, Alarm
from services.contract.codec import RecordInvalid, decode, encode
from services.runtime.files import write_durably
from services.runtime.metrics import ModelHealth

FILE = "drift.json"
NAMED_MAX = 8
"""Features that a line of the log names; the request has all of them."""

Hook = Callable[[Alarm], None]
logger = logging.getLogger(__name__)


class RefitRequest(Struct, frozen=True):
    """Why a refit is asked for: the latest alarm of each kind since the last request was settled."""

    alarms: dict[str, Alarm]


def read_request(state_dir: Path) -> RefitRequest | None:
    """The request that stands; ``None`` when there is none.

    Raises
    ------
    RecordInvalid
        When the file is not a request.
    """
    try:
        return decode((state_dir / FILE).read_bytes(), RefitRequest)
    except FileNotFoundError:
        return None


def settle(state_dir: Path, acted_on: RefitRequest | None = None) -> None:
    """Take the request away: somebody has acted on it.

    With ``acted_on`` only its alarms go: one that came since it was read still stands.
    """
    standing = read_request(state_dir) if acted_on is not None else None
    if standing is not None and acted_on is not None:
        since = {kind: alarm for kind, alarm in standing.alarms.items() if acted_on.alarms.get(kind) != alarm}
        if since:
            write_durably(state_dir / FILE, encode(RefitRequest(since)) + b"\n")
            return
    (state_dir / FILE).unlink(missing_ok=True)


class Alarms:
    """Takes alarms, in the process of the learner.

    Parameters
    ----------
    state_dir
        Where the request is written.
    health
        Where alarms are counted.
    hooks
        Called with each alarm after it was written, in order.
    """

    def __init__(self, state_dir: Path, health: ModelHealth, hooks: Sequence[Hook] = ()) -> None:
        self._state_dir = state_dir
        self._health = health
        self._hooks = tuple(hooks)
        self.refresh()

    def ring(self, alarm: Alarm) -> None:
        """An alarm: first the request on disk, then the rest, so that nobody hears of what may yet be forgotten."""
        try:
            standing = read_request(self._state_dir)
        except RecordInvalid:
            logger.warning("%s is not a request, and is replaced by one", FILE)
            standing = None
        request = RefitRequest({**(standing.alarms if standing else {}), alarm.kind: alarm})
        write_durably(self._state_dir / FILE, encode(request) + b"\n")
        self._health.alarms.labels(alarm.kind).inc()
        self.refresh()
        logger.warning("drift of %s; a refit is requested in %s", described(alarm), FILE)
        for hook in self._hooks:
            hook(alarm)

    def refresh(self) -> None:
        """Show which kinds of alarm the standing request has: people settle it while the learner runs."""
        try:
            standing = read_request(self._state_dir)
        except RecordInvalid:
            standing = None  # the next alarm says so
        for kind in KINDS:
            self._health.refit_requested.labels(kind).set(standing is not None and kind in standing.alarms)


def described(alarm: Alarm) -> str:
    """An alarm as a line of a log says it: features and figures, nobody's account.

    >>> described(Alarm("loss", 0, "suspicious/7d", {"before": 0.5, "after": 2.25}, 0.002))
    'loss on suspicious/7d: 0.500 to 2.250 nats'
    >>> described(Alarm("feature", 0, "", {"amount": 0.31, "hour": 1.5}, 0.25))
    'feature: hour 1.50, amount 0.31 (limit 0.25)'
    """
    if alarm.kind == "loss":
        return f"loss on {alarm.about}: {alarm.values['before']:.3f} to {alarm.values['after']:.3f} nats"
    worst = sorted(alarm.values.items(), key=lambda entry: (-entry[1], entry[0]))
    named = ", ".join(f"{name} {index:.2f}" for name, index in worst[:NAMED_MAX])
    more = f" and {len(worst) - NAMED_MAX} more" if len(worst) > NAMED_MAX else ""
    return f"{alarm.kind}: {named}{more} (limit {alarm.limit:g})"

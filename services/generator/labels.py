"""What becomes known of payments: by whom, when, and how often wrongly. The rest is never observed."""

from __future__ import annotations

import msgspec
import numpy as np

from services.contract.label import Label
from services.contract.units import DAY_MS, HOUR_MS
from services.generator.chance import Bools, Generator, Ints, generator, lognormal
from services.generator.parameters import LabelsLaw
from services.generator.people import World
from services.generator.rows import LSAC_CASH_OUT, Rows
from services.generator.truth import LabelTruth

_LABELS_SOURCE = 202


def payment_id(pid: int) -> str:
    """A payment's identifier as written."""
    return f"p{pid:016x}"


def label_of(truth: LabelTruth) -> Label:
    """A label as it is published."""
    return Label(**msgspec.structs.asdict(truth))


def case_labels(world: World, planned: Rows, cases: Ints) -> list[LabelTruth]:
    """The labels of true cases, by time. ``cases`` numbers the payments that belong together."""
    law, rng = world.configuration.parameters.labels, generator(world.seed, _LABELS_SOURCE)
    order = np.argsort(cases, kind="stable")
    order = order[(cases[order] >= 0) & (planned["typology"][order] != LSAC_CASH_OUT)]
    found: list[LabelTruth] = []
    if len(order):
        bounds = np.flatnonzero(np.diff(cases[order])) + 1
        for which in np.split(order, bounds):
            pids, times = planned["pid"][which].tolist(), planned["time"][which].tolist()
            found += _of_case(law, rng, pids, times)
    return sorted(found, key=lambda label: (label.label_time_ms, label.label_id))


def _of_case(law: LabelsLaw, rng: Generator, pids: list[int], times: list[int]) -> list[LabelTruth]:
    found: list[LabelTruth] = []
    after = int(rng.integers(law.alert_after[0], law.alert_after[1] + 1))
    if rng.random() < law.alerted_share:
        at = min(after, len(pids)) - 1
        named = pids[max(0, at + 1 - law.named_max) : at + 1]
        decided_ms = times[at] + _delay_ms(rng, law.analyst_days)
        suspicious = rng.random() >= law.analyst_error
        found += [_label(pid, suspicious, decided_ms, "analyst") for pid in named]
        if suspicious:
            filed_ms = decided_ms + int(rng.uniform(0.1, law.report_days_max) * DAY_MS)
            found += [_label(pid, True, filed_ms, "report") for pid in named]
    if rng.random() < law.confirmed_share:
        known_ms = times[0] + _delay_ms(rng, law.confirmed_days)
        found += [
            _label(pid, True, known_ms, "authority")
            for pid, time_ms in zip(pids, times, strict=True)
            if time_ms < known_ms
        ]
    return found


def innocent_labels(world: World, rows: Rows, day: int) -> list[LabelTruth]:
    """Dispositions of ordinary payments of one day that were alerted; ``rows`` in any order that is always the same."""
    law = world.configuration.parameters.labels
    rng = generator(world.seed, _LABELS_SOURCE, day + 1)
    chosen: Bools = rng.random(len(rows)) < law.innocent_share
    pids, times = rows["pid"][chosen].tolist(), rows["time"][chosen].tolist()
    return [
        _label(
            pid, bool(rng.random() < law.innocent_error), time_ms + _delay_ms(rng, law.analyst_days), "analyst",
            1.0 / law.innocent_share,
        )
        for pid, time_ms in zip(pids, times, strict=True)
    ]  # fmt: skip


def _delay_ms(rng: Generator, days: tuple[float, float]) -> int:
    return max(HOUR_MS, int(float(lognormal(rng, *days, 1)[0]) * DAY_MS))


def _label(pid: int, suspicious: bool, time_ms: int, by: str, weight: float = 1.0) -> LabelTruth:
    disposition = "suspicious" if suspicious else "not_suspicious"
    return LabelTruth(f"l-{by}-{pid:016x}", payment_id(pid), disposition, time_ms, by, weight)

"""The distributions of a stream as one picture. The only module that needs the extra ``plots``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from services.contract.errors import TocsinError
from services.contract.units import DAY_MS
from services.generator.lsac import draw_n, mix_moments
from services.generator.measures import LOG_EDGES, Measures
from services.generator.rows import source

_WARNING = "Results on this data show that the software works as specified, not that it finds offenders."


class PlotError(TocsinError, RuntimeError):
    """matplotlib is not installed, or the file cannot be written."""


def write_plot(measures: Measures, path: Path) -> None:
    """Draw numbers of payments, amounts, hours, gaps, destinations and days into ``path`` (``.png``, ``.svg``, ...).

    Raises ``PlotError``.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise PlotError(f"{path}: plotting needs matplotlib: pip install 'tocsin[plots]'") from None
    figure = Figure(figsize=(14.0, 8.0), layout="constrained")
    axes = figure.subplots(2, 3).ravel()
    for draw, axis in zip((_numbers, _amounts, _hours, _gaps, _destinations, _days), axes, strict=True):
        draw(measures, axis)
        axis.spines[["top", "right"]].set_visible(False)
        if axis.get_legend_handles_labels()[1]:
            axis.legend(frameon=False)
    figure.suptitle(_WARNING, fontsize=9)
    try:
        figure.savefig(path, dpi=110)
    except (OSError, ValueError) as error:
        raise PlotError(f"{path}: {error}") from None


def _numbers(measures: Measures, axis: Any) -> None:
    """Payments of LSAC payers: share with at least n, beside the law."""
    specified = measures.stream.configuration.parameters.lsac
    law = np.unique(draw_n(specified, np.random.default_rng(1), 100_000))
    drawn = np.sort([each.lifetime_payments for each in measures.stream.accounts() if each.lifetime_payments])
    many = draw_n(specified, np.random.default_rng(2), 100_000)
    axis.plot(law, [(many >= each).mean() for each in law], color="0.6", label="specified")
    axis.plot(drawn, 1.0 - np.arange(len(drawn)) / max(1, len(drawn)), ".", label="stream")
    axis.set(xscale="log", yscale="log", xlabel="payments n", ylabel="share with n or more", title="LSAC payers")


def _amounts(measures: Measures, axis: Any) -> None:
    centres = np.exp((LOG_EDGES[1:] + LOG_EDGES[:-1]) / 2.0)
    for name in ("lsac", "diaspora", "micro_remitter"):
        counts = measures.amounts[source(name)]
        axis.step(centres, counts / max(1, counts.sum()), where="mid", label=name)
    configuration = measures.stream.configuration
    median = mix_moments(configuration.parameters.lsac.amounts_aud[configuration.amounts])[0]
    axis.axvline(median / configuration.parameters.rates_per_eur["AUD"], color="0.6", linewidth=0.8)
    axis.set(xscale="log", xlim=(1.0, 1e4), xlabel="EUR", ylabel="share of payments", title="amounts")


def _hours(measures: Measures, axis: Any) -> None:
    for name in ("lsac", "diaspora", "couple"):
        counts = measures.hours[source(name)]
        axis.step(range(24), counts / max(1, counts.sum()), where="mid", label=name)
    axis.set(xlabel="hour of the payer's clock", ylabel="share of payments", title="hours")


def _gaps(measures: Measures, axis: Any) -> None:
    rows = measures.stream.plan.rows
    mine = rows[rows["source"] == source("lsac")]
    order = np.lexsort((mine["time"], mine["payer"]))
    days = np.diff(mine["time"][order]) / DAY_MS
    same = np.diff(mine["payer"][order]) == 0
    axis.hist(np.log10(np.maximum(days[same], 0.01)), bins=40)
    axis.set(xlabel="log10 of days", ylabel="gaps", title="gaps between payments of one LSAC payer")


def _destinations(measures: Measures, axis: Any) -> None:
    world = measures.world
    homes = world.places.homes_count
    codes = [world.places.codes[int(each)] for each in world.places.told[homes:]]
    at = np.arange(len(codes))
    for shift, name in ((-0.2, "lsac"), (0.2, "diaspora")):
        counts = np.bincount(world.people.destination[world.people.of(name)] - homes, minlength=len(codes))
        axis.bar(at + shift, counts / max(1, counts.sum()), width=0.4, label=name)
    axis.set_xticks(at, codes)
    axis.set(ylabel="share of payers", title="destinations")


def _days(measures: Measures, axis: Any) -> None:
    axis.plot(measures.by_day[:, 0], linewidth=0.8, label="all payments")
    axis.plot(measures.by_day[:, 1], linewidth=0.8, label="diaspora")
    axis.set(xlabel="day", ylabel="payments", title="paydays and seasons")

"""``tocsin worker``: run one of the workers until it is told to stop."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from services.cli.options import Bootstrap
from services.runtime.settings import SettingsError, load_settings

app = typer.Typer(help="Run a worker until SIGTERM or Ctrl-C.", no_args_is_help=True)

MetricsPort = Annotated[int | None, typer.Option(help="Prometheus port; 0: none.", show_default="TOCSIN_METRICS_PORT")]
LogLevel = Annotated[
    Literal["DEBUG", "INFO", "WARNING", "ERROR"] | None,
    typer.Option("--loglevel", case_sensitive=False, help="The least that is logged.", show_default="TOCSIN_LOG_LEVEL"),
]


@app.command()
def scorer(
    bootstrap: Bootstrap = None,
    metrics_port: MetricsPort = None,
    log_level: LogLevel = None,
    hop: Annotated[
        Literal["all", "payer", "payee", "subject", "alerter"],
        typer.Option(help="Run one part only, to scale them apart."),
    ] = "all",
) -> None:
    """Score payments: payer hop, payee hop, subject hop, alerter. Start more of them to share the partitions."""
    from services.scorer.shell.app import HOPS, run_scorer

    settings = load_settings(bootstrap=bootstrap, metrics_port=metrics_port, log_level=log_level)
    run_scorer(settings, HOPS if hop == "all" else (hop,))


@app.command()
def learner(bootstrap: Bootstrap = None, metrics_port: MetricsPort = None, log_level: LogLevel = None) -> None:
    """Join labels with what was served, learn from the joined examples, announce models. One is enough."""
    from services.learner.app import run_learner

    settings = load_settings(bootstrap=bootstrap, metrics_port=metrics_port, log_level=log_level)
    for name, folder in (("STATE_DIR", settings.state_dir), ("REGISTRY", settings.registry)):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(f"TOCSIN_{name}: {folder} is no folder and cannot be made: {error.strerror}") from None
    run_learner(settings)


@app.command()
def shadow(bootstrap: Bootstrap = None, metrics_port: MetricsPort = None, log_level: LogLevel = None) -> None:
    """Score what was decided with every challenger, off the payments' path. Start more to share the partitions.

    What they say goes to `shadow-scores.v1`, and nothing acts on it: `tocsin compare --shadow` sets it beside the
    champion's.
    """
    from services.shadow.app import run_shadow

    run_shadow(load_settings(bootstrap=bootstrap, metrics_port=metrics_port, log_level=log_level))

"""``tocsin replay``: a file of payments into Kafka, with progress on stderr and the outcome on stdout."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, NoReturn

import orjson
import typer

from services.cli.options import Bootstrap, fail, print_json
from services.cli.replay_view import ShownProgress, bad_row_lines, summary_lines
from services.ingest.files import MappedFile
from services.ingest.mapping import MappingError
from services.ingest.mapping_file import load_mapping, shipped_mappings
from services.ingest.numbers import BadValueError
from services.ingest.pacing import Pace
from services.ingest.readers import SourceError
from services.ingest.rehearsal import rehearse
from services.ingest.replay import KafkaFailedError, ReplayError, replay_rows
from services.ingest.report import Report
from services.ingest.rows import Windowed
from services.ingest.times import iso_ms
from services.runtime.settings import SettingsError, load_settings

EXIT_KAFKA = 1
EXIT_SETTINGS = 2

_MAPPING_HELP = f"A mapping that ships ({', '.join(shipped_mappings())}) or a TOML file (docs/mappings.md)."


def replay(
    file: Annotated[Path, typer.Argument(help="CSV, NDJSON (each also gzipped) or Parquet.")],
    mapping: Annotated[str, typer.Option("--mapping", "-m", help=_MAPPING_HELP)],
    bootstrap: Bootstrap = None,
    speed: Annotated[
        float | None, typer.Option(help="1: as it happened; 60: a minute a second. Not given: as fast as possible.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=0, help="Stop after this many payments.")] = None,
    skip: Annotated[int, typer.Option(min=0, help="Leave out this many rows at the start.")] = 0,
    from_: Annotated[str | None, typer.Option("--from", help="Only payments at or after this ISO time.")] = None,
    until: Annotated[str | None, typer.Option("--until", help="Only payments before this ISO time.")] = None,
    labels: Annotated[bool, typer.Option("--labels", help="Publish the mapping's labels, when they are due.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Map and check everything, send nothing.")] = False,
    bad_listed: Annotated[int, typer.Option(min=0, help="How many bad rows to list.")] = 20,
    json: Annotated[bool, typer.Option("--json", help="Print the counts as one JSON object; no progress.")] = False,
) -> None:
    """Send a file of payments to Kafka.

    Rows that cannot become a payment go to the dead-letter topic and are listed by line. Payment ids come from the
    file, so running the same replay again repeats the same records, and the scorer drops what it has seen.

    Exit codes: 0 everything was sent, bad rows to the dead-letter topic; 1 Kafka failed; 2 a setting, the mapping or
    the file is at fault.
    """
    try:
        settings = load_settings(bootstrap=bootstrap)
        chosen = load_mapping(mapping)
        if labels and chosen.label is None:
            raise MappingError(f"{chosen.origin}: label: missing, so there is nothing that --labels could publish")
        pace = _pace(speed)
        bounds = _bound("--from", from_), _bound("--until", until)
        with MappedFile(file, chosen, labels=labels) as mapped, ShownProgress(quiet=json) as progress:
            rows = Windowed(mapped, skip, limit, *bounds)
            source = f"file:{file.name}"
            first: list[bytes] = []
            if dry_run:
                report, first = rehearse(rows, source, progress)
            else:
                sending = replay_rows(rows, settings, source=source, pace=pace, progress=progress, labels=labels)
                report = asyncio.run(sending)
    except KafkaFailedError as error:
        _fail(f"Kafka: {error}", EXIT_KAFKA, error.report, json, bad_listed)
    except ReplayError as error:
        _fail(str(error), EXIT_SETTINGS, error.report, json, bad_listed)
    except (SettingsError, MappingError, SourceError) as error:
        _fail(str(error), EXIT_SETTINGS, None, json, bad_listed)
    _show(report, first, json, bad_listed, dry_run)


def _show(report: Report, first: list[bytes], as_json: bool, bad_listed: int, dry_run: bool) -> None:
    if as_json:
        counts = report.as_dict()
        if dry_run:
            counts |= {"dry_run": True, "payments_ready": report.payments_ready}
            counts["first_payments"] = [orjson.loads(each) for each in first]
        print_json(counts)
        return
    for each in first:
        typer.echo(each.decode())
    for line in [*summary_lines(report, dry_run), *bad_row_lines(report, bad_listed)]:
        typer.echo(line)


def _fail(message: str, code: int, report: Report | None, as_json: bool, bad_listed: int) -> NoReturn:
    if not as_json and report is not None and report.rows_read:
        _show(report, [], as_json, bad_listed, dry_run=False)
    fail(message, code, as_json, **(report.as_dict() if report else {}))


def _pace(speed: float | None) -> Pace:
    try:
        return Pace(speed)
    except ValueError as error:
        raise SettingsError(f"--speed: {error}") from None


def _bound(option: str, text: str | None) -> int | None:
    try:
        return None if text is None else iso_ms(text)
    except BadValueError as error:
        raise SettingsError(f"{option}: {error}: {text!r}; expected one such as 2026-06-01T12:00Z") from None

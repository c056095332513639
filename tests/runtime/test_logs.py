"""Nothing of a record gets into a log, however it tries; every line has a time and a level."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import orjson
import pytest

from services.contract.errors import TocsinError
from services.runtime.logs import JsonFormatter, TextFormatter, message_of, named, traceback_of

ROOT = Path(__file__).parents[2]
PLANTED = "DE89 3704 0044 0532 0130 00"
HEAD = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (DEBUG|INFO|WARNING|ERROR|CRITICAL) [\w.]+ \S")

WAYS = {
    "in a task": """
        async def main():
            asyncio.get_running_loop().create_task(fails(), name=PLANTED)
            await asyncio.sleep(0.01)
            gc.collect()
        run(main())
    """,
    "in a callback that has it as an argument": """
        async def main():
            asyncio.get_running_loop().call_soon(raises, PLANTED)
            await asyncio.sleep(0.01)
        run(main())
    """,
    "in a task of a loop that nobody told": """
        async def main():
            asyncio.get_running_loop().call_soon(raises, PLANTED)
            await asyncio.sleep(0.01)
        asyncio.run(main())
    """,
    "in a task that is left behind": """
        async def main():
            asyncio.ensure_future(asyncio.get_running_loop().create_future())
            asyncio.get_running_loop().call_exception_handler({"message": PLANTED})
        run(main())
        logger.error("done")
    """,
    "in a thread": """
        thread = threading.Thread(target=raises, args=(PLANTED,))
        thread.start()
        thread.join()
    """,
    "in a finalizer": """
        class Final:
            def __del__(self):
                raise ValueError(PLANTED)
        Final()
    """,
    "to the end": "raise ValueError(PLANTED)",
    "to the end in a group": "raise ExceptionGroup(PLANTED, [ValueError(PLANTED), KeyError(PLANTED)])",
    "as a cause": """
        try:
            try:
                raises(PLANTED)
            except ValueError as error:
                raise TocsinError("the batch cannot be read") from error
        except TocsinError:
            logger.exception("the lane ends")
    """,
    "as a context": """
        try:
            try:
                raises(PLANTED)
            except ValueError:
                {}[PLANTED]
        except KeyError:
            logger.exception("the lane ends")
    """,
    "as %r": 'logger.error("Crashed reason=%r", ValueError(PLANTED))',
    "as %s in a list": 'logger.error("%s", [ValueError(PLANTED), {"why": KeyError(PLANTED)}])',
    "as the message itself": "logger.error(ValueError(PLANTED))",
    "as bytes": 'logger.error("value %r", PLANTED.encode())',
    "as an object": 'logger.error("payment %s", Payment(PLANTED, 1, 1, "EUR", Party(PLANTED), Party("b")))',
    "for a number": 'logger.error("offset %d", ValueError(PLANTED))',
    "as exc_info": 'logger.error("the lane ends", exc_info=ValueError(PLANTED))',
    "with a note": """
        error = ValueError("x")
        error.add_note(PLANTED)
        logger.error("the lane ends", exc_info=error)
    """,
    "with words of the machine": 'logger.error("%s", OSError(28, PLANTED, PLANTED))',
    "in a warning": 'warnings.warn(PLANTED, RuntimeWarning)',
    "in a __repr__ that raises": """
        class Bad(str):
            def __repr__(self):
                raise TypeError(PLANTED)
        logger.error("%r", Bad("x"))
    """,
}  # fmt: skip


def run(body: str, form: str = "text") -> str:
    """What a process logs that does ``body`` after ``configure_logs``."""
    program = textwrap.dedent("""
        import asyncio, gc, logging, sys, threading, warnings
        from services.contract.errors import TocsinError
        from services.contract.payment import Party, Payment
        from services.runtime.logs import configure_logs, log_what_tasks_raise
        PLANTED, form = sys.argv[1:]
        logger = logging.getLogger("services.scorer.shell.lane")
        configure_logs("INFO", form)
        def raises(text):
            raise ValueError(text)
        async def fails():
            raise ValueError(PLANTED)
        def run(work):
            loop = asyncio.new_event_loop()
            log_what_tasks_raise(loop)
            loop.run_until_complete(work)
    """) + textwrap.dedent(body)
    done = subprocess.run(
        [sys.executable, "-c", program, PLANTED, form],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == ""
    return done.stderr


@pytest.mark.parametrize("body", WAYS.values(), ids=WAYS.keys())
def test_a_planted_text_does_not_get_into_a_log(body: str) -> None:
    lines = run(body).splitlines()
    assert lines, "it is told that something happened"
    assert not [line for line in lines if PLANTED in line or "DE89" in line]
    assert not [line for line in lines if not HEAD.match(line)], "a time and a level on every line"


@pytest.mark.parametrize("way", ["in a task", "as a cause", "as %r", "to the end in a group"])
def test_nor_does_it_as_json_where_each_line_is_an_object(way: str) -> None:
    lines = run(WAYS[way], "json").splitlines()
    assert lines
    assert not [line for line in lines if "DE89" in line]
    for line in map(orjson.loads, lines):
        assert line.keys() >= {"time", "level", "logger", "message"}
        assert HEAD.match(f"{line['time']} {line['level']} {line['logger']} {line['message']}")


def test_the_ways_of_this_file_would_show_the_text_without_us() -> None:
    program = "import sys, threading\nthreading.Thread(target=int, args=(sys.argv[1],)).start()"
    done = subprocess.run(
        [sys.executable, "-c", program, PLANTED], capture_output=True, text=True, timeout=60, check=True
    )
    assert PLANTED in done.stderr


def test_a_traceback_has_frames_and_types_of_the_whole_chain() -> None:
    text = run(WAYS["as a cause"])
    assert "ERROR services.scorer.shell.lane the lane ends" in text
    assert "in raises" in text
    assert "| ValueError\n" in text
    assert "| which led to:\n" in text
    assert "| TocsinError: the batch cannot be read\n" in text


def test_what_an_error_of_ours_says_is_shown() -> None:
    record = logging.LogRecord(
        "services.x", logging.ERROR, "x.py", 1, "refused: %s", (TocsinError("no such file"),), None
    )
    assert message_of(record) == "refused: no such file"
    assert named(TocsinError("no such file")) == "TocsinError: no such file"


def test_an_error_of_ours_that_may_quote_is_named_by_its_type_alone() -> None:
    class QuotingError(TocsinError):
        may_quote = True

    record = logging.LogRecord("services.x", logging.ERROR, "x.py", 1, "refused: %s", (QuotingError(PLANTED),), None)
    assert message_of(record) == "refused: QuotingError"
    assert named(QuotingError(PLANTED)) == "QuotingError"


def test_a_message_of_several_lines_cannot_pass_for_several_messages() -> None:
    forged = "x\n2026-11-24T08:15:30.123Z INFO services.x all is well\u2028really"
    record = logging.LogRecord("services.x", logging.ERROR, "x.py", 1, "%s", (forged,), None)
    first, *rest = TextFormatter().format(record).splitlines()
    assert first.endswith("ERROR services.x x")
    assert [line.split(" ERROR services.x ")[1][:2] for line in rest] == ["| ", "| "]
    assert "\n" not in JsonFormatter().format(record)


def test_half_a_surrogate_is_written_as_json_all_the_same() -> None:
    record = logging.LogRecord("services.x", logging.ERROR, "x.py", 1, "%s", ("\ud83d",), None)
    assert orjson.loads(JsonFormatter().format(record))["message"] == "?"


def test_a_chain_that_bites_its_tail_ends() -> None:
    first, second = ValueError("a"), KeyError("b")
    first.__cause__, second.__cause__ = second, first
    record = logging.LogRecord("services.x", logging.ERROR, "x.py", 1, "x", (), (ValueError, first, None))
    assert traceback_of(record) == ["KeyError", "which led to:", "ValueError"]


def test_libraries_are_heard_from_warnings_on_whatever_the_level() -> None:
    said = run("""
        configure_logs("DEBUG", "text")
        for name in ("aiokafka.conn", "asyncio", "faust.app", "mode.services", "services.x"):
            logging.getLogger(name).info("news of %s", name)
            logging.getLogger(name).warning("warning of %s", name)
    """)
    assert [line.split()[2] for line in said.splitlines() if " INFO " in line] == ["services.x"]
    assert [line.split()[2] for line in said.splitlines() if " WARNING " in line] == [
        "aiokafka.conn", "asyncio", "faust.app", "mode.services", "services.x",
    ]  # fmt: skip

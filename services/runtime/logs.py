"""What workers log, and how: one handler, a UTC time and a level on every line, and nothing of any record.

The message of an exception that is not ours may repeat what it met: a key, a text, a whole payment. So no such message
is ever printed. In its place stands the type's name, and a traceback has frames and types only. ``TocsinError`` is the
base of those whose messages are safe, but for the few classes that ``may_quote``. Whoever configures this logs,
besides: exceptions that nobody caught, in threads, tasks and finalizers, and warnings.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from numbers import Number
from pathlib import Path
from typing import Any, Literal, TextIO

import orjson
from aiokafka.structs import TopicPartition

from services.contract.codec import Rejection
from services.contract.errors import TocsinError

logger = logging.getLogger(__name__)

FOREIGN = ("aiokafka", "asyncio", "faust", "mode")
"""Libraries whose news is none to an operator: only their warnings are logged, whatever the level."""

_PLAIN = (str, Number, Path, TopicPartition, Rejection, type, type(None))
"""Types whose values may stand in a message: nobody passes a record's texts to a logger as one of them."""

_WITHOUT_EXCEPTION = ("Task was destroyed but it is pending!", "Unclosed AIOKafka")
"""How what asyncio reports without an exception begins, where it is safe to repeat."""


def configure_logs(level: str, form: Literal["text", "json"], stream: TextIO | None = None) -> None:
    """Log to ``stream`` (none: standard error) from ``level`` on, whatever was configured before.

    Parameters
    ----------
    level
        ``DEBUG``, ``INFO``, ``WARNING`` or ``ERROR``.
    form
        ``text``: lines; ``json``: one object a line, with ``time``, ``level``, ``logger``, ``message`` and, of an
        exception, ``traceback``.
    """
    handler = _Handler(stream or sys.stderr)
    handler.setFormatter(TextFormatter() if form == "text" else JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in FOREIGN:
        logging.getLogger(name).setLevel(logging.WARNING)
    sys.excepthook = lambda kind, error, trace: _log_uncaught("the process", error)
    threading.excepthook = lambda args: _log_uncaught(_thread_name(args.thread), args.exc_value)
    sys.unraisablehook = lambda args: _log_uncaught("a finalizer", args.exc_value)
    warnings.showwarning = _log_warning


def log_what_tasks_raise(loop: asyncio.AbstractEventLoop) -> None:
    """Let ``loop`` log what nobody takes in its tasks and callbacks as any other exception.

    asyncio's own report shows the arguments of a callback and the result of a future as they are.
    """

    def report(_: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
        error, message = context.get("exception"), str(context.get("message", ""))
        if error is None and message.startswith(_WITHOUT_EXCEPTION):
            logger.warning("asyncio: %s", message)
        else:
            _log_uncaught("a task or a callback", error)

    loop.set_exception_handler(report)


class TextFormatter(logging.Formatter):
    """``2026-11-24T08:15:30.123Z WARNING services.x message``, on each line of the message and of a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """As ``logging.Formatter``."""
        head = f"{_time_of(record)} {record.levelname} {record.name}"
        first, *rest = [*message_of(record).splitlines(), *traceback_of(record)] or [""]
        return "\n".join([f"{head} {first}", *(f"{head} | {line}" for line in rest)])


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """As ``logging.Formatter``."""
        line = {
            "time": _time_of(record),
            "level": record.levelname,
            "logger": record.name,
            "message": message_of(record),
        }
        if frames := traceback_of(record):
            line["traceback"] = "\n".join(frames)
        return orjson.dumps(_encodable(line)).decode()


def message_of(record: logging.LogRecord) -> str:
    """The message of ``record``, without what an exception, bytes or any other object would show of itself.

    >>> message_of(logging.LogRecord("x", logging.ERROR, "", 0, "%s: %r", ("lane", ValueError("DE89")), None))
    'lane: ValueError'
    """
    if record.name == "asyncio":  # it puts its messages together beforehand, out of whatever there was
        return "a task or a callback failed, or was slow"
    if not isinstance(record.msg, str):
        return str(_shown(record.msg))
    args: Any = record.args
    if not args:
        return record.msg
    try:
        return record.msg % (_shown(args) if isinstance(args, Mapping) else tuple(map(_shown, args)))
    except (TypeError, ValueError, KeyError):  # a %d for what is shown by its type
        return record.msg


def traceback_of(record: logging.LogRecord) -> list[str]:
    """The exception of ``record`` and what led to it, as lines: frames, and what may be said of each."""
    error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
    return list(_chain(error, set())) if error is not None else []


class Named:
    """What stands in a message for something that may not be shown there."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __str__(self) -> str:
        return self._name

    __repr__ = __str__


def named(error: BaseException) -> str:
    """What may be said of ``error``: its type, of an error of ours its message, of the machine's its own words.

    >>> named(KeyError("DE89")), named(OSError(28, "DE89")), named(TocsinError("no such folder"))
    ('KeyError', 'OSError: No space left on device', 'TocsinError: no such folder')
    """
    name = type(error).__name__
    if isinstance(error, TocsinError) and not error.may_quote:
        return f"{name}: {error}"
    if isinstance(error, OSError) and isinstance(error.errno, int) and error.errno > 0:
        return f"{name}: {os.strerror(error.errno)}"
    return name


def _shown(value: object) -> object:
    """``value`` as it may stand in a message."""
    if isinstance(value, BaseException):
        return value if isinstance(value, TocsinError) and not value.may_quote else Named(named(value))
    if isinstance(value, bytes | bytearray | memoryview):
        return Named(f"<{len(value)} bytes>")
    if isinstance(value, Mapping):
        return {_shown(name): _shown(each) for name, each in value.items()}
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, list | tuple | set | frozenset):
        return [_shown(each) for each in value]
    return Named(f"<{type(value).__name__}>")


def _chain(error: BaseException, seen: set[int]) -> Iterator[str]:
    """The lines of ``error``, after those of what it was raised from or during."""
    seen.add(id(error))
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None and id(before) not in seen:
        yield from _chain(before, seen)
        yield "which led to:" if error.__cause__ else "and while that was handled:"
    for frame in traceback.format_tb(error.__traceback__):
        yield from frame.splitlines()
    yield named(error)
    for each in error.exceptions if isinstance(error, BaseExceptionGroup) else ():
        if id(each) not in seen:
            yield from (f"  {line}" for line in _chain(each, seen))


def _log_uncaught(where: str, error: BaseException | None) -> None:
    if isinstance(error, KeyboardInterrupt | SystemExit):
        return
    if error is None:
        logger.error("something failed in %s", where)
        return
    logger.error("%s was not caught in %s", type(error).__name__, where, exc_info=error)


def _log_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: object, **__: object
) -> None:
    # Its text is a foreign message like any other; the place in the code says which warning it is.
    logger.warning("%s at %s:%d", category.__name__, filename, lineno)


def _thread_name(thread: threading.Thread | None) -> str:
    return f"the thread {thread.name}" if thread is not None else "a thread"


def _time_of(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _encodable(line: dict[str, str]) -> dict[str, str]:
    return {name: text.encode("utf-8", "replace").decode() for name, text in line.items()}


class _Handler(logging.StreamHandler[TextIO]):
    """A handler that never shows a record that it could not write: the library's own would print its arguments."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """As ``logging.Handler``."""

"""The life of a worker process: logs, the wait for a broker, the Faust app that it hosts, and its end.

The end begins with SIGTERM or SIGINT and is bounded: a thread that depends on nothing but the machine's clock ends the
process if the way down takes longer than the settings allow. That is safe at any moment, since what was not committed
is visible to nobody, and is done again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Coroutine
from typing import TypeAlias

import faust

from services.contract.errors import TocsinError
from services.runtime.health import Health
from services.runtime.logs import configure_logs, log_what_tasks_raise
from services.runtime.metrics import Metrics
from services.runtime.settings import Settings, SettingsError

logger = logging.getLogger(__name__)

Start: TypeAlias = Callable[[Settings, Metrics], Coroutine[None, None, None]]

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_LAST_WORDS_S = 1.0


def run_worker(settings: Settings, start: Start, create: Callable[[Metrics], faust.App]) -> None:
    """Run the app that ``create`` gives until SIGTERM or SIGINT; return when it has ended in order.

    Parameters
    ----------
    start
        Returns once all is there that the app needs; it is served meanwhile.
    create
        Called with the worker's metrics, and with the event loop set that the app is to live in, before any broker is
        asked.

    Raises
    ------
    SystemExit
        With status 1, after one line that says why, when anything else than a signal ended it.
    SettingsError
        As ``create``: nothing was started.
    """
    configure_logs(settings.log_level, settings.log_format)
    ending = Ending(settings.stop_grace_s)
    ending.listen()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    log_what_tasks_raise(loop)
    metrics = Metrics(Health(settings.health_stall_s))
    app = create(metrics)
    try:
        _serve(settings, metrics)
        _live(loop, ending, start(settings, metrics), app)
    except asyncio.CancelledError:
        if not ending.told:
            raise SystemExit(1) from None
    except TocsinError as error:
        logger.critical("the worker ends: %s", error)
        raise SystemExit(1) from None
    except Exception as error:
        logger.critical("the worker ends: %s", error, exc_info=error)
        raise SystemExit(1) from None
    logger.info("the worker has ended, as it was told to")


def _serve(settings: Settings, metrics: Metrics) -> None:
    """From now on anybody may ask how the worker is, also while it waits for a broker."""
    host, port = settings.metrics_host, settings.metrics_port
    try:
        metrics.serve(host, port)
    except OSError as error:
        raise SettingsError(f"TOCSIN_METRICS_PORT: {host}:{port}: {os.strerror(error.errno or 0)}") from None


def _live(
    loop: asyncio.AbstractEventLoop, ending: Ending, beginning: Coroutine[None, None, None], app: faust.App
) -> None:
    started = loop.create_task(beginning)
    ending.then(loop, started.cancel)
    loop.run_until_complete(started)
    worker = HostedWorker(app, loop=loop, quiet=True, override_logging=False, redirect_stdouts=False)
    worker.spinner = None
    for handler in logging.getLogger().handlers:
        handler.addFilter(_is_not_told_at_the_end)
    ending.then(loop, worker.end)
    worker.run(ending)


class HostedWorker(faust.Worker):
    """Faust's worker, without signals and logs of its own, and without swallowing what ended it."""

    def install_signal_handlers(self) -> None:
        """``Ending`` listens; mode's own would, besides, open a debugger on SIGUSR2."""

    def end(self) -> None:
        """Begin to stop; called in the loop."""
        self._on_sigterm()

    def run(self, ending: Ending) -> None:
        """Start, wait until it is stopped, stop what is left; raises what ended it, if that was not a signal."""
        self._starting_fut = self.loop.create_task(self.start())
        try:
            self.loop.run_until_complete(self._starting_fut)
        except asyncio.CancelledError:
            if not ending.told:
                raise
        finally:
            ending.begin()  # a way down that nobody asked for is bounded, too
            self.on_worker_shutdown()
            self.stop_and_shutdown()


class Ending:
    """The way down of this process, begun once and never longer than its grace.

    Parameters
    ----------
    grace_s
        Seconds after its beginning at which the process is ended, whatever it does.
    """

    def __init__(self, grace_s: float) -> None:
        self.told = False
        """Whether a signal began it."""
        self._grace_s = grace_s
        self._begun = threading.Lock()
        self._then: Callable[[], object] | None = None

    def listen(self) -> None:
        """Begin on SIGTERM and SIGINT from now on. To be called in the main thread.

        The signal's number arrives on a socket that a thread of ours reads. A handler in Python, or asyncio's, would
        wait for the main thread to have time for it.
        """
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for each in _SIGNALS:
            signal.signal(each, lambda *_: None)
        threading.Thread(target=self._hear, name="ending", daemon=True).start()

    def then(self, loop: asyncio.AbstractEventLoop, call: Callable[[], object]) -> None:
        """Call ``call`` in ``loop`` when a signal comes, or soon if it has come; in place of what was to be called."""
        self._then = lambda: loop.call_soon_threadsafe(call)
        if self.told:
            loop.call_soon(call)

    def begin(self) -> None:
        """From now on the grace runs. Only the first call counts."""
        if self._begun.acquire(blocking=False):
            threading.Thread(target=self._cut_short, name="grace", daemon=True).start()

    def _hear(self) -> None:
        while True:
            if set(self._reader.recv(64)) & set(_SIGNALS):
                self.told = True
                self.begin()
                try:
                    if self._then is not None:
                        self._then()
                except RuntimeError:  # the loop is closed: it is about to end anyway
                    return

    def _cut_short(self) -> None:
        time.sleep(self._grace_s)
        # In a thread of its own: whoever holds the log's lock may be the one that hangs.
        said = f"not at its end after {self._grace_s} s (TOCSIN_STOP_GRACE_S): ended now; nothing committed is lost"
        words = threading.Thread(target=logger.critical, args=(said,), daemon=True)
        words.start()
        words.join(_LAST_WORDS_S)
        os._exit(1)


def _is_not_told_at_the_end(record: logging.LogRecord) -> bool:
    """mode tells of a crash in each service that it passes through; ``run_worker`` does so once."""
    return "Crashed reason=" not in str(record.msg)

"""A worker's start: nothing begins before a broker answers and the topics are as the contract wants them."""

from __future__ import annotations

import asyncio
import logging
import ssl

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    AuthenticationMethodNotSupported,
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from services import kafka
from services.contract.errors import TocsinError
from services.kafka.topics import require_topics
from services.runtime.health import Loop
from services.runtime.metrics import Metrics
from services.runtime.settings import Settings
from services.runtime.supervisor import patiently

logger = logging.getLogger(__name__)

TELL_EVERY_S = 30.0
PAUSE_S = 0.5
ANSWER_S = 5.0
"""How long one question to a broker may take."""

_SILENT = "does not answer"
_REFUSALS = (
    AuthenticationFailedError,
    AuthenticationMethodNotSupported,
    IllegalSaslStateError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)


class NoBroker(TocsinError):
    """No broker answered for as long as the settings allow. The message says where it was looked for, and why not."""


async def start(settings: Settings, metrics: Metrics) -> None:
    """Return once a broker answers and has the topics of the deployment as the contract wants them.

    Raises
    ------
    NoBroker
        As ``wait_for_broker``.
    TopicsError
        When topics are not as they must be: no waiting helps.
    """
    with metrics.health.loop("broker") as loop:
        await wait_for_broker(settings, loop)
    with metrics.health.loop("topics") as loop:
        await patiently(loop, lambda: require_topics(settings), metrics.count_fault)


async def wait_for_broker(settings: Settings, loop: Loop) -> None:
    """Return once a broker answers.

    Says so when it must wait, then every thirty seconds. Credentials that are refused are waited for like a broker that
    is silent: they, too, may be put in order from outside. The worker lives meanwhile, and is not ready: to start it
    anew would not help.

    Raises
    ------
    NoBroker
        When ``broker_wait_s`` is over.
    """
    clock = asyncio.get_running_loop().time
    began_s = clock()
    told_s = began_s - TELL_EVERY_S
    while (why := await _refusal(settings)) is not None:
        now_s, limit_s = clock(), settings.broker_wait_s
        said = f"Kafka at {settings.bootstrap} {why}"
        if 0 <= limit_s <= now_s - began_s:
            raise NoBroker(f"{said}; waited for {limit_s} s (TOCSIN_BROKER_WAIT_S)" if limit_s else said)
        loop.retries(said)
        loop.alive()
        if now_s - told_s >= TELL_EVERY_S:
            logger.warning("%s; waiting", said)
            told_s = now_s
        await asyncio.sleep(PAUSE_S)
    if told_s >= began_s:
        logger.info("Kafka at %s answers", settings.bootstrap)


async def _refusal(settings: Settings) -> str | None:
    """Why no bootstrap server lets us in; ``None``: one does. The most telling of their answers stands for all."""
    options = kafka.connection(settings) | {"request_timeout_ms": round(ANSWER_S * 1_000)}
    servers = collect_hosts(options.pop("bootstrap_servers"))
    answers = [await _knock(host, port, options) for host, port, _ in servers]
    return None if None in answers else next((each for each in answers if each != _SILENT), _SILENT)


async def _knock(host: str, port: int, options: dict[str, object]) -> str | None:
    """Connect and log in once. aiokafka's clients try all servers and keep to themselves which error they met."""
    try:
        async with asyncio.timeout(ANSWER_S):
            connection = await create_conn(host, port, **options)
    except _REFUSALS as error:
        named = "TOCSIN_SASL_USERNAME, TOCSIN_SASL_PASSWORD, TOCSIN_SASL_MECHANISM"
        return f"refuses the credentials ({type(error).__name__}; {named})"
    except ssl.SSLError as error:
        return f"and we cannot agree on TLS ({error.reason}; TOCSIN_SECURITY_PROTOCOL, TOCSIN_SSL_CAFILE)"
    except (KafkaError, OSError):
        return _SILENT
    connection.close()
    return None

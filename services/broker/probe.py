"""Ports, and the one question asked of a broker over the wire: who are you, and are you serving?"""

from __future__ import annotations

import random
import socket
from io import BytesIO
from itertools import islice
from typing import Final

from aiokafka.protocol.metadata import MetadataRequest_v2
from aiokafka.protocol.types import Int32

HOST: Final = "127.0.0.1"
PORTS: Final = range(15_000, 32_000)
"""Free ports come from here: below the range that Linux and macOS hand to outgoing connections, so that a client that
reconnects while the broker is down cannot be given the broker's own port."""

_ANSWER_BYTES_MAX = 1 << 20
_CORRELATION = 7


def is_free(port: int) -> bool:
    """Whether a server could listen on ``port`` of the loopback address now."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind((HOST, port))
        except OSError:
            return False
    return True


def free_ports(count: int) -> list[int]:
    """``count`` different ports that nothing listens on. Not reserved: another process may still take them."""
    drawn = random.SystemRandom().sample(PORTS, k=len(PORTS))
    return list(islice(filter(is_free, drawn), count))


def serving_cluster(port: int, timeout_s: float) -> str | None:
    """The id of the cluster that serves on ``port``: its broker is registered and answers. ``None``: not yet.

    Asked with a Metadata request of version 2 about no topics, the first that answers with the cluster's id.
    """
    request = MetadataRequest_v2([])
    message = request.build_request_header(_CORRELATION, "tocsin-probe").encode() + request.encode()
    try:
        with socket.create_connection((HOST, port), timeout_s) as connection, connection.makefile("rb") as answers:
            connection.sendall(Int32.encode(len(message)) + message)
            size = Int32.decode(answers)
            if not 0 < size <= _ANSWER_BYTES_MAX:
                return None
            answer = BytesIO(answers.read(size))
        correlation, said = Int32.decode(answer), request.RESPONSE_TYPE.decode(answer)
    except (OSError, ValueError):  # nobody listens, or what answers does not speak Kafka
        return None
    return said.cluster_id if correlation == _CORRELATION and said.brokers else None

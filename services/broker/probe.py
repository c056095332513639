"""Ports, and the one question asked of a broker over the wire: who are you, and are you serving?"""

from __future__ import annotations

import random
import socket
import struct
from typing import Final

HOST: Final = "127.0.0.1"
PORTS: Final = range(15_000, 32_000)
"""Free ports come from here: below the range that Linux and macOS hand to outgoing connections, so that a client that
reconnects while the broker is down cannot be given the broker's own port."""

_ANSWER_BYTES_MAX = 1 << 20
_METADATA, _METADATA_VERSION, _CORRELATION = 3, 2, 7
_CLIENT = b"tocsin-probe"


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
    ports: list[int] = []
    for port in random.SystemRandom().sample(PORTS, k=len(PORTS)):
        if len(ports) == count:
            break
        if is_free(port):
            ports.append(port)
    return ports


def serving_cluster(port: int, timeout_s: float) -> str | None:
    """The id of the cluster that serves on ``port``: its broker is registered and answers. ``None``: not yet.

    Asked with a Metadata request of version 2 about no topics, the first that answers with the cluster's id.
    """
    try:
        with socket.create_connection((HOST, port), timeout_s) as connection:
            connection.settimeout(timeout_s)
            connection.sendall(_metadata_request())
            answer = _read_frame(connection)
    except OSError:
        return None
    return _cluster_of(answer)


def _metadata_request() -> bytes:
    header = struct.pack(">hhih", _METADATA, _METADATA_VERSION, _CORRELATION, len(_CLIENT)) + _CLIENT
    body = header + struct.pack(">i", 0)
    return struct.pack(">i", len(body)) + body


def _read_exactly(connection: socket.socket, size: int) -> bytes:
    received = bytearray()
    while len(received) < size:
        chunk = connection.recv(size - len(received))
        if not chunk:
            raise ConnectionError(f"closed after {len(received)} of {size} bytes")
        received += chunk
    return bytes(received)


def _read_frame(connection: socket.socket) -> bytes:
    (size,) = struct.unpack(">i", _read_exactly(connection, 4))
    if not 0 < size <= _ANSWER_BYTES_MAX:
        raise ConnectionError(f"an answer of {size} bytes is not Kafka's")
    return _read_exactly(connection, size)


def _cluster_of(answer: bytes) -> str | None:
    """Read ``correlation, [node, host, port, rack], cluster`` (big-endian; strings have a 16-bit length, -1: null)."""
    try:
        correlation, brokers = struct.unpack_from(">ii", answer)
        offset = 8
        for _ in range(brokers):
            _, offset = _string(answer, offset + 4)
            _, offset = _string(answer, offset + 4)
        cluster, _ = _string(answer, offset)
    except (struct.error, UnicodeDecodeError):
        return None
    return cluster if correlation == _CORRELATION and brokers > 0 else None


def _string(answer: bytes, offset: int) -> tuple[str | None, int]:
    (length,) = struct.unpack_from(">h", answer, offset)
    start = offset + 2
    if length < 0:
        return None, start
    return answer[start : start + length].decode(), start + length

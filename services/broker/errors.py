"""What can go wrong with a broker that Tocsin starts itself."""

from __future__ import annotations

from services.contract.errors import TocsinError


class BrokerError(TocsinError, RuntimeError):
    """The broker did not start, or was asked for something it cannot do. The message says which setting."""


class NoJava(BrokerError):
    """No Java runtime was found that can run Kafka; the message says why each candidate was passed over."""


class JarsUnavailable(BrokerError):
    """Kafka's jars are not in the cache and cannot be fetched; the message is one line."""


class JarCorrupted(BrokerError):
    """A jar's hash is not the one in the lock file; the message names the jar. Never fallen back from: an alarm."""


class PortTaken(BrokerError):
    """Another process listens on the port that this broker was to have."""

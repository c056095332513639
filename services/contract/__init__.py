"""The contract: every record that crosses a Kafka topic, in one place, a file for each.

``payment``, ``decision``, ``alert``, ``label``, ``announcement``, ``shadow_scores`` and ``dead_letter`` say what the
records are, of the ``fields`` that they have in common; ``codec`` reads and writes them, ``topics`` names where they
travel, ``identity`` names them, ``events`` wraps them in CloudEvents, ``schema`` publishes them as JSON Schema.

Units stand last in a name: ``_ms`` is milliseconds since 1970-01-01 UTC, ``_minor`` the smallest unit of the currency
beside it (ISO 4217: 2,500 with EUR is 25.00, with JPY it is 2,500).
"""

"""The contract: every record that crosses a Kafka topic, in one place.

``types`` says what the records are, ``codec`` reads and writes them, ``topics`` names where they travel,
``identity`` names them, ``events`` wraps them in CloudEvents, ``schema`` publishes them as JSON Schema.
"""

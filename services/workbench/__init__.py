"""The data scientist's workbench: decisions and labels as a table, models trained, measured and compared on it.

``labels`` says which label counts, ``dataset`` holds the table, ``export`` makes it from Kafka, ``backtest`` walks it
in event time with every label as late as it was, ``report`` and ``plots`` show what came out.
"""

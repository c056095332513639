"""The data scientist's workbench: decisions and labels as a table, models trained, measured and compared on it.

``dataset`` holds the table, ``export`` makes it from Kafka, ``backtest`` walks it in event time with every label as
late as it was, ``train`` makes a version of it, ``compare`` and ``whatif`` hold models and rules against each other,
and ``plots`` shows what came out. ``handbook`` evaluates on published data, ``assessment`` on streams whose truth is
known.
"""

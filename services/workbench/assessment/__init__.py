"""Assessment: how well subjects are found on streams whose truth is known.

``rankers`` and ``subject_ranker`` are ways to rank, ``streams`` follows streams and ranks their subjects, ``run``
assesses the default stream, ``prior`` learns the model that ships. Results show that the software works as specified,
not that it finds offenders.
"""

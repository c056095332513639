"""Assessment: how well subjects are found on a generated stream whose truth is known.

``subjects`` follows each payer and payee through a stream; ``train`` makes a model of another
seed's stream; ``run`` puts it together. Results show that the software works as specified, not that it finds offenders.
"""

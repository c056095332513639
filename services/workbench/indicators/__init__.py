"""What each indicator of a pack is worth across drawn worlds, and the weights that follow from it.

``counts`` counts, ``estimate`` says how far worlds agree, ``fit`` weighs indicators beside one another, ``weigh`` does
all of it. Results on synthetic data show that the software works as specified, not that it finds offenders.
"""

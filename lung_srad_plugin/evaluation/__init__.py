"""From predictions to results that can be trusted: measures, intervals, comparisons, calibration, subgroups.

Everything starts from a ``PredictionTable`` (``predictions.py``). Each measure is defined once, for weighted cycles
(``probabilistic.py``, ``measures.py``); a resample of patients is such a weighting (``bootstrap.py``).
"""

"""A table of predictions and the numbers computed from it: scores, probabilistic metrics, intervals, comparisons.

Nothing here reads a run, runs a model or writes a page; that is ``evaluation``.
"""

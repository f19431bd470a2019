"""Analysis of what a model does to its input: mixing matrices, spectral response, maps of a decision.

Nothing here trains or scores a model.
"""

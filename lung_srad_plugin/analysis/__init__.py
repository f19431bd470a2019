"""Analysis of what a model does to its input: mixing matrices of a layer and their spectral response.

Nothing here trains or scores a model.
"""

"""What a model does to its input: the spectral response of a layer.

Nothing here trains or scores a model.
"""

"""What surrounds an encoder in training: heads, losses, Patch-Mix, Gaussian smoothing, and the model that joins them.

Everything here works with any encoder; the encoders live in ``encoders``.
"""

"""DASS, the distilled audio state-space encoder (VMamba over log-mel spectrograms), and its published weights.

Code outside this folder uses the methods of ``encoders.base.Encoder`` and not how DASS is built inside.
"""

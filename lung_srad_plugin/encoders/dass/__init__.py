"""DASS, the distilled audio state-space encoder (VMamba over log-mel spectrograms), and its published weights.

Nothing outside this folder relies on how DASS is built inside.
"""

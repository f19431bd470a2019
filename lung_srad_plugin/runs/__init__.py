"""A training run on disk: its settings, results, checkpoints and lock, and the rules that select its epochs.

Nothing here trains, evaluates or exports: what does asks ``RunFolder`` for the names of files and for checkpoints.
"""

"""Encoders: each has ``embed(feats)``, ``encode(map)``, ``forward(feats, lens)`` and an ``embedding_dim``.

What is specific to one architecture stays in its own folder; losses and heads live in ``nn``.
"""

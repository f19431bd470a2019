"""Encoders: each has ``embed(feats)``, ``encode(map)``, ``forward(feats, lens)`` and an ``embedding_dim``."""

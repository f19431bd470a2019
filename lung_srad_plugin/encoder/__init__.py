"""Encoders: each has ``embed(feats)``, ``encode(map)`` and ``forward(feats, lens)``, and knows its ``embedding_dim``."""

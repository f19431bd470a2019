"""Encoders, each with the methods of ``base.Encoder``: embed, encode, forward and a few more.

What is specific to one architecture stays in its own folder; losses and heads live in ``nn``.
"""

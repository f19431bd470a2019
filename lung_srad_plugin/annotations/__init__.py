"""Annotations of recordings: events read from and written to the formats of annotation programs, and what they label.

Formats: ICBHI, Audacity, Raven, Praat TextGrid, and for reading SPRSound. Manifests are made of annotated folders here.
"""

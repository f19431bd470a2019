"""KAUH: names of its recordings, its sounds, and the manifests made of them.

What other data sets need too is one folder up.
"""

"""ICBHI 2017: file layout, annotations, patient tables, official split, and the manifests made of them.

What other data sets need too is one folder up.
"""

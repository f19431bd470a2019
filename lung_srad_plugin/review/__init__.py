"""Cutting out what is worth listening to, and a person's labels of it, which training reads.

The public names of this folder are those of ``lung_srad_plugin`` itself.
"""

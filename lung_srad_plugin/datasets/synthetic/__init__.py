"""Synthetic lung sounds in the layout of ICBHI, so that everything runs without a data set.

The sounds and the folder around them; neither says anything about patients.
"""

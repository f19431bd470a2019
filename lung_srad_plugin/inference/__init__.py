"""From a model folder and a recording to a typed result and its picture.

Whoever needs the answers of a model asks here; scores of many answers are ``evaluation``.
"""

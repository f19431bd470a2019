"""A training run on disk: the settings it was made with and the results it wrote.

Reading and writing a run folder belongs here; training and evaluation ask for it here.
"""

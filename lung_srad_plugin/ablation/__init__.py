"""Ablations: a grid of experiments over seeds, its runs, and the table they make.

A grid file (``grid.py``) names its rows. Each row and seed is one run of the recipe in its own folder and process
(``runs.py``, ``execute.py``), so that an interrupted grid resumes. ``table.py`` computes the numbers,
``report.py`` and ``plot.py`` show them, and ``command.py`` is ``lung-srad ablate``.
"""

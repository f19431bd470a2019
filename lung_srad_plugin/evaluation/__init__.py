"""From runs, models and prediction files to reports: sources, seeds, folds, cautions, pages.

The numbers come from ``metrics`` and their appearance from ``reporting``; nothing here trains a model.
"""

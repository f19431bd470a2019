"""Small helpers that any other folder may use: writing files atomically, and recording where numbers come from.

Nothing here knows about sound, models or data sets, and nothing here imports from another folder of the package.
"""

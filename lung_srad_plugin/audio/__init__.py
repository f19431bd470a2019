"""From a recording to the features of a breathing cycle: reading, checks, level, cutting, log-mel, normalising, masks.

Nothing here knows about labels, models or data sets.
"""

"""From a recording to the features of one breathing cycle: reading, cutting, quality checks, log-mel, SpecAugment.

Nothing here knows about labels, models or data sets.
"""

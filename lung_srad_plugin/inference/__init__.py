"""From a model folder and a recording to a typed result and its picture.

Everything that runs a trained model does so through ``predict``; scores of many predictions are in ``evaluation``.
"""

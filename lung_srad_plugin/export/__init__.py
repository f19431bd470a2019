"""From a checkpoint to a model folder that SpeechBrain's ``EncoderClassifier`` loads, and to ONNX.

What a model folder contains is defined here; loading one for use is ``inference``.
"""

"""Recordings to upload, as the bytes of audio files."""

import io

import numpy as np
import soundfile


def recording(seed=0, seconds=10.0, rate=4000, format="WAV"):
    """The bytes of an audio file of noise."""
    file = io.BytesIO()
    soundfile.write(file, np.random.default_rng(seed).normal(0, 0.1, int(seconds * rate)), rate, format=format)
    return file.getvalue()

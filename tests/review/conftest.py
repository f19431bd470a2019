"""A folder of segments with known sounds, and the command line."""

import numpy as np
import pytest
import soundfile
from browser import browse  # noqa: F401

from lung_srad_plugin.inference.result import make_segment
from lung_srad_plugin.review.candidates import Candidate
from lung_srad_plugin.review.cutting import cut_candidates

LABELS = ("normal", "crackle", "wheeze", "both")
RATE = 8000
# Of each segment: recording, start, what the model says.
SEGMENTS = (
    ("7_chest", 1.0, (0.7, 0.1, 0.1, 0.1)),
    ("7_chest", 4.0, (0.1, 0.1, 0.7, 0.1)),
    ("8_back", 1.0, (0.2, 0.5, 0.2, 0.1)),
    ("8_back", 4.0, (0.3, 0.3, 0.3, 0.1)),
)
LENGTH = 1.5


@pytest.fixture
def segments(tmp_path):
    """A folder of four segments of two patients' recordings, each clip with a second of context on both sides."""
    sounds = tmp_path / "sounds"
    sounds.mkdir()
    candidates, paths = [], {}
    for number, (name, start, probabilities) in enumerate(SEGMENTS):
        path = sounds / f"{name}.wav"
        if path not in paths:
            soundfile.write(path, np.random.default_rng(number).normal(0, 0.05, 8 * RATE), RATE)
        paths[path] = name
        candidates.append(Candidate(path, make_segment(start, start + LENGTH, LABELS, probabilities), "demo"))
    cut_candidates(candidates, paths, tmp_path / "clips_folder", context=1.0)
    return tmp_path / "clips_folder"

"""Silent and constant stretches of a recording, against looking at every sample."""

import numpy as np
import pytest

from lung_srad_plugin.audio.quality import MIN_SECONDS, STILL, InputChecks

RATE = 4000
SHORTEST = round(MIN_SECONDS * RATE)


def every_sample(recording):
    """Begin, end and level of each run of samples that hardly move from one to the next, the definition."""
    runs, begin = [], 0
    for index in range(1, len(recording) + 1):
        if index == len(recording) or abs(recording[index] - recording[index - 1]) > STILL:
            if index - begin >= SHORTEST:
                runs.append((begin, index, float(recording[begin])))
            begin = index
    return runs


@pytest.mark.parametrize("seed", range(6))
def test_still_runs_are_those_of_looking_at_every_sample_however_it_is_read(seed):
    random = np.random.default_rng(seed)
    parts = []
    for length in random.integers(1, 3 * SHORTEST, size=12):
        is_still = random.random() < 0.6
        parts.append(np.full(length, random.normal()) if is_still else random.normal(size=length))
    recording = np.concatenate(parts).astype(np.float32)
    checks, begin = InputChecks("a.wav", RATE), 0
    while begin < len(recording):
        end = begin + int(random.integers(1, 2 * SHORTEST))
        checks.add(recording[begin:end])
        begin = end
    expected = every_sample(recording)
    assert checks.still_runs() == expected
    assert len(expected) >= 2

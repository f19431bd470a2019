"""How much of the features is empty: log-mel bins at the floor of the filterbank, and the setting that helps."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import torch

from lung_srad_plugin.audio.fbank import FLOOR, mel_frequencies
from lung_srad_plugin.audio.feature_cache import FeatureCache
from lung_srad_plugin.audio.levels import level_gain
from lung_srad_plugin.audio.reading import load_recording

BREATH_HZ = 2000.0  # crackles and wheezes have their energy below
CYCLES = 200
RECORDINGS = 40

# Between what was measured on ICBHI 2017 and on SPRSound 2022: 9 and 52 % of the bins below 2 kHz, 52 and 97 % of those
# above 4 kHz; and a median gain of 1 and of 33.
HIGH_SHARE_OF_BREATH = 0.2
HIGH_SHARE_OF_UPPER_HALF = 0.8
QUIET_GAIN = 4.0


def at_floor(features: torch.Tensor) -> torch.Tensor:
    """Return where features (..., T, F), not normalised, lie at the floor of the filterbank.

    Example
    -------
    >>> at_floor(torch.tensor([-15.9424, -15.9, 3.0]))
    tensor([ True, False, False])
    """
    return features < FLOOR + 1e-3


def describe_floor(feature_cache: FeatureCache, rows: Sequence[Mapping[str, Any]]) -> str:
    """Describe what share of the log-mel bins lies at the floor, and name the setting that helps where it is high.

    Arguments
    ---------
    feature_cache : FeatureCache
        Of the training.
    rows : list of dict
        Rows of a manifest with ``wav``, ``start`` and ``stop``; up to 200 cycles spread over them are read.

    Returns
    -------
    str
        One to three sentences.

    Example
    -------
    >>> from lung_srad_plugin import CycleFeatures, FeatureCache
    >>> import soundfile, numpy as np
    >>> wav = getfixture("tmp_path") / "quiet.wav"
    >>> soundfile.write(wav, 1e-5 * np.random.default_rng(0).normal(size=32000), 16000, subtype="FLOAT")
    >>> rows = [{"wav": str(wav), "start": 0.0, "stop": 2.0}]
    >>> "level: rms" in describe_floor(FeatureCache(None, CycleFeatures()), rows)
    True
    """
    front_end = feature_cache.compute_features
    fbank = front_end.fbank
    chosen = rows[:: max(len(rows) // CYCLES, 1)][:CYCLES]
    empty = torch.stack(
        [at_floor(feature_cache(row["wav"], row["start"], row["stop"])).double().mean(dim=0) for row in chosen]
    ).mean(dim=0)
    frequencies = mel_frequencies(fbank.n_mels, fbank.sample_rate, fbank.high_hz)
    middle = (fbank.high_hz or fbank.sample_rate / 2) / 2
    breath, upper = empty[frequencies < BREATH_HZ].mean(), empty[frequencies >= middle].mean()
    text = (
        f"{empty.mean():.0%} of the log-mel bins lie at the floor of the filterbank: {breath:.0%} of those below "
        f"{BREATH_HZ:g} Hz, {upper:.0%} of those above {middle:g} Hz ({len(chosen)} training cycles)"
    )
    if breath > HIGH_SHARE_OF_BREATH and front_end.level == "recorded":
        gain = _median_gain(rows, front_end.sample_rate)
        if gain > QUIET_GAIN:
            text += f". The recordings are quiet, {gain:.0f} times below the level of ICBHI 2017: consider level: rms"
    if upper > HIGH_SHARE_OF_UPPER_HALF:
        text += f". Next to nothing is recorded above {middle:g} Hz: consider high_hz: {middle:g}"
    return text


def _median_gain(rows, sample_rate):
    """Return the median of the gains that bring up to 40 of the recordings to one level."""
    recordings = sorted({row["wav"] for row in rows})
    chosen = islice(recordings[:: max(len(recordings) // RECORDINGS, 1)], RECORDINGS)
    return torch.stack([level_gain(load_recording(wav, sample_rate)) for wav in chosen]).median().item()

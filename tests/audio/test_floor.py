"""The description of bins at the floor, of synthetic and of real recordings."""

import json

import numpy as np
import soundfile

from lung_srad_plugin import CycleFeatures, FeatureCache
from lung_srad_plugin.audio.floor import describe_floor
from lung_srad_plugin.datasets.icbhi.annotation import read_annotation


def describe(rows, **settings):
    return describe_floor(FeatureCache(None, CycleFeatures(**settings)), rows)


def noise_rows(folder, loudness, rate=16000):
    path = folder / f"noise_{rate}.wav"
    samples = loudness * np.random.default_rng(0).normal(size=4 * rate)
    soundfile.write(path, samples, rate, subtype="FLOAT")
    return [{"wav": str(path), "start": start, "stop": start + 1.0} for start in range(4)]


def test_loud_noise_is_full(tmp_path):
    text = describe(noise_rows(tmp_path, 0.1))
    # The one mel band that holds no FFT bin.
    assert text == (
        "1% of the log-mel bins lie at the floor of the filterbank: 1% of those below 2000 Hz, 0% of those above "
        "4000 Hz (4 training cycles)"
    )


def test_quiet_recordings_name_the_level(tmp_path):
    rows = noise_rows(tmp_path, 3e-5)
    text = describe(rows)
    assert "92% of those below 2000 Hz" in text and "level: rms" in text
    levelled = describe(rows, level="rms")
    assert levelled.startswith("1% ") and "level: rms" not in levelled


def test_an_empty_upper_half_names_the_edge(tmp_path):
    rows = noise_rows(tmp_path, 1e-2, rate=4000)
    assert "high_hz: 4000" in describe(rows) and "level: rms" not in describe(rows)
    assert "high_hz" not in describe(rows, high_hz=2000.0)


def test_icbhi_is_fine_as_it_is(icbhi_folder):
    rows = [
        {"wav": str(path), "start": cycle.start, "stop": cycle.stop}
        for path in sorted(icbhi_folder.rglob("*.wav"))[::10]
        for cycle in read_annotation(path.with_suffix(".txt"))[:3]
    ]
    assert "consider" not in describe(rows)


def test_sprsound_names_both(sprsound_folder):
    rows = []
    for path in sorted((sprsound_folder / "train_json").glob("*.json"))[::100]:
        for event in json.loads(path.read_text(encoding="utf-8"))["event_annotation"][:2]:
            times = {key: float(event[name]) / 1000 for key, name in (("start", "start"), ("stop", "end"))}
            rows.append({"wav": str(sprsound_folder / "train_wav" / f"{path.stem}.flac"), **times})
    text = describe(rows)
    assert "level: rms" in text and "high_hz: 4000" in text
    assert "level: rms" not in describe(rows, level="rms")

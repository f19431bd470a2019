"""Sounds that swell and fade as breath does: what a detector of unlike sounds can be fitted on in tests."""

import numpy as np
import soundfile

from lung_srad_plugin.datasets.manifests import write_manifest
from lung_srad_plugin.datasets.synthetic.sounds import breath_noise

RATE, SECONDS = 8000, 16.0
LABELS = ("normal", "crackle", "wheeze", "both")


def breath(number, seconds=SECONDS, rate=RATE):
    """Noise of a chest whose loudness follows the breath, each with its own pace and depth."""
    draw = np.random.default_rng(number)
    noise = breath_noise(int(seconds * rate), rate, corner=draw.uniform(150, 400), slope=14, rng=draw)
    time = np.arange(len(noise)) / rate
    phase = 2 * np.pi * time / draw.uniform(1.5, 5) + draw.uniform(0, 6)
    swell = np.exp(draw.uniform(0.8, 1.6) * np.sin(phase))
    return 0.05 * noise * swell / swell.max()


def write_breaths(folder, counts=(("train", 18), ("valid", 13)), data_set="breaths"):
    """Write recordings of four cycles of 4 s each, and ``train.csv`` and ``valid.csv`` beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    number = 0
    for part, count in counts:
        rows = []
        for _ in range(count):
            number += 1
            name = f"{part}{number}"
            soundfile.write(folder / f"{name}.wav", breath(number), RATE)
            for cycle in range(4):
                times = {"duration": SECONDS, "wav": f"{{data_root}}/{name}.wav", "start": 4.0 * cycle}
                rows.append(
                    {"ID": f"{name}_{cycle}", **times, "stop": 4.0 * cycle + 4, "label": LABELS[cycle]}
                    | {"patient": name, "dataset": data_set}
                )
        write_manifest(folder / f"{part}.csv", rows)
    return folder
